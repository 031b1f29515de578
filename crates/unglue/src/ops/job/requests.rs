//! The server's half of requests about jobs.

use unglue_jobs::{Ended, Known, Order};
use unglue_link::Link;
use unglue_proto::message::exec::{Nothing, Report};
use unglue_proto::message::jobs::{Attach, Attached, From, FromServer, Jobs as List, Placed, Remove, Reply, Signal};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault, signal};

use super::serve::{Beginning, Jobs, Wants, attend, has_output};
use crate::ops::exec::no_terminal;
use crate::ops::{Control, turn_down};

/// Serves a client that attaches to a job.
///
/// # Errors
/// The request was refused, or the client has gone.
pub(crate) async fn serve_attach(
    link: &Link,
    jobs: Jobs<'_>,
    attach: Attach,
    control: Control,
) -> Result<Report, Fault> {
    let stdin = attach.stdin.map(|number| link.claim(number)).transpose()?;
    let found = jobs.registry.find(jobs.asking, &attach.job);
    let checked = found.and_then(|known| wanted(&known, &attach).map(|wanted| (known, wanted)));
    let (known, outputs) = match checked.and_then(|checked| may_type(&checked.0, &attach, jobs.pty).map(|()| checked)) {
        Ok(checked) => checked,
        Err(fault) => return turn_down(control.sender, fault).await,
    };
    let hold = match (&known, attach.hold) {
        (Known::Live(job), true) => match job.hold(attach.take).await {
            Ok(hold) => Some(hold),
            Err(fault) => return turn_down(control.sender, fault).await,
        },
        _ => None,
    };
    let id = match &known {
        Known::Live(job) => job.id.clone(),
        Known::Ended(ended) => ended.id.clone(),
    };
    // Only a holder feeds the job.
    let stdin = stdin.filter(|_| hold.is_some());
    let wants = Wants { stdin, outputs, screen: attach.screen, follow: attach.follow, compression: Compression::Off };
    let leaving = match &known {
        Known::Live(job) if job.lease.is_kill() => None,
        _ => Some(jobs.leaving),
    };
    attend(link, &known, hold, wants, (control, leaving), |mut sender, beginning| async move {
        let Beginning { pid, since, taken, streams, view } = beginning;
        let (terminal, picture) = (view.as_ref().map(|view| view.size), view.and_then(|view| view.picture));
        let mut outputs = outputs;
        outputs[0] = picture.map(|(_, from)| from).or(outputs[0]);
        let placed = |output: usize| streams[output].zip(outputs[output]).map(|(stream, from)| Placed { stream, from });
        let screen = picture.map(|(stream, _)| stream);
        let attached = Attached { id, pid, since, taken, stdout: placed(0), stderr: placed(1), terminal, screen };
        sender.send(&FromServer::Attached(Box::new(attached))).await?;
        Ok(sender)
    })
    .await
}

/// Whoever holds a terminal types on it.
fn may_type(known: &Known, attach: &Attach, pty: bool) -> Result<(), Fault> {
    match known {
        Known::Live(job) if attach.hold && !pty && job.now().terminal => Err(no_terminal()),
        _ => Ok(()),
    }
}

/// From where on the client is sent the two outputs.
fn wanted(known: &Known, attach: &Attach) -> Result<[Option<u64>; 2], Fault> {
    let ends = match known {
        Known::Live(job) => {
            let now = job.now();
            [now.stdout, now.stderr]
        }
        Known::Ended(Ended { report, .. }) => {
            [&report.stdout, &report.stderr].map(|stream| stream.as_ref().map_or(0, |stream| stream.tally.bytes))
        }
    };
    let place = |from: &Option<From>, end: u64| match from {
        None => Ok(None),
        Some(From::Offset(offset)) => Ok(Some(*offset)),
        Some(From::End(_)) => Ok(Some(end)),
        Some(From::Unknown(unknown)) => {
            let what = format!("this version of unglue doesn't know {:?} as a place in an output", unknown.kind);
            Err(Fault::user(Code::Unsupported, what).advise("update the server"))
        }
    };
    let places = [place(&attach.stdout, ends[0])?, place(&attach.stderr, ends[1])?];
    if places.iter().any(Option::is_some) {
        has_output(known)?;
    }
    Ok(places)
}

/// Lists jobs.
///
/// # Errors
/// The client has gone, or the one job that it named is not known.
pub(crate) async fn serve_jobs(jobs: Jobs<'_>, request: List, control: Control) -> Result<(), Fault> {
    let entries = jobs.registry.list(jobs.asking, request.job.as_deref());
    if let (Some(job), true) = (&request.job, entries.is_empty()) {
        return answer(jobs.registry.find(jobs.asking, job).map(drop), control).await;
    }
    let mut sender = control.sender;
    for entry in entries {
        sender.send(&Reply::Entry(Box::new(entry))).await?;
    }
    Ok(sender.send_final(&Reply::Done(Nothing {})).await?)
}

/// Sends a signal to a job.
///
/// # Errors
/// The request was refused, or the client has gone.
pub(crate) async fn serve_signal(jobs: Jobs<'_>, request: Signal, control: Control) -> Result<(), Fault> {
    let done = match (signal::number(&request.signal), jobs.registry.find(jobs.asking, &request.job)) {
        (_, Err(fault)) => Err(fault),
        (None, _) => Err(Fault::user(Code::BadMessage, format!("{:?} is not a signal of this system", request.signal))
            .advise("signal(7) lists them: TERM, KILL, INT, …")),
        (Some(_), Ok(Known::Ended(ended))) => {
            Err(Fault::user(Code::NoSuchJob, format!("the command {} has ended", ended.id)).advise("nothing was done"))
        }
        (Some(number), Ok(Known::Live(job))) => {
            job.order(Order::Signal(number)).await;
            Ok(())
        }
    };
    answer(done, control).await
}

/// Forgets a job that has ended.
///
/// # Errors
/// The request was refused, or the client has gone.
pub(crate) async fn serve_remove(jobs: Jobs<'_>, request: Remove, control: Control) -> Result<(), Fault> {
    answer(jobs.registry.remove(jobs.asking, &request.job), control).await
}

async fn answer(done: Result<(), Fault>, control: Control) -> Result<(), Fault> {
    match done {
        Ok(()) => Ok(control.sender.send_final(&Reply::Done(Nothing {})).await?),
        Err(fault) => turn_down(control.sender, fault).await,
    }
}
