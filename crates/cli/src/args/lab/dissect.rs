//! `unglue lab dissect`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  unglue lab dissect capture.pcap --frame u32be
  unglue lab dissect capture.pcapng --frame 'tag:u8 len:u32be data[len-4]' --json
  tcpdump -i lo -w - port 5432 | unglue lab dissect - --frame lines

dissect prints a line for each message: its packets, where it begins in its stream, its fields, and
its data. It marks messages that span packets, messages that share a packet with another one, and
messages that it found by trying where packets begin, because bytes before them are missing.

Exit status: 0 if every byte belongs to a complete message; 1 if bytes are missing, or do not form
messages of this notation; 125 if used wrongly, or if the file can't be read.";

/// List the messages of a capture, with the packets that carry each one
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabDissectArgs {
    /// A capture (pcap or pcapng); - is standard input
    #[arg(value_name = "FILE.pcap")]
    pub(crate) file: PathBuf,
    /// The framing of both directions, such as u32be or lines; unglue frame list shows more
    #[arg(long, value_name = "NOTATION")]
    pub(crate) frame: String,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}
