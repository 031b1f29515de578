//! Taking frames out of bytes.

use std::io::{self, Write};
use std::path::PathBuf;

use unglue_frame::{DecodeError, Fault, Frame, Framing, Part, Skipped, io as frame_io, io::FrameReader};

use super::{Failure, dump, framing, input, json, prefix::Prefix};
use crate::complaint::say;
use crate::standard;

/// Show each frame of a file: its offset, fields, length and bytes.
#[derive(Debug, clap::Args)]
pub(super) struct Decode {
    /// Print a line of JSON for each frame: offset, fields, and data as {"text": …} or {"base64": …}
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print the frames' data and nothing else
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    prefix: Prefix,
    /// The framing, such as u32be, lines or 'len:u16be type:u8 data[len]'
    notation: String,
    /// The file; - or nothing is stdin
    file: Option<PathBuf>,
}

/// Check whether a whole file parses, and where it stops.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    prefix: Prefix,
    /// The framing, such as u32be, lines or 'len:u16be type:u8 data[len]'
    notation: String,
    /// The file; - or nothing is stdin
    file: Option<PathBuf>,
}

impl Decode {
    pub(super) fn run(self) -> Result<(), Failure> {
        let framing = framing(&self.notation)?;
        let mut shown = Shown { out: standard::stdout(), json: self.json, raw: self.raw };
        let Read { skipped, result, .. } = each(framing, self.file, &self.prefix, &mut shown)?;
        shown.out.flush().map_err(Failure::Write)?;
        if skipped.frames > 0 {
            let (frames, bytes) = (skipped.frames, skipped.bytes);
            let (s, was) = if frames == 1 { ("", "was") } else { ("s", "were") };
            say(&format!("{frames} frame{s} of {bytes} bytes in all {was} left out: longer than the maximum."));
        }
        result
    }
}

/// Frames as the command's output.
struct Shown<W: Write> {
    out: W,
    json: bool,
    raw: bool,
}

impl<W: Write> See for Shown<W> {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        match (self.json, self.raw) {
            (true, _) => json::frame(&mut self.out, frame),
            (_, true) => self.out.write_all(frame.data()),
            _ => dump::frame(&mut self.out, frame),
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut tally = Tally::default();
        let framing = framing(&self.notation)?;
        let name = framing.to_string();
        let read = each(framing, self.file, &self.prefix, &mut tally)?;
        match &read.result {
            Ok(()) | Err(Failure::Decode(_)) => tally.tell(&name, &read, self.json).map_err(Failure::Write)?,
            Err(_) => {}
        }
        read.result
    }
}

/// What is done with the frames of a file.
trait See {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()>;

    /// More bytes may be long in coming: what was seen is to be shown.
    fn wait(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far a file was read.
struct Read {
    /// The bytes up to the last frame's end.
    parsed: u64,
    skipped: Skipped,
    result: Result<(), Failure>,
}

/// Gives each frame of the file to `see`.
fn each(framing: Framing, file: Option<PathBuf>, prefix: &Prefix, see: &mut impl See) -> Result<Read, Failure> {
    let (name, bytes) = input(file)?;
    let mut reader: FrameReader<Box<dyn io::Read>> = FrameReader::new(bytes, framing);
    prefix.leave_out(&mut reader)?;
    let result = all(&mut reader, &name, see).map_err(|failure| match failure {
        Failure::Decode(DecodeError { offset, fault: Fault::Truncated { have, .. }, .. }) => {
            prefix.never_ended(offset, have).map_or(failure, Failure::Message)
        }
        failure => failure,
    });
    Ok(Read { parsed: reader.offset(), skipped: reader.skipped(), result })
}

fn all(reader: &mut FrameReader<Box<dyn io::Read>>, name: &str, see: &mut impl See) -> Result<(), Failure> {
    loop {
        match reader.batch() {
            Ok(Some(batch)) => {
                for frame in batch {
                    see.frame(&frame.map_err(Failure::Decode)?).map_err(Failure::Write)?;
                }
                see.wait().map_err(Failure::Write)?;
            }
            Ok(None) => return Ok(()),
            Err(frame_io::Error::Decode(error)) => return Err(Failure::Decode(error)),
            Err(error) => return Err(Failure::Read(name.into(), error.into())),
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
}

impl See for Tally {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let len = frame.data().len() as u64;
        self.data += len;
        if !matches!(frame.part(), Part::Piece { .. }) {
            self.frames += 1;
            self.shortest = Some(self.shortest.map_or(len, |shortest| shortest.min(len)));
            self.longest = self.longest.max(len);
        }
        Ok(())
    }
}

impl Tally {
    fn tell(&self, notation: &str, read: &Read, json: bool) -> io::Result<()> {
        let mut out = standard::stdout();
        let shortest = self.shortest.unwrap_or(0);
        let (end, skipped) = (read.parsed, read.skipped);
        let error = match &read.result {
            Err(Failure::Decode(error)) => Some(error),
            _ => None,
        };
        if json {
            let error =
                error.map(|error| serde_json::json!({"offset": error.offset, "reason": error.fault.to_string()}));
            let line = serde_json::json!({
                "notation": notation, "frames": self.frames, "data_bytes": self.data, "parsed_bytes": end,
                "shortest": shortest, "longest": self.longest,
                "skipped": {"frames": skipped.frames, "bytes": skipped.bytes}, "error": error,
            });
            return writeln!(out, "{line}").and_then(|()| out.flush());
        }
        let Tally { frames, data, longest, .. } = self;
        let verdict = if error.is_some() { "stops" } else { "parses to the end" };
        let s = if *frames == 1 { "" } else { "s" };
        let left_out = match skipped.frames {
            0 => String::new(),
            frames => format!("; {frames} left out, which had more data than allowed"),
        };
        writeln!(
            out,
            "{notation}: {verdict}; {frames} frame{s} with {data} bytes of data ({shortest} to {longest}) in the first {end} \
             bytes{left_out}"
        )?;
        out.flush()
    }
}
