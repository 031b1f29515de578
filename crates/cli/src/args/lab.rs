//! `unglue lab`.

pub(crate) mod dissect;
pub(crate) mod explain;
pub(crate) mod infer;
mod tap;
mod torture;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use unglue_lab::coding::Coding;
use unglue_lab::dialects::Dialect;
use unglue_lab::scenes::{self, Scene};

pub(crate) use tap::LabTapArgs;
pub(crate) use torture::LabTortureArgs;

const EXAMPLES: &str = "\
Examples:
  unglue lab scene sender                       # two sends, one recv: a first scene
  unglue lab scene --all                        # all of them
  unglue lab serve raw                          # a server of the tutorial …
  unglue lab connect raw 127.0.0.1:40123        # … and its client
  unglue lab infer capture.pcap                 # which framing do these bytes have?
  unglue lab explain 1195725856                 # what is this impossible length?
  unglue lab dissect capture.pcap --frame u32be # which messages are in it, in which packets?

The guides are docs/sticky-packets.md and docs/lab.md.";

const SERVE: &str = "\
Examples:
  unglue lab serve raw                                # on a free port, which it prints
  unglue lab serve len32 --listen 127.0.0.1:8000
  unglue lab serve header --dir incoming              # uploads land in incoming/
  unglue lab serve ack --encoding gbk                 # for a client on Chinese Windows

The dialects (wire formats): raw (a line out, bytes back), udp (datagrams), ack (a length in decimal,
and a wait for recv_ready), len32 (struct 'i' and the bytes), header (struct 'i', a JSON header, a
file). No dialect authenticates its clients: every client that can connect can run commands.
A command ends after 60 s or 64 MiB, and its background processes end with it. At most 256
clients can be connected.";

const CONNECT: &str = "\
Examples:
  unglue lab connect raw 127.0.0.1:8000
  printf 'ls -l\\npwd\\n' | unglue lab connect len32 127.0.0.1:8000
  echo 'put notes.txt' | unglue lab connect header 127.0.0.1:8000
  unglue lab connect ack 127.0.0.1:8000 --encoding gbk  # a server on Chinese Windows

One command per line, until quit or the end of input. Replies go to standard output, divided by the
dialect's rules, even if these are wrong; remarks about them go to standard error. header has
one command: put FILE.";

const SCENE: &str = "\
Examples:
  unglue lab scene                              # list the scenes
  unglue lab scene sender
  unglue lab scene nagle mtu --json
  unglue lab scene --all
  unglue lab scene --all --repeat 50            # is the result the same each time?

nagle needs root to make a network of its own. Without root, --all reports that and skips it.
With --json: the calls, `result` (the same in every run) and `measured` (differs between runs).";

/// Show why messages stick together, and examine the bytes of your own programs
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) command: LabCommand,
}

/// What the lab does.
#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    Serve(LabServeArgs),
    Connect(LabConnectArgs),
    Scene(LabSceneArgs),
    Tap(LabTapArgs),
    Torture(Box<LabTortureArgs>),
    Infer(infer::LabInferArgs),
    Explain(explain::LabExplainArgs),
    Dissect(dissect::LabDissectArgs),
}

/// Serve a wire format of the tutorial: run commands, or receive files, for every client that connects
#[derive(Debug, Args)]
#[command(after_long_help = SERVE)]
pub(crate) struct LabServeArgs {
    /// The dialect: raw, udp, ack, len32 or header
    pub(crate) dialect: Dialect,
    /// The address and port to listen on; port 0 chooses a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// The directory for uploads; it is made if it does not exist
    #[arg(long, value_name = "DIR", default_value = "file_upload")]
    pub(crate) dir: PathBuf,
    /// The text encoding on the wire: utf-8 or gbk
    #[arg(long, value_name = "NAME", default_value = "utf-8")]
    pub(crate) encoding: Coding,
    /// How long to wait for a client that makes no progress, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_wait)]
    pub(crate) wait: Duration,
    /// Listen where other machines can connect
    #[arg(long)]
    pub(crate) i_know_this_runs_commands_for_anyone: bool,
}

/// Connect to a server of `lab serve`: one command per line, each reply divided by the rules of its wire format
#[derive(Debug, Args)]
#[command(after_long_help = CONNECT)]
pub(crate) struct LabConnectArgs {
    /// The dialect: raw, udp, ack, len32 or header
    pub(crate) dialect: Dialect,
    /// Where the server listens
    #[arg(value_name = "ADDR:PORT", value_parser = parse_address)]
    pub(crate) address: SocketAddr,
    /// The text encoding on the wire: utf-8 or gbk
    #[arg(long, value_name = "NAME", default_value = "utf-8")]
    pub(crate) encoding: Coding,
    /// How long to wait for a silent server, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_wait)]
    pub(crate) wait: Duration,
}

/// Run scenes: the calls on real sockets, their results, the reason, and a fix
#[derive(Debug, Args)]
#[command(after_long_help = SCENE)]
pub(crate) struct LabSceneArgs {
    /// The scenes; without one they are listed
    #[arg(value_name = "NAME", conflicts_with = "all", value_parser = parse_scene)]
    pub(crate) names: Vec<&'static Scene>,
    /// Run all scenes
    #[arg(long)]
    pub(crate) all: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Run each scene this many times, and compare the results
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
}

impl LabSceneArgs {
    /// The scenes to play.
    pub(crate) fn scenes(&self) -> Vec<&'static Scene> {
        if self.all { scenes::ALL.to_vec() } else { self.names.clone() }
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |why: &str| format!("{why}; write it like 127.0.0.1:8000 or [::1]:8000");
    if !text.contains(':') {
        return Err(wrong("it has no port"));
    }
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&format!("it is not an address: {error}")))?;
    // Where a name has several addresses, IPv4 first: the tutorial's programs speak it.
    let first = found.next().ok_or_else(|| wrong("the name has no address"))?;
    Ok(found.chain([first]).find(SocketAddr::is_ipv4).unwrap_or(first))
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let within = seconds.filter(|wait| !wait.is_zero() && wait.as_secs() <= 86_400);
    within.ok_or_else(|| "it must be a number of seconds above 0, at most 86400".into())
}

fn parse_scene(name: &str) -> Result<&'static Scene, String> {
    let known = || scenes::ALL.map(|scene| scene.name).join(", ");
    scenes::find(name).ok_or_else(|| format!("there is no such scene; there are {}", known()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_port() {
        assert_eq!(parse_address("127.0.0.1:80"), Ok(([127, 0, 0, 1], 80).into()));
        assert!(parse_address("[::1]:80").is_ok_and(|address| address.is_ipv6()));
        assert!(parse_address("localhost:80").is_ok_and(|address| address.ip().is_loopback()));
        for wrong in ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":"] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn waits_are_bounded() {
        assert_eq!(parse_wait("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "nan", "inf", "86402", "ten", ""] {
            assert!(parse_wait(wrong).is_err(), "{wrong}");
        }
    }
}
