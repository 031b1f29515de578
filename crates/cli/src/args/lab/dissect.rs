//! `unglue lab dissect`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  unglue lab dissect capture.pcap --frame u32be
  unglue lab dissect capture.pcapng --frame 'tag:u8 len:u32be data[len-4]' --json
  tcpdump -i lo -w - port 5432 | unglue lab dissect - --frame lines

A line for each message: its packets, where it begins in its stream, its fields, its data.
Marked are messages that span packets, those that share a packet with another, and those found
by trying where packets begin, since bytes before them are missing.

Exit status: 0 if every byte belongs to a whole message; 1 if bytes are missing, or are no frames
of this notation; 125 if used wrongly, or if the file can't be read.";

/// List the messages of a capture, with the packets that each came in
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabDissectArgs {
    /// A capture (pcap or pcapng); - is standard input
    #[arg(value_name = "FILE.pcap")]
    pub(crate) file: PathBuf,
    /// The framing of both directions, such as u32be or lines; unglue frame list tells more
    #[arg(long, value_name = "NOTATION")]
    pub(crate) frame: String,
    /// Print a JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}
