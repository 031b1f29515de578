//! `unglue lab dissect`: the messages of a capture.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::process::ExitCode;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use unglue_frame::{Framing, NotationError};
use unglue_lab::capture::{CaptureError, Event, Flow, Streams, Tally, follow};
use unglue_lab::dissect::{Dissector, Message, Told};

use crate::args::lab::dissect::LabDissectArgs;
use crate::complaint::{Complaint, say};
use crate::standard;

/// Bytes of a message that are shown as text.
const SHOWN: usize = 48;

/// The messages that were found, as they are written.
struct Listing<W: Write> {
    out: W,
    json: bool,
    messages: u64,
    spanning: u64,
    sharing: u64,
    bad: u64,
    /// The first failure of writing: nothing is written behind it.
    failed: Option<io::Error>,
}

/// Lists the messages.
///
/// # Errors
/// The notation or the file is wrong.
pub(crate) fn run(args: &LabDissectArgs) -> Result<ExitCode, Complaint> {
    let wrong = |error: NotationError| Complaint::new(format!("{}: {error}; see: unglue frame list", args.frame));
    let framing: Framing = args.frame.parse().map_err(wrong)?;
    let stdin = args.file.as_os_str() == "-";
    let name = if stdin { "stdin".into() } else { args.file.display().to_string() };
    let failed = |error: &dyn std::fmt::Display| Complaint::new(format!("{name}: {error}"));
    let input: Box<dyn Read> = match stdin {
        true => Box::new(standard::stdin().map_err(|error| failed(&error))?),
        false => Box::new(File::open(&args.file).map_err(|error| failed(&error))?),
    };
    let out = standard::stdout();
    let mut listing = Listing { out, json: args.json, messages: 0, spanning: 0, sharing: 0, bad: 0, failed: None };
    let (mut streams, mut dissector) = (Streams::new(), Dissector::new(framing));
    let read = follow(BufReader::with_capacity(1 << 16, input), &mut streams, |flows, event| {
        let (Event::Data { stream, .. } | Event::Lost { stream, .. }) = event;
        dissector.take(event, flows[stream].whole, &mut |told| listing.tell(flows, told));
    });
    let flows = streams.flows().to_vec();
    dissector.finish(&mut |told| listing.tell(&flows, told));
    if let Err(error @ CaptureError::NotACapture { .. }) = &read {
        return Err(failed(error));
    }
    listing.summary(flows.len(), streams.tally());
    let Listing { mut out, bad, failed: broken, .. } = listing;
    standard::unless_enough(broken.map_or_else(|| out.flush(), Err))?;
    read.map_err(|error| failed(&error))?;
    Ok(if bad > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

impl<W: Write> Listing<W> {
    fn tell(&mut self, flows: &[Flow], told: Told<'_>) {
        if self.failed.is_some() {
            return;
        }
        let result = match told {
            Told::Message(message) => self.message(flows, &message),
            Told::Lost { stream, offset, bytes } => {
                self.trouble(flows, stream, "lost", offset, &format!("{bytes} bytes are missing in the capture"))
            }
            Told::Broken { stream, error } => {
                let why = format!("{}; nothing behind it is read", error.fault);
                self.trouble(flows, stream, "broken", error.offset, &why)
            }
            Told::Dropped { stream, offset, bytes } => {
                let why = format!(
                    "{bytes} bytes of this message came, and those of all streams are more than 256 MiB; it and what follows are left out"
                );
                self.trouble(flows, stream, "dropped", offset, &why)
            }
            Told::Unfinished { stream, error } => {
                self.trouble(flows, stream, "unfinished", error.offset, &error.fault.to_string())
            }
        };
        self.failed = result.err();
    }

    fn message(&mut self, flows: &[Flow], message: &Message<'_>) -> io::Result<()> {
        let spans = message.packets.len() > 1;
        self.messages += 1;
        self.spanning += u64::from(spans);
        self.sharing += u64::from(message.shares);
        let Flow { from, to, .. } = flows[message.stream];
        let data = message.frame.data();
        if self.json {
            let fields: Map<String, Value> =
                message.frame.fields().map(|(name, value)| (name.into(), value.into())).collect();
            let data = match std::str::from_utf8(data) {
                Ok(text) => json!({ "text": text }),
                Err(_) => json!({ "base64": BASE64_STANDARD.encode(data) }),
            };
            let line = json!({
                "stream": message.stream, "from": from.to_string(), "to": to.to_string(), "offset": message.offset,
                "time_ns": message.time, "packets": message.packets, "spans": spans, "shares": message.shares,
                "resumed": message.resumed, "fields": fields, "data": data,
            });
            return writeln!(self.out, "{line}");
        }
        let packets = match &message.packets[..] {
            [] => "?".into(),
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
        };
        write!(self.out, "{packets:>9}  {from} > {to}  @{} {} bytes", message.offset, data.len())?;
        for (name, value) in message.frame.fields() {
            write!(self.out, "  {name}={value}")?;
        }
        let marks = [(spans, "spans packets"), (message.shares, "shares a packet"), (message.resumed, "after a gap")];
        for (_, mark) in marks.iter().filter(|(set, _)| *set) {
            write!(self.out, "  [{mark}]")?;
        }
        let more = if data.len() > SHOWN { "…" } else { "" };
        writeln!(self.out, "  {}{more}", data[..data.len().min(SHOWN)].escape_ascii())
    }

    fn trouble(&mut self, flows: &[Flow], stream: usize, kind: &str, offset: u64, why: &str) -> io::Result<()> {
        self.bad += 1;
        let Flow { from, to, .. } = flows[stream];
        if self.json {
            let line = json!({
                "stream": stream, "from": from.to_string(), "to": to.to_string(), "offset": offset, kind: why,
            });
            return writeln!(self.out, "{line}");
        }
        writeln!(self.out, "{kind:>9}  {from} > {to}  @{offset} {why}")
    }

    /// What it comes to, on standard error.
    fn summary(&self, flows: usize, tally: Tally) {
        let Listing { messages, spanning, sharing, .. } = self;
        let Tally { repeated, early, lost, untracked } = tally;
        let mut said = format!("{messages} messages in {flows} streams: {spanning} span packets, {sharing} share one");
        for (count, what) in [(repeated, "segments came twice"), (early, "came early"), (lost, "bytes are missing")] {
            if count > 0 {
                said += &format!("; {count} {what}");
            }
        }
        if untracked > 0 {
            said += &format!("; {untracked} segments of connections beyond those that are followed were left out");
        }
        say(&said);
    }
}
