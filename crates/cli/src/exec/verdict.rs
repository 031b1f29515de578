//! What an outcome means for the shell: an exit code, and for those that unglue itself chose a line on standard error.

use unglue_proto::message::exec::{Exit, Outcome, SpawnFailed, SpawnStep};
use unglue_proto::signal;

use crate::complaint::{Complaint, NOT_FOUND, NOT_RUNNABLE, TIMED_OUT};

/// The remote command's own exit code, or why there is none.
///
/// # Errors
/// The outcomes that exit with 124 to 127, each with its line.
pub(crate) fn verdict(outcome: &Outcome) -> Result<u8, Complaint> {
    match outcome {
        Outcome::Ended(exit) => Ok(code(exit)),
        Outcome::TimedOut { timed_out } => {
            let seconds = timed_out.after_ms as f64 / 1000.0;
            Err(Complaint::new(format!("the command ran for more than {seconds} s and was killed")).exit(TIMED_OUT))
        }
        Outcome::SpawnFailed { spawn_failed } => Err(not_spawned(spawn_failed)),
        Outcome::Refused { refused } => Err(refused.clone().into()),
        Outcome::LinkLost { link_lost } => Err(link_lost.clone().into()),
        Outcome::Corrupt { corrupt } => Err(corrupt.clone().into()),
        Outcome::Failed { failed } => Err(failed.clone().into()),
    }
}

/// As shells tell it: the code, or 128 and the signal's number.
pub(crate) fn code(exit: &Exit) -> u8 {
    match exit {
        Exit::Exited { exited } => *exited as u8,
        Exit::Signalled { signalled, .. } => 128u8.wrapping_add(signal::number(signalled).unwrap_or(0) as u8),
    }
}

fn not_spawned(failed: &SpawnFailed) -> Complaint {
    let complaint = Complaint::new(failed.what.clone());
    match (failed.step, failed.errno.as_str()) {
        (SpawnStep::Program, "ENOENT") => complaint.exit(NOT_FOUND),
        (SpawnStep::Program, _) => complaint.exit(NOT_RUNNABLE),
        (SpawnStep::Cwd | SpawnStep::Resources, _) => complaint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_proto::message::exec::TimedOut;
    use unglue_proto::{Code, Fault};

    fn spawn_failed(step: SpawnStep, errno: &str) -> Outcome {
        Outcome::SpawnFailed { spawn_failed: SpawnFailed { errno: errno.into(), step, what: "no".into() } }
    }

    #[test]
    fn every_outcome_has_the_code_of_section_6() {
        let ended = |exit| verdict(&Outcome::Ended(exit)).expect("an end of its own");
        assert_eq!(ended(Exit::Exited { exited: 125 }), 125);
        assert_eq!(ended(Exit::Signalled { signalled: "SIGKILL".into(), core: false }), 137);
        let refused = |outcome| verdict(&outcome).expect_err("no end of its own");
        assert_eq!(refused(Outcome::TimedOut { timed_out: TimedOut { after_ms: 1500 } }).exit(0).to_string(), {
            "the command ran for more than 1.5 s and was killed"
        });
        let no = Complaint::new("no");
        assert_eq!(refused(spawn_failed(SpawnStep::Program, "ENOENT")), no.clone().exit(127));
        assert_eq!(refused(spawn_failed(SpawnStep::Program, "EACCES")), no.clone().exit(126));
        assert_eq!(refused(spawn_failed(SpawnStep::Cwd, "ENOENT")), no.clone());
        let fault = Fault::system(Code::LinkLost, "no");
        assert_eq!(refused(Outcome::LinkLost { link_lost: fault }), no);
    }
}
