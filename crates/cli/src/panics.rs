//! Panics: a bug is reported in one line, and the process ends with 125, as for everything else that unglue itself fails at.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo, UnwindSafe};

use crate::complaint::{Complaint, say};
use crate::log;

/// How tokio panics where the system refuses it a thread for blocking work.
const NO_THREAD: &str = "OS can't spawn worker thread: ";

/// Has panics reported as a line of the log where there is one, and as a line on standard error otherwise. A write that fails is
/// not another panic.
pub(crate) fn report_in_one_line() {
    panic::set_hook(Box::new(report));
}

/// Runs the command.
///
/// # Errors
/// Its own, and a quiet one if it panicked, which was reported then.
pub(crate) fn caught<T>(command: impl FnOnce() -> Result<T, Complaint> + UnwindSafe) -> Result<T, Complaint> {
    panic::catch_unwind(command).unwrap_or_else(|_| Err(Complaint::reported()))
}

fn report(panic: &PanicHookInfo<'_>) {
    let what = message(panic.payload());
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    tracing::error!(event = "panic", thread, place, what);
    if log::is_a_servers() {
        return;
    }
    // In raw mode, and on an alternate screen, the line would be lost.
    let had_terminal = crate::shell::emergency();
    if let Some(why) = what.strip_prefix(NO_THREAD) {
        say(&format!("the system refused a new thread: {why}; raise the limit (ulimit -u, TasksMax=)"));
    } else {
        say(&format!("a bug in unglue, at {place}: {what}; please report it"));
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        // Asked for by RUST_BACKTRACE, so more than one line is welcome.
        backtrace.to_string().lines().for_each(say);
    }
    if had_terminal {
        // A panic in a task would leave the others running, and the user typing at a terminal that isn't raw any more.
        std::process::exit(125);
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;

    #[test]
    fn a_panic_is_a_failure_like_any_other() {
        let broken = caught(|| -> Result<(), Complaint> { panic!("on purpose") });
        assert_eq!(broken.expect_err("a complaint"), Complaint::reported());
        assert_eq!(format!("{:?}", Complaint::reported().tell()), format!("{:?}", ExitCode::from(125)));
        assert_eq!(caught(|| Ok(3)), Ok(3));
        assert_eq!(message(&"words"), "words");
        assert_eq!(message(&String::from("words")), "words");
        assert_eq!(message(&7), "a panic without a message");
    }
}
