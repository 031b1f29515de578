//! What becomes of a program when its client leaves, and what the user is told of it.

use unglue::{Lease, signal};

use crate::args::lease::span;
use crate::complaint::Complaint;

/// Why a client leaves a program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// `~.`
    Left,
    /// `~d`
    Detached,
    /// Ctrl-C of a client that only watches.
    Watched,
    /// The terminal's window was closed.
    Closed,
    /// A signal other than SIGHUP.
    Ended(u8),
}

/// What a client is to a program on a terminal.
#[derive(Debug, Clone)]
pub(super) struct Tie {
    /// The server, as it is to be typed.
    pub(super) host: String,
    /// The program's name, or its id.
    pub(super) job: String,
    /// Whether that is a name.
    pub(super) is_named: bool,
    /// How long it may live without a client.
    pub(super) lease: Lease,
    /// This client doesn't hold it.
    pub(super) only_watches: bool,
}

impl Tie {
    /// Whether leaving for this reason ends the program.
    pub(super) fn ends(&self, why: Why) -> bool {
        let kept = self.is_named || self.only_watches;
        match why {
            Why::Left | Why::Closed => !kept,
            Why::Detached | Why::Watched => false,
            Why::Ended(_) => !self.only_watches && self.lease == Lease::Kill,
        }
    }

    /// Why it can't be detached, if it can't.
    pub(super) fn undetachable(&self) -> Option<&'static str> {
        let dies = self.lease == Lease::Kill && !self.only_watches;
        dies.then_some("this program ends with its link; start it with --lease keep=1h to be able to detach")
    }

    /// The last line for a user who has left. `ended` says whether the program is known to have ended.
    pub(super) fn last_line(&self, why: Why, ended: bool) -> Complaint {
        let how = match why {
            Why::Left => "left".into(),
            Why::Detached => "detached".into(),
            Why::Watched => "no longer watching".into(),
            Why::Closed => "the terminal is gone".into(),
            Why::Ended(signal) => format!("ended by {}", signal::name(signal.into())),
        };
        let wants_end = self.ends(why);
        let fate = match (wants_end, ended) {
            (true, true) => "the program was ended".into(),
            (true, false) => format!("the server could not be asked to end the program; {}", self.life()),
            (false, _) => self.life(),
        };
        let complaint = Complaint::new(format!("{how}; {fate}"));
        match why {
            Why::Left if wants_end && !ended => complaint,
            Why::Left | Why::Detached | Why::Watched => complaint.exit(0),
            Why::Closed => complaint.exit(129),
            Why::Ended(signal) => complaint.exit(128 + signal),
        }
    }

    /// What becomes of the program, and how to come back to it.
    pub(super) fn life(&self) -> String {
        let come_back = format!("come back to it with: {}", self.come_back());
        match self.lease {
            _ if self.only_watches => format!("the program runs on; {come_back}"),
            Lease::Keep(time) => format!("the program runs on for {}; {come_back}", span(time)),
            Lease::Detach => format!("the program runs on; {come_back}"),
            _ => "the server ends it with the link".into(),
        }
    }

    /// The command line that comes back to the program.
    pub(super) fn come_back(&self) -> String {
        let Tie { host, job, .. } = self;
        let read_only = if self.only_watches { " --read-only" } else { "" };
        format!("unglue shell {host} --attach {job}{read_only}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn tie(is_named: bool) -> Tie {
        let lease = Lease::Keep(Duration::from_secs(24 * 3600));
        Tie { host: "h".into(), job: "work".into(), is_named, lease, only_watches: false }
    }

    #[test]
    fn what_has_a_name_lives_on() {
        for why in [Why::Left, Why::Closed] {
            assert!(tie(false).ends(why) && !tie(true).ends(why), "{why:?}");
            assert!(!Tie { only_watches: true, ..tie(false) }.ends(why), "{why:?}");
        }
        for why in [Why::Detached, Why::Watched, Why::Ended(15)] {
            assert!(!tie(false).ends(why), "{why:?}");
        }
        assert!(Tie { lease: Lease::Kill, ..tie(false) }.ends(Why::Ended(15)));
    }

    #[test]
    fn the_user_is_told_how_to_come_back() {
        let told = tie(true).last_line(Why::Detached, false).to_string();
        assert_eq!(told, "detached; the program runs on for 24h; come back to it with: unglue shell h --attach work");
        assert_eq!(tie(false).last_line(Why::Left, true).to_string(), "left; the program was ended");
        let told = tie(false).last_line(Why::Left, false).to_string();
        assert!(told.contains("could not be asked") && told.contains("--attach work"), "{told}");
        let watching = Tie { only_watches: true, ..tie(true) };
        assert!(watching.last_line(Why::Watched, false).to_string().ends_with("--attach work --read-only"));
    }
}
