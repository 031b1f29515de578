//! One command of a list.

use tokio::task::JoinHandle;
use unglue::{Client, Exit, Fault, Input, Outcome, Report};

use super::line::Job;
use crate::exec::drive::Ended;
use crate::exec::object::{Kept, Object};
use crate::exec::pump::{Destination, Pumped, pump};

/// A command that has ended.
pub(super) struct Done {
    /// The id that others may need.
    pub(super) given: Option<String>,
    id: Option<String>,
    report: Report,
    kept: Option<(Kept, Kept)>,
}

impl Done {
    /// A command that was not run.
    pub(super) fn not_run(job: Job, outcome: Outcome) -> Done {
        Done { id: job.given.clone(), given: job.given, report: Report::of(outcome), kept: None }
    }

    /// Whether it counts as a success: it exited with 0, now or when it was run before.
    pub(super) fn succeeded(&self) -> bool {
        let zero = |outcome: &Outcome| matches!(outcome, Outcome::Ended(Exit::Exited(0)));
        match &self.report.outcome {
            Outcome::NotKept(before) => zero(before),
            outcome => zero(outcome),
        }
    }

    /// Its object on one line.
    pub(super) fn line(self) -> serde_json::Result<Vec<u8>> {
        Object::new(self.id.as_deref(), &self.report, self.kept).to_line()
    }
}

/// Runs a command to its end. Dropped, it kills the command.
pub(super) async fn run(client: Client, job: Job, cap: u64) -> Done {
    let Job { given, id, exec, stdin, .. } = job;
    let mut running = match client.exec(&exec).await {
        Ok(running) => running,
        Err(fault) => return Done { given, id: Some(id), report: report(fault), kept: None },
    };
    let keep = || Destination::Keep(Kept::up_to(cap));
    let stdout = Task(tokio::spawn(pump(running.stdout.take(), keep())));
    let stderr = Task(tokio::spawn(pump(running.stderr.take(), keep())));
    let feeding = running.stdin.take().zip(stdin).map(|(input, data)| Task(tokio::spawn(feed(input, data))));
    running.exited().await;
    // Nobody reads it any more.
    drop(feeding);
    let report = running.outcome().await;
    let overdue = running.is_overdue();
    let kept = (stdout.end(overdue).await.kept, stderr.end(overdue).await.kept);
    Done { given, id: Some(id), report, kept: kept.0.zip(kept.1) }
}

fn report(fault: Fault) -> Report {
    Ended::after_the_request(fault).report
}

async fn feed(mut input: Input, data: bytes::Bytes) {
    // That the command reads no more is in the report.
    if input.write_all(data).await.is_ok() {
        input.finish();
    }
}

/// A task that ends when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task<Pumped> {
    async fn end(mut self, overdue: bool) -> Pumped {
        if overdue {
            self.0.abort();
        }
        (&mut self.0).await.unwrap_or_default()
    }
}
