//! Taking frames out of bytes.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use unglue_frame::{Frame, Framing, Part, io as frame_io, io::FrameReader};

use super::{Failure, dump, framing, input, json};
use crate::standard;

/// Show each frame of a file: its offset, fields, length and bytes.
#[derive(Debug, clap::Args)]
pub(super) struct Decode {
    /// A line of JSON for each frame: offset, fields, and data as {"text": …} or {"base64": …}
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// The frames' data and nothing else
    #[arg(long)]
    raw: bool,
    /// The framing, such as u32be, lines or 'len:u16be type:u8 data[len]'
    notation: String,
    /// The file; - or nothing is stdin
    file: Option<PathBuf>,
}

/// Tell whether a whole file parses, and where it stops.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// The framing, such as u32be, lines or 'len:u16be type:u8 data[len]'
    notation: String,
    /// The file; - or nothing is stdin
    file: Option<PathBuf>,
}

impl Decode {
    pub(super) fn run(self) -> Result<(), Failure> {
        let framing = framing(&self.notation)?;
        let mut out = standard::stdout();
        let show = |frame: Frame<'_>| match (self.json, self.raw) {
            (true, _) => json::frame(&mut out, &frame),
            (_, true) => out.write_all(frame.data()),
            _ => dump::frame(&mut out, &frame),
        };
        let result = each(framing, self.file, show);
        out.flush().map_err(Failure::Write)?;
        result
    }
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut tally = Tally::default();
        let framing = framing(&self.notation)?;
        let name = framing.to_string();
        let result = each(framing, self.file, |frame| {
            tally.count(&frame);
            Ok(())
        });
        match &result {
            Ok(()) | Err(Failure::Decode(_)) => tally.tell(&name, &result, self.json).map_err(Failure::Write)?,
            Err(_) => {}
        }
        result
    }
}

/// Gives each frame of the file to `show`.
fn each(
    framing: Framing,
    file: Option<PathBuf>,
    mut show: impl FnMut(Frame<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    let (name, bytes) = input(file)?;
    let mut reader: FrameReader<Box<dyn Read>> = FrameReader::new(bytes, framing);
    loop {
        match reader.next() {
            Ok(Some(frame)) => show(frame).map_err(Failure::Write)?,
            Ok(None) => return Ok(()),
            Err(frame_io::Error::Decode(error)) => return Err(Failure::Decode(error)),
            Err(error) => return Err(Failure::Read(name, error.into())),
        }
    }
}

/// What a file's frames come to.
#[derive(Default)]
struct Tally {
    frames: u64,
    data: u64,
    shortest: Option<u64>,
    longest: u64,
    end: u64,
}

impl Tally {
    fn count(&mut self, frame: &Frame<'_>) {
        let len = frame.data().len() as u64;
        self.data += len;
        self.end = frame.offset() + frame.raw().len() as u64;
        if !matches!(frame.part(), Part::Piece { .. }) {
            self.frames += 1;
            self.shortest = Some(self.shortest.map_or(len, |shortest| shortest.min(len)));
            self.longest = self.longest.max(len);
        }
    }

    fn tell(&self, notation: &str, result: &Result<(), Failure>, json: bool) -> io::Result<()> {
        let mut out = standard::stdout();
        let shortest = self.shortest.unwrap_or(0);
        let error = match result {
            Err(Failure::Decode(error)) => Some(error),
            _ => None,
        };
        if json {
            let error =
                error.map(|error| serde_json::json!({"offset": error.offset, "reason": error.fault.to_string()}));
            let line = serde_json::json!({
                "notation": notation, "frames": self.frames, "data_bytes": self.data, "parsed_bytes": self.end,
                "shortest": shortest, "longest": self.longest, "error": error,
            });
            return writeln!(out, "{line}").and_then(|()| out.flush());
        }
        let Tally { frames, data, longest, end, .. } = self;
        let verdict = if error.is_some() { "stops" } else { "parses to the end" };
        let s = if *frames == 1 { "" } else { "s" };
        writeln!(
            out,
            "{notation}: {verdict}; {frames} frame{s} with {data} bytes of data ({shortest} to {longest}) in the first {end} bytes"
        )?;
        out.flush()
    }
}
