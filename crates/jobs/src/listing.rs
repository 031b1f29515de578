//! Jobs in a list.

use std::sync::Arc;

use unglue_proto::message::exec::Report;
use unglue_proto::message::jobs::{Entry as Listed, State};

use crate::job::Job;
use crate::journal::{Ended, Entry};

/// A job as lists show it. `job` is there while it is under way.
pub(crate) fn listed(entry: &Entry, job: Option<&Arc<Job>>) -> Listed {
    let now = job.map(|job| job.now());
    let report = entry.ended.as_ref().map(Ended::report);
    let printed = |of: fn(&Report) -> Option<u64>| report.as_ref().and_then(of).unwrap_or(0);
    Listed {
        id: entry.id.to_string(),
        name: entry.name.as_deref().map(str::to_owned),
        state: match (&report, entry.started) {
            (Some(_), _) => State::Ended,
            (None, Some(_)) => State::Running,
            (None, None) => State::Starting,
        },
        began: entry.begun,
        ended: entry.ended.as_ref().map(|ended| ended.time),
        command: entry.command(),
        lease: entry.lease.clone(),
        pid: entry.started.map(|(pid, _)| pid),
        outcome: report.as_ref().map(|report| report.outcome.clone()),
        stdout: now.as_ref().map_or_else(|| printed(stdout), |now| now.stdout),
        stderr: now.as_ref().map_or_else(|| printed(stderr), |now| now.stderr),
        held: job.is_some_and(|job| job.is_held()),
        stalled: now.as_ref().is_some_and(|now| now.stalled),
        kept: entry.job.is_some(),
        // One that has ended had one output.
        terminal: now.is_some_and(|now| now.terminal)
            || report.is_some_and(|report| report.stdout.is_some() && report.stderr.is_none()),
    }
}

fn stdout(report: &Report) -> Option<u64> {
    report.stdout.as_ref().map(|stream| stream.tally.bytes)
}

fn stderr(report: &Report) -> Option<u64> {
    report.stderr.as_ref().map(|stream| stream.tally.bytes)
}
