//! What unglue itself failed at: one line on standard error, and an exit code (DESIGN section 6).

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use unglue_proto::Fault;

/// Everything that unglue itself failed at, wrong usage included.
pub(crate) const FAILED: u8 = 125;
/// The command timed out.
pub(crate) const TIMED_OUT: u8 = 124;
/// The program could not be run.
pub(crate) const NOT_RUNNABLE: u8 = 126;
/// The program was not found.
pub(crate) const NOT_FOUND: u8 = 127;
/// The second Ctrl-C ended the client.
pub(crate) const INTERRUPTED: u8 = 130;

/// What went wrong, in one or two sentences, and the exit code that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    what: String,
    exit: u8,
}

impl Complaint {
    /// A failure of unglue itself.
    pub(crate) fn new(what: impl Into<String>) -> Complaint {
        Complaint { what: what.into(), exit: FAILED }
    }

    /// The same with another exit code.
    pub(crate) fn exit(self, exit: u8) -> Complaint {
        Complaint { exit, ..self }
    }

    /// Tells it on standard error, and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        say(&self.what);
        ExitCode::from(self.exit)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl From<Fault> for Complaint {
    fn from(fault: Fault) -> Complaint {
        Complaint::new(fault.to_string())
    }
}

/// Writes one line that starts with `unglue:` to standard error.
pub(crate) fn say(what: &str) {
    let line = format!("unglue: {}\n", printable(what));
    // In one write, so that lines of several processes don't mix. There is nowhere to complain about a closed stderr.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Text that may come from the other end, made fit for a terminal: nothing in it moves a cursor or breaks the line.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_safe_from_what_the_other_end_says() {
        assert_eq!(printable("a\x1b[2J\nb \u{e9}"), "a\\u{1b}[2J\\nb \u{e9}");
    }

    #[test]
    fn a_fault_is_told_with_its_advice() {
        let fault = Fault::user(unglue_proto::Code::NotAllowed, "no").advise("do that");
        assert_eq!(Complaint::from(fault), Complaint::new("no; do that"));
    }
}
