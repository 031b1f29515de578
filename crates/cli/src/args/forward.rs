//! `unglue forward`, and the flags that it shares with `exec`.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Args;
use unglue::{Fault, Forward};

use super::connection::ConnectionArgs;
use super::span::parse_timeout;
use super::target::HostArg;

const EXAMPLES: &str = "\
Examples:
  unglue forward -L 5432:localhost:5432 db.example          # its database, at port 5432 here
  unglue forward -L 5432:localhost:5432 db.example -- psql -h localhost
  unglue forward -L 8080:intranet:80 -L 2222:backup:22 gate.example
  unglue forward -R 9000:localhost:3000 web.example         # port 3000 here, at port 9000 there
  unglue forward -D 1080 gate.example                       # a SOCKS proxy
  unglue forward -L /tmp/docker.sock:/run/docker.sock build.example
  unglue forward --keep 1h -L 5432:localhost:5432 db.example

-L, -R and -D are written as for ssh. A part with a / is the path of a unix socket, and an IPv6
address is written in brackets: -L 8080:[2001:db8::1]:80. Without an address in front of it, a port
is opened on loopback only; * opens it on all addresses. Port 0 picks a free port.

unglue prints to standard error where it listens.

Exit status: PROGRAM's own, 128+N if signal N ended it, 126 or 127 if it could not be run; without
PROGRAM, 0 after Ctrl-C; 125 if unglue itself failed.";

/// What to forward.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Forwarding")]
pub(crate) struct ForwardingArgs {
    /// Listen on this machine, and have the server connect. A path with a / is a unix socket. May be repeated
    #[arg(short = 'L', value_name = "[BIND:]PORT:HOST:HOSTPORT")]
    local: Vec<OsString>,
    /// Listen on the server, and connect from this machine. May be repeated
    #[arg(short = 'R', value_name = "[BIND:]PORT:HOST:HOSTPORT")]
    remote: Vec<OsString>,
    /// Run a SOCKS proxy (4, 4a, 5) on this machine, and have the server connect. May be repeated
    #[arg(short = 'D', value_name = "[BIND:]PORT")]
    dynamic: Vec<OsString>,
}

impl ForwardingArgs {
    /// What was asked for.
    ///
    /// # Errors
    /// One of them makes no sense.
    pub(crate) fn forwards(&self) -> Result<Vec<Forward>, String> {
        let read = |texts: &[OsString], read: fn(&OsStr) -> Result<Forward, Fault>| {
            texts.iter().map(|text| read(text).map_err(|fault| fault.to_string())).collect::<Vec<_>>()
        };
        let all = [
            read(&self.local, Forward::local),
            read(&self.remote, Forward::remote),
            read(&self.dynamic, Forward::dynamic),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Forward ports and unix sockets to or from another machine
///
/// Runs until Ctrl-C. With PROGRAM, it starts that program on this machine, and ends with it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "unglue forward [OPTIONS] [-L …] [-R …] [-D …] [user@]HOST[:PORT] [-- PROGRAM [ARG]…]")]
pub(crate) struct ForwardArgs {
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    /// A program to run on this machine while ports are forwarded, and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
    #[command(flatten)]
    forwarding: ForwardingArgs,
    /// Connect again when the connection is lost, and try for up to this long (30s, 10m, 1h)
    #[arg(long, value_name = "DUR", value_parser = parse_timeout)]
    pub(crate) keep: Option<Duration>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

impl ForwardArgs {
    /// What was asked for.
    ///
    /// # Errors
    /// Nothing was, or it makes no sense.
    pub(crate) fn forwards(&self) -> Result<Vec<Forward>, String> {
        let forwards = self.forwarding.forwards()?;
        match forwards.is_empty() {
            true => Err(format!(
                "there is nothing to forward; give -L, -R or -D: unglue forward -L 8080:localhost:80 {}",
                self.host
            )),
            false => Ok(forwards),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        forward: ForwardArgs,
    }

    fn forwards(words: &[&str]) -> Result<Vec<Forward>, String> {
        let line = Line::try_parse_from([&["forward"], words].concat()).map_err(|error| error.to_string())?;
        line.forward.forwards()
    }

    #[test]
    fn flags_may_stand_on_either_side_of_the_host() {
        let read = forwards(&["-L", "1:h:2", "host", "-L3:h:4", "-D", "5", "--", "p", "-L"]).expect("a line");
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn nothing_to_forward_is_refused() {
        assert!(forwards(&["host"]).expect_err("nothing").contains("give -L, -R or -D"));
        assert!(forwards(&["-L", "80", "host"]).expect_err("no place").contains("[BIND:]PORT:HOST:HOSTPORT"));
    }
}
