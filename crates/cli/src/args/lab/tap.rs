//! `unglue lab tap`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use unglue_frame::Framing;

use super::parse_address;
use super::torture::parse_framing;

const TAP: &str = "\
Examples:
  unglue lab tap --listen 127.0.0.1:8001 --to 127.0.0.1:8000
  unglue lab tap --listen 127.0.0.1:5433 --to 127.0.0.1:5432 --frame 'tag:u8 len:u32be data[len-4]'
  unglue lab tap --listen 127.0.0.1:8001 --to 127.0.0.1:8000 --frame lines --pcap lines.pcap
  unglue lab tap --listen 127.0.0.1:8001 --to 127.0.0.1:8000 --json > reads.jsonl

Connect the client to --listen. What the client sends is on the left, what the server sends is
indented; a line is a read of the tap, with its time in seconds. With --frame the messages that
end in it stand below: `cut` began in an earlier read, `shared` means that the read also holds
bytes of another message. As root each read tells the segments that it came in.

On a screen what can't be shown in time is left out, counted, and passed on all the same; with
--json nothing is left out, and a slow reader of it slows the connections. The capture of --pcap
is always whole; Wireshark opens it.

Ends with Ctrl-C, or after --connections N.";

/// Pass connections on, and show live what each read gave and which messages that were
#[derive(Debug, Args)]
#[command(after_long_help = TAP)]
pub(crate) struct LabTapArgs {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// Where the server listens
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub(crate) to: SocketAddr,
    /// The framing of both directions, such as u32be or lines
    #[arg(long, value_name = "NOTATION", value_parser = parse_framing)]
    pub(crate) frame: Option<Framing>,
    /// The framing of what the server sends, if it is another one
    #[arg(long, value_name = "NOTATION", value_parser = parse_framing)]
    pub(crate) frame_reply: Option<Framing>,
    /// Write a capture
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// End after so many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connections: Option<u64>,
    /// Don't ask the kernel for segments
    #[arg(long)]
    pub(crate) no_segments: bool,
    /// Print a JSON object for each event
    #[arg(long)]
    pub(crate) json: bool,
}
