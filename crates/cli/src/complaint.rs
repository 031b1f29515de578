//! What unglue itself failed at: one line on standard error, and an exit code (DESIGN section 6).

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use unglue::Fault;

pub(crate) use crate::printable::printable;

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
    /// `None` if it has been reported already.
    what: Option<String>,
    exit: u8,
}

impl Complaint {
    /// A failure of unglue itself.
    pub(crate) fn new(what: impl Into<String>) -> Complaint {
        Complaint { what: Some(what.into()), exit: FAILED }
    }

    /// A failure of unglue itself of which everything has been reported.
    pub(crate) fn reported() -> Complaint {
        Complaint { what: None, exit: FAILED }
    }

    /// The same with more words at its end.
    pub(crate) fn with(self, more: &str) -> Complaint {
        Complaint { what: self.what.map(|what| what + more), ..self }
    }

    /// The same with another exit code.
    pub(crate) fn exit(self, exit: u8) -> Complaint {
        Complaint { exit, ..self }
    }

    /// Tells it on standard error, and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        if let Some(what) = &self.what {
            say(what);
        }
        ExitCode::from(self.exit)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.as_deref().unwrap_or("it was reported before"))
    }
}

impl From<Fault> for Complaint {
    fn from(fault: Fault) -> Complaint {
        Complaint::new(fault.to_string())
    }
}

/// Writes one line to standard error that is neither a failure nor what was asked for.
pub(crate) fn remark(what: &str) {
    let _ = std::io::stderr().write_all(format!("{}\n", printable(what)).as_bytes());
}

/// Writes one line that starts with `unglue:` to standard error.
pub(crate) fn say(what: &str) {
    say_lines(&printable(what));
}

/// As [`say`], for a text of this user's own that may have several lines, such as one with a mark below the place of an error.
pub(crate) fn say_lines(what: &str) {
    let lines: Vec<String> = what.split('\n').map(printable).collect();
    let line = format!("unglue: {}\n", lines.join("\n"));
    // In one write, so that lines of several processes don't mix. There is nowhere to complain about a closed stderr.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_reported_with_its_advice() {
        let fault = Fault::user(unglue::Code::NotAllowed, "no").advise("do that");
        assert_eq!(Complaint::from(fault), Complaint::new("no; do that"));
    }
}
