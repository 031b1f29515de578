//! What an outcome means for the shell: an exit code, and for those that unglue itself chose a line on standard error.

use unglue::{Exit, Outcome, SpawnFailed, SpawnStep, Unknown, signal};

use crate::complaint::{Complaint, NOT_FOUND, NOT_RUNNABLE, TIMED_OUT};

/// The remote command's own exit code, or why there is none.
///
/// # Errors
/// The outcomes that exit with 124 to 127, each with its line.
pub(crate) fn verdict(outcome: &Outcome) -> Result<u8, Complaint> {
    match outcome {
        Outcome::Ended(exit) => code(exit),
        Outcome::TimedOut(after) => {
            let seconds = after.after_ms as f64 / 1000.0;
            Err(Complaint::new(format!("the command ran for more than {seconds} s and was killed")).exit(TIMED_OUT))
        }
        Outcome::SpawnFailed(failed) => Err(not_spawned(failed)),
        Outcome::Cancelled(fault)
        | Outcome::Unkillable(fault)
        | Outcome::Refused(fault)
        | Outcome::Unreachable(fault)
        | Outcome::LinkLost(fault)
        | Outcome::Corrupt(fault)
        | Outcome::Failed(fault)
        | Outcome::NotKnown(fault) => Err(fault.clone().into()),
        Outcome::OutputLimit(limit) => Err(Complaint::new(format!(
            "the command printed more than the {} bytes that it was allowed, and was killed",
            limit.bytes
        ))),
        Outcome::NotKept(outcome) => Err(Complaint::new(format!(
            "a command was run under this id before, and {}; its output was not kept; to run it again, give it another id",
            past(outcome)
        ))),
        Outcome::Unknown(unknown) => Err(of_later_version(unknown)),
    }
}

/// As shells report it: the code, or 128 and the signal's number.
///
/// # Errors
/// This version doesn't know this way to end, or the signal.
pub(crate) fn code(exit: &Exit) -> Result<u8, Complaint> {
    match exit {
        Exit::Exited(code) => Ok(*code),
        Exit::Signalled(by) => match signal::number(&by.signal).and_then(|number| u8::try_from(number).ok()) {
            Some(number) => Ok(128 + number),
            None => Err(Complaint::new(format!(
                "the command was ended by {:?}, a signal that this machine doesn't know",
                by.signal
            ))),
        },
        Exit::Unknown(unknown) => Err(of_later_version(unknown)),
    }
}

/// How a command ended, as a part of a sentence.
fn past(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ended(Exit::Exited(code)) => format!("ended with the exit code {code}"),
        Outcome::Ended(Exit::Signalled(by)) => format!("was ended by {}", by.signal),
        outcome => match verdict(outcome) {
            Ok(code) => format!("ended with the exit code {code}"),
            Err(complaint) => format!("ended so: {complaint}"),
        },
    }
}

fn of_later_version(unknown: &Unknown) -> Complaint {
    let Unknown { kind, body } = unknown;
    Complaint::new(format!(
        "the command ended as {kind:?} ({body}), which this version doesn't know; update unglue here"
    ))
}

fn not_spawned(failed: &SpawnFailed) -> Complaint {
    let complaint = Complaint::new(failed.what.clone());
    match (&failed.step, failed.errno.as_str()) {
        (SpawnStep::Program, "ENOENT") => complaint.exit(NOT_FOUND),
        (SpawnStep::Program, _) => complaint.exit(NOT_RUNNABLE),
        (SpawnStep::Cwd | SpawnStep::Resources | SpawnStep::Unknown(_), _) => complaint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue::TimedOut;
    use unglue::{Code, Fault};

    fn spawn_failed(step: SpawnStep, errno: &str) -> Outcome {
        Outcome::SpawnFailed(SpawnFailed { errno: errno.into(), step, what: "no".into() })
    }

    #[test]
    fn every_outcome_has_the_code_of_section_6() {
        let ended = |exit| verdict(&Outcome::Ended(exit)).expect("an end of its own");
        assert_eq!(ended(Exit::Exited(125)), 125);
        assert_eq!(ended(Exit::signalled("SIGKILL", false)), 137);
        let refused = |outcome| verdict(&outcome).expect_err("no end of its own");
        assert_eq!(refused(Outcome::TimedOut(TimedOut { after_ms: 1500 })).exit(0).to_string(), {
            "the command ran for more than 1.5 s and was killed"
        });
        let no = Complaint::new("no");
        assert_eq!(refused(spawn_failed(SpawnStep::Program, "ENOENT")), no.clone().exit(127));
        assert_eq!(refused(spawn_failed(SpawnStep::Program, "EACCES")), no.clone().exit(126));
        assert_eq!(refused(spawn_failed(SpawnStep::Cwd, "ENOENT")), no.clone());
        let fault = Fault::system(Code::LinkLost, "no");
        assert_eq!(refused(Outcome::LinkLost(fault)), no);
        let later = serde_json::from_str(r#"{"suspended":{"until":"noon"}}"#).expect("an outcome");
        assert!(refused(later).to_string().contains("suspended"));
    }
}
