//! unglue-frame for a program in another language: a request a line, an answer a line, bytes in hex.
//!
//! - `open HOW NOTATION` begins a stream, and is answered with its number. HOW tells what follows a frame that is too long:
//!   `slow` leaves it out and tells so at its end, `fast:N` tells so at once and leaves out N bytes and its data, `fast:xHEX`
//!   everything up to the end of these bytes.
//! - `feed NUMBER HEX` is answered `FRAME,FRAME,… ok|toolong|bad ERROR`, a frame being `RAW:HEAD:DATA` with the sizes of its head and
//!   data, and no frame a dot.
//! - `header LENGTH NOTATION` is answered with what stands before so many bytes of data, or `bad ERROR`.

use std::io::{self, BufRead as _, Write as _};
use unglue_frame::{DecodeError, Deframer, Enframer, Fault, Framing};

enum How {
    Slow,
    FastBytes(u64),
    FastPast(Vec<u8>),
}

struct Stream {
    how: How,
    framing: Framing,
    deframer: Deframer,
    skipped: u64,
}

impl Stream {
    fn open(request: &str) -> Stream {
        let (how, notation) = request.split_once(' ').expect("HOW and a notation");
        let how = match how.strip_prefix("fast:") {
            Some(hex) if hex.starts_with('x') => How::FastPast(bytes(&hex[1..])),
            Some(head) => How::FastBytes(head.parse().expect("a number of bytes")),
            None => How::Slow,
        };
        let framing: Framing = notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"));
        Stream { how, deframer: Deframer::new(framing.clone()), framing, skipped: 0 }
    }

    fn feed(&mut self, bytes: &[u8]) -> String {
        self.deframer.feed(bytes);
        let (mut frames, mut status) = (Vec::new(), String::from("ok"));
        loop {
            let error = match self.deframer.next() {
                Ok(Some(frame)) => {
                    frames.push(format!("{}:{}:{}", hex(frame.raw()), frame.head().len(), frame.data().len()));
                    continue;
                }
                Ok(None) => break,
                Err(error) => error,
            };
            if self.goes_on(&error) {
                status = "toolong".into();
                continue;
            }
            let too_long = matches!(error.fault, Fault::TooLong { .. } | Fault::TooMuch { .. });
            status = if too_long { "toolong".into() } else { format!("bad {error}") };
            break;
        }
        if self.deframer.skipped().frames > self.skipped {
            self.skipped = self.deframer.skipped().frames;
            status = "toolong".into();
        }
        let frames = if frames.is_empty() { ".".into() } else { frames.join(",") };
        format!("{frames} {status}")
    }

    /// Leaves out the frame that was too long, as the stream is told to.
    fn goes_on(&mut self, error: &DecodeError) -> bool {
        let left_out = match (&self.how, error.fault) {
            (How::FastBytes(head), Fault::TooLong { got, .. }) => Ok(head + got),
            (How::FastPast(delimiter), Fault::NoDelimiter { .. }) => Err(delimiter),
            _ => return false,
        };
        self.deframer.switch(self.framing.clone());
        match left_out {
            Ok(bytes) => self.deframer.skip(bytes),
            Err(delimiter) => self.deframer.skip_past(delimiter).expect("it is a delimiter"),
        }
        true
    }
}

fn header(request: &str) -> String {
    let (len, notation) = request.split_once(' ').expect("a length and a notation");
    let framing = notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"));
    let mut out = Vec::new();
    match Enframer::new(framing).header(&[], len.parse().expect("a length"), &mut out) {
        Ok(()) => hex(&out),
        Err(error) => format!("bad {error}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn main() {
    let mut streams: Vec<Stream> = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("requests are text");
        let (verb, rest) = line.split_once(' ').expect("a verb and its arguments");
        let answer = match verb {
            "open" => {
                streams.push(Stream::open(rest));
                (streams.len() - 1).to_string()
            }
            "feed" => {
                let (number, hex) = rest.split_once(' ').expect("a number and bytes");
                streams[number.parse::<usize>().expect("a number")].feed(&bytes(hex))
            }
            "header" => header(rest),
            _ => panic!("{verb}: no such request"),
        };
        println!("{answer}");
        io::stdout().flush().expect("it is read");
    }
}
