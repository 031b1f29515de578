//! `unglue shell`: a terminal on another machine.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Args;
use unglue::{Exec, Forward, Lease};

use super::connection::ConnectionArgs;
use super::environment::EnvironmentArgs;
use super::forward::ForwardingArgs;
use super::lease::{parse_id, parse_lease};
use super::target::HostArg;

/// How long a program lives without its client, if no lease is given: a day.
const LEASE: Lease = Lease::Keep(Duration::from_secs(24 * 3600));

const EXAMPLES: &str = "\
Examples:
  unglue shell build.example                     # a login shell
  unglue build.example                           # the same
  unglue shell --name work build.example         # to come back to, from here or elsewhere
  unglue shell --attach work build.example
  unglue shell --attach work --take build.example        # away from another client
  unglue shell --attach work --read-only build.example   # watch; type nothing
  unglue shell build.example htop                # one program instead of a shell
  unglue shell -L 8080:localhost:80 web.example  # with a port, as for unglue forward

A lost link ends nothing: the client connects again and goes on where it was, and says so in a line
on the screen until then. If this client or its machine ends, the program waits for 24 h for
unglue shell --attach (--lease sets another time); unglue jobs HOST lists what waits.

Leaving with exit or ~. ends the program, and so does closing the terminal's window, unless it
has a name.

Escape keys, after Enter (--escape chooses another character than ~, or none):
  ~.   leave; the program ends, unless it has a name
  ~d   detach: leave, and let the program run
  ~^Z  suspend this client; fg continues it
  ~?   list the escape keys
  ~~   send ~

One client at a time holds a program: it types, and the size of its terminal counts. Any number may
watch with --read-only.

The program gets TERM, COLORTERM, LANG and LC_* of this client, the variables that SendEnv of the ssh
configuration names, and those of --send-env and --env.

Exit status: the program's own, as for unglue exec; 0 after ~d.";

/// Open a shell, or another program, on a terminal on another machine
///
/// It survives lost links, and a closed laptop.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    override_usage = "unglue shell [OPTIONS] [user@]HOST[:PORT] [PROGRAM [ARG]…]\n       \
                      unglue shell [OPTIONS] --attach ID|NAME [user@]HOST[:PORT]"
)]
pub(crate) struct ShellArgs {
    /// A name to come back by; the program then outlives a closed window
    #[arg(long, value_name = "NAME", value_parser = parse_id)]
    pub(crate) name: Option<String>,
    /// Come back to a program on a terminal that was started before
    #[arg(long, value_name = "ID|NAME", value_parser = parse_id, conflicts_with_all = ["name", "lease", "command", "cwd", "env", "send_env"])]
    pub(crate) attach: Option<String>,
    /// Only watch
    #[arg(long, requires = "attach")]
    pub(crate) read_only: bool,
    /// Hold the program even if another client does; that client ends
    #[arg(long, requires = "attach", conflicts_with = "read_only")]
    pub(crate) take: bool,
    /// How long the program may live without a client: not at all (kill), so long (keep=1h), or as long as it runs (detach)
    /// [default: keep=24h]
    #[arg(long, value_name = "LEASE", value_parser = parse_lease)]
    lease: Option<Lease>,
    /// The directory to start in [default: the home directory, or the server's root]
    #[arg(long, value_name = "DIR")]
    cwd: Option<OsString>,
    #[command(flatten)]
    pub(crate) screen: ScreenArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    /// The program and its arguments [default: the login shell]
    #[arg(last = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    forwarding: ForwardingArgs,
}

/// How this side of a terminal behaves.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ScreenArgs {
    /// Show what is typed before it is echoed, underlined, where the link is slow
    #[arg(long)]
    pub(crate) predict: bool,
    /// The escape character, or none
    #[arg(long, value_name = "CHAR|none", value_parser = parse_escape, default_value = "~", hide_default_value = true)]
    pub(crate) escape: Escape,
}

/// The character before an escape key, if there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Escape(pub(crate) Option<u8>);

impl Default for Escape {
    fn default() -> Escape {
        Escape(Some(b'~'))
    }
}

/// What to run in a new terminal.
#[derive(Debug)]
pub(crate) struct ShellPlan {
    pub(crate) exec: Exec,
    pub(crate) lease: Lease,
}

impl ShellArgs {
    /// What a new terminal runs.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub(crate) fn plan(&self) -> Result<ShellPlan, String> {
        let lease = self.lease.unwrap_or(LEASE);
        if lease == Lease::Kill && self.name.is_some() {
            return Err("--name is for coming back, and with --lease kill nothing is left to come back to; leave one of them out".into());
        }
        let exec = match self.command.first() {
            Some(program) if program.is_empty() => return Err("the program's name is empty".into()),
            Some(_) => Exec::new(&self.command),
            None => Exec::login_shell(),
        };
        let mut exec = self.environment.apply(exec)?.lease(lease);
        if let Some(cwd) = &self.cwd {
            exec = exec.cwd(cwd);
        }
        if let Some(name) = &self.name {
            exec = exec.name(name);
        }
        Ok(ShellPlan { exec, lease })
    }

    /// The program, if it is not the login shell.
    pub(crate) fn program(&self) -> Option<&OsStr> {
        self.command.first().map(OsString::as_os_str)
    }

    /// The ports to forward meanwhile.
    ///
    /// # Errors
    /// One of them makes no sense.
    pub(crate) fn forwards(&self) -> Result<Vec<Forward>, String> {
        self.forwarding.forwards()
    }
}

/// Reads an escape character as ssh does: a character, `^` and a letter, or `none`.
fn parse_escape(text: &str) -> Result<Escape, String> {
    match text.as_bytes() {
        b"none" => Ok(Escape(None)),
        [key @ b'!'..=b'~'] => Ok(Escape(Some(*key))),
        [b'^', letter] if letter.is_ascii_alphabetic() => Ok(Escape(Some(letter.to_ascii_lowercase() - b'a' + 1))),
        _ => Err("write one character, as ~ or %, or ^ and a letter, or none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        shell: ShellArgs,
    }

    fn read(words: &[&str]) -> Result<ShellArgs, String> {
        let line = Line::try_parse_from([&["shell"], words].concat()).map_err(|error| error.to_string())?;
        line.shell.plan().map(|_| line.shell)
    }

    #[test]
    fn escape_characters_are_read_as_ssh_reads_them() {
        for (text, key) in
            [("~", Some(b'~')), ("%", Some(b'%')), ("^P", Some(0x10)), ("^p", Some(0x10)), ("none", None)]
        {
            assert_eq!(parse_escape(text), Ok(Escape(key)), "{text}");
        }
        for text in ["", "~~", "^1", "é", " ", "None"] {
            assert!(parse_escape(text).is_err(), "{text:?}");
        }
        assert_eq!(read(&["h"]).expect("a line").screen.escape, Escape(Some(b'~')));
    }

    #[test]
    fn coming_back_has_flags_of_its_own() {
        assert!(read(&["--attach", "work", "h"]).expect("a line").attach.is_some());
        for words in [
            &["--attach", "work", "--name", "x", "h"][..],
            &["--attach", "work", "h", "--", "ls"],
            &["--attach", "work", "--take", "--read-only", "h"],
            &["--take", "h"],
            &["--read-only", "h"],
            &["--lease", "kill", "--name", "work", "h"],
            &["h", "--", ""],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
