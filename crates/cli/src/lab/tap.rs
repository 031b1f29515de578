//! `unglue lab tap`: what goes through the tap, on the terminal or as JSON.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use unglue_lab::record::Excerpt;
use unglue_lab::tap::{Event, Happened, Message, Settings, Skipped, Totals, Towards, tap};

use super::foreground;
use crate::args::lab::LabTapArgs;
use crate::complaint::{Complaint, printable};
use crate::standard;

const CLIENT: Style = AnsiColor::Cyan.on_default();
const SERVER: Style = AnsiColor::Magenta.on_default();
const MARK: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();
/// Where what the server sends begins.
const INDENT: usize = 40;
/// How much of a text is shown.
const TEXT: usize = 40;
/// How many segments of a read are shown one by one.
const SEGMENTS: usize = 6;

/// Taps until a signal ends it, or so many connections have ended as were asked for.
///
/// # Errors
/// The address can't be had, or the capture can't be written.
pub(crate) fn run(args: LabTapArgs) -> Result<ExitCode, Complaint> {
    let mut settings = Settings::new(args.listen, args.to);
    settings.reply_framing = args.frame_reply.or_else(|| args.frame.clone());
    settings.framing = args.frame;
    settings.capture = args.pcap.as_deref().map(create).transpose()?;
    settings.complete = args.json;
    settings.segments = !args.no_segments;
    settings.connections = args.connections;
    let framed = settings.framing.is_some() || settings.reply_framing.is_some();
    let (stopper, tap) = tap(settings)?;
    announce(&tap.address().to_string(), args.json)?;
    let ends = stopper.clone();
    let work = move || {
        let began = Instant::now();
        let mut failed = Ok(());
        let mut screen = screen(args.json);
        let tapped = tap.run(&mut |event| {
            if failed.is_ok() {
                let at = event.at.saturating_duration_since(began);
                failed = match args.json {
                    true => writeln!(screen, "{}", object(event, at)),
                    false => draw(event, at, framed, &mut screen),
                }
                .and_then(|()| screen.flush());
                if failed.is_err() {
                    ends.shut_down();
                }
            }
        });
        tapped.map(|()| failed)
    };
    foreground(stopper, work, |done| standard::unless_enough(done?).map(|()| ExitCode::SUCCESS))
}

fn screen(json: bool) -> Box<dyn Write> {
    match json {
        true => Box::new(standard::stdout()),
        false => Box::new(BufWriter::new(standard::styled_stdout())),
    }
}

fn create(path: &Path) -> Result<Box<dyn Write + Send + Sync>, Complaint> {
    let file = File::create(path);
    let file = file.map_err(|error| Complaint::new(format!("{} can't be written: {error}", path.display())))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 20, file)))
}

/// With `--json` the first line is an object too.
fn announce(address: &str, json: bool) -> Result<(), Complaint> {
    standard::print(match json {
        true => format!("{}\n", json!({ "event": "listening", "address": address })),
        false => format!("listening on {address}\n"),
    })
}

fn draw(event: &Event, at: Duration, framed: bool, screen: &mut impl Write) -> io::Result<()> {
    let Event { connection, what, .. } = event;
    write!(screen, "{FAINT}{:>10.6} #{connection}{FAINT:#} ", at.as_secs_f64())?;
    match what {
        Happened::Opened { client, server, .. } => writeln!(screen, "{client} connected, passed on to {server}"),
        Happened::Refused { client, why } => writeln!(screen, "{BAD}{client} was let go: {}{BAD:#}", printable(why)),
        Happened::Read {
            towards, bytes, start, segments, messages, message_count, unfinished, error, skipped, ..
        } => {
            left_out(*skipped, screen)?;
            let indent = indent(*towards);
            let style = style(*towards);
            write!(screen, "{:indent$}{style}{} sent{style:#} {bytes} bytes", "", towards.sender())?;
            if let Some(segments) = segments {
                write!(screen, "{FAINT}, {}{FAINT:#}", in_segments(segments))?;
            }
            match framed {
                true => writeln!(screen)?,
                false => writeln!(screen, "  {}", text(start, *bytes))?,
            }
            messages.iter().try_for_each(|message| draw_message(message, indent + 14, screen))?;
            let more = message_count.saturating_sub(messages.len() as u64);
            if more > 0 {
                writeln!(screen, "{:1$}{FAINT}… and {more} more messages{FAINT:#}", "", indent + 14)?;
            }
            if *unfinished > 0 {
                writeln!(screen, "{:1$}{FAINT}{unfinished} bytes of a message that goes on{FAINT:#}", "", indent + 14)?;
            }
            match error {
                Some(error) => writeln!(screen, "{:1$}{BAD}{2}{BAD:#}", "", indent + 14, printable(error)),
                None => Ok(()),
            }
        }
        Happened::Ended { towards, broken, skipped } => {
            left_out(*skipped, screen)?;
            let (indent, who) = (indent(*towards), towards.sender());
            match broken {
                None => writeln!(screen, "{:indent$}{who} ended", ""),
                Some(how) => writeln!(screen, "{:indent$}{BAD}{who} broke off: {}{BAD:#}", "", printable(how)),
            }
        }
        Happened::Closed { to_server, to_client } => {
            let client = totals(to_server, framed);
            writeln!(screen, "closed: client {client}; server {}", totals(to_client, framed))
        }
        other => writeln!(screen, "{other:?}"),
    }
}

fn draw_message(message: &Message, indent: usize, screen: &mut impl Write) -> io::Result<()> {
    write!(screen, "{:indent$}{FAINT}@{}{FAINT:#}", "", message.offset)?;
    for (name, value) in &message.fields {
        write!(screen, " {name}={value}")?;
    }
    write!(screen, " {}", text(&message.data, message.data_bytes))?;
    for (marked, mark) in [(message.cut, "cut"), (message.merged, "shared")] {
        if marked {
            write!(screen, " {MARK}{mark}{MARK:#}")?;
        }
    }
    writeln!(screen)
}

fn left_out(skipped: Skipped, screen: &mut impl Write) -> io::Result<()> {
    match skipped.reads {
        0 => Ok(()),
        reads => {
            let Skipped { bytes, messages, .. } = skipped;
            write!(screen, "{FAINT}[{reads} reads with {bytes} bytes and {messages} messages are not shown]{FAINT:#} ")
        }
    }
}

fn indent(towards: Towards) -> usize {
    if towards == Towards::Server { 0 } else { INDENT }
}

fn style(towards: Towards) -> Style {
    if towards == Towards::Server { CLIENT } else { SERVER }
}

fn in_segments(segments: &[u32]) -> String {
    match segments {
        [_] => "1 segment".into(),
        few if few.len() <= SEGMENTS => {
            let lengths: Vec<String> = few.iter().map(u32::to_string).collect();
            format!("{} segments: {}", few.len(), lengths.join("+"))
        }
        many => format!("{} segments", many.len()),
    }
}

/// The beginning of some bytes, as text where they are text.
fn text(start: &[u8], bytes: u64) -> String {
    let shown = Excerpt::of(&start[..start.len().min(TEXT)]);
    let more = if bytes > shown.start.len() as u64 { "…" } else { "" };
    format!("\"{}\"{more}", printable(&shown.text()))
}

fn totals(totals: &Totals, framed: bool) -> String {
    let Totals { reads, bytes, messages, cut, merged } = totals;
    match framed {
        true => format!("{bytes} bytes in {reads} reads, {messages} messages ({cut} cut, {merged} shared)"),
        false => format!("{bytes} bytes in {reads} reads"),
    }
}

fn object(event: &Event, at: Duration) -> Value {
    let mut object = json!({ "at": at.as_secs_f64(), "connection": event.connection });
    let more = match &event.what {
        Happened::Opened { client, server, .. } => json!({ "event": "opened", "client": client, "server": server }),
        Happened::Refused { client, why } => json!({ "event": "refused", "client": client, "why": why }),
        Happened::Read { towards, offset, bytes, start, segments, messages, unfinished, error, .. } => {
            let mut read = json!({
                "event": "read", "from": towards.sender(), "offset": offset, "bytes": bytes, "data": data(start),
                "messages": messages.iter().map(message_object).collect::<Vec<_>>(), "unfinished": unfinished,
            });
            segments.iter().for_each(|segments| read["segments"] = json!(segments));
            error.iter().for_each(|error| read["error"] = json!(error));
            read
        }
        Happened::Ended { towards, broken, .. } => {
            json!({ "event": "ended", "from": towards.sender(), "broken": broken })
        }
        Happened::Closed { to_server, to_client } => {
            let totals = |totals: &Totals| {
                let Totals { reads, bytes, messages, cut, merged } = totals;
                json!({ "reads": reads, "bytes": bytes, "messages": messages, "cut": cut, "shared": merged })
            };
            json!({ "event": "closed", "client": totals(to_server), "server": totals(to_client) })
        }
        _ => json!({ "event": "other" }),
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn message_object(message: &Message) -> Value {
    let fields: Map<String, Value> =
        message.fields.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    json!({
        "offset": message.offset, "bytes": message.bytes, "fields": fields, "data": data(&message.data),
        "cut": message.cut, "shared": message.merged,
    })
}

/// Text where the bytes are UTF-8, else base64.
fn data(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}
