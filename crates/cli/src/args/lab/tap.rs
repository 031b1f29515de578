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

Connect the client to the address of --listen. What the client sends is on the left, what the
server sends is indented. Each line is one read of the tap, with its time in seconds. With --frame,
the messages that end in it are listed below: `cut` means that the message began in an earlier
read, `shared` that the read also holds bytes of another message. As root, tap also shows the
segments of each read.

If a terminal is too slow, tap leaves lines out and counts them, but still forwards the bytes. With
--json nothing is left out, and a slow reader of the output slows the connections. The capture of
--pcap is always complete; Wireshark opens it.

Ends with Ctrl-C, or after --connections N.";

/// Forward connections, and show the bytes of each read and the messages in them
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
    /// End after this many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connections: Option<u64>,
    /// Don't ask the kernel for segments
    #[arg(long)]
    pub(crate) no_segments: bool,
    /// Print a JSON object for each event
    #[arg(long)]
    pub(crate) json: bool,
}
