//! `unglue lab infer`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  unglue lab infer capture.pcap                 # all TCP streams of a capture (pcap, pcapng)
  unglue lab infer dump.txt                     # xxd, hexdump -C, Wireshark's dumps, hex digits
  unglue lab infer stream.bin --json
  nc example 4000 | unglue lab infer -          # the bytes themselves, from a pipe

infer assumes that several files, and the streams of a capture, have the same protocol. It also
examines each direction alone. It searches the first 64 KiB of a stream.

The verdict: certain (bytes without this framing would hardly look like this), likely (it fits
well, and better than all others) or ambiguous (the evidence is too weak). The score is in bits:
each bit halves the chance that other bytes would fit as well.

Exit status: 0 with a verdict, ambiguous included; 1 if there was no stream with bytes; 125 if
used wrongly, or if a file can't be read.

How the score works, and how often it is right: docs/lab.md.";

/// Find the framing of bytes: ranked notations, with the evidence for each
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabInferArgs {
    /// Captures, hex dumps or raw bytes; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The files are the bytes themselves, even where they look like a capture or a hex dump
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
