//! The server's half: a client that holds or watches a job.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::watch;
use unglue_host::process::STDIN_WINDOW;
use unglue_jobs::{Asking, Ended, Hold, Job, Known, Order, Registry, Snapshot, Turn};
use unglue_link::{Link, RecvStream, StreamError};
use unglue_proto::life::Output;
use unglue_proto::message::exec::{FromClient, Nothing, Outcome, Report, Sent, StreamEnd, TerminalSize};
use unglue_proto::message::jobs::FromServer;
use unglue_proto::message::{Tally, Time};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault, signal};

use super::spooled::Spooled;
use super::terminal::{self, View};
use crate::ops::{Control, ControlReceiver, ControlSender};
use crate::server::Leaving;

/// The client is told when so much more of the input was taken: until then it keeps that, to send it again after a lost link. A message
/// for each key would come between the key and its echo.
const TAKEN: u64 = 1024;

/// What requests about jobs are served from.
pub(crate) struct Jobs<'a> {
    pub(crate) registry: &'a Registry,
    /// Who asks.
    pub(crate) asking: Asking<'a>,
    /// The server is to stop: its clients go on over a link to the next one.
    pub(crate) leaving: Leaving,
    /// Whether the client may type on a terminal.
    pub(crate) pty: bool,
}

/// What a client wants of a job.
pub(crate) struct Wants {
    /// Its stream that feeds the job's input.
    pub(crate) stdin: Option<RecvStream>,
    /// From where on it wants the outputs.
    pub(crate) outputs: [Option<u64>; 2],
    /// The size of its terminal, if it wants a picture of the job's terminal first.
    pub(crate) screen: Option<TerminalSize>,
    /// Whether to go on until the job has ended.
    pub(crate) follow: bool,
    /// How the outputs are compressed.
    pub(crate) compression: Compression,
}

/// What the client is told first.
pub(crate) struct Beginning {
    pub(crate) pid: u32,
    pub(crate) since: Time,
    /// How much of its input the command was given.
    pub(crate) taken: u64,
    /// The streams of the outputs.
    pub(crate) streams: [Option<u64>; 2],
    /// The job's terminal, if it has one.
    pub(crate) view: Option<View>,
}

/// Serves one client of a job: sends what it wants, takes what it says. `greet` says the first message.
///
/// # Errors
/// The client has gone.
pub(crate) async fn attend<G, F>(
    link: &Link,
    known: &Known,
    hold: Option<Hold>,
    mut wants: Wants,
    (control, leaving): (Control, Option<Leaving>),
    greet: G,
) -> Result<Report, Fault>
where
    G: FnOnce(ControlSender, Beginning) -> F,
    F: Future<Output = Result<ControlSender, Fault>>,
{
    let Control { sender, receiver } = control;
    let (pid, since) = started(known).await;
    let taken = hold.as_ref().map_or(0, Hold::fed);
    let (seen, picture) = terminal::look(known, &mut wants, hold.as_ref()).await.unzip();
    let mut screen = None;
    if let Some(Some(_)) = picture {
        screen = Some(link.open_unidirectional().await?);
    }
    let mut streams = [None, None];
    for (stream, _) in streams.iter_mut().zip(wants.outputs).filter(|(_, from)| from.is_some()) {
        let mut output = link.open_unidirectional().await?;
        output.compress(wants.compression);
        *stream = Some(output);
    }
    let numbers = streams.each_ref().map(|stream| stream.as_ref().map(unglue_link::SendStream::number));
    let view = seen.map(|size| {
        let number = screen.as_ref().map(unglue_link::SendStream::number);
        View { size, picture: number.zip(wants.outputs[0]) }
    });
    let is_terminal = view.is_some();
    let sender = greet(sender, Beginning { pid, since, taken, streams: numbers, view }).await?;
    let watch = match known {
        Known::Live(job) if wants.follow => Some(job.watch()),
        _ => None,
    };
    let directory = terminal::directory(known);
    let shown = terminal::shown(known, hold.as_ref(), is_terminal);
    let [stdout, stderr] = [Output::Stdout, Output::Stderr].map(|output| {
        let stream = streams[output as usize].take();
        let (from, watch, shown) = (wants.outputs[output as usize].unwrap_or_default(), watch.clone(), shown.clone());
        async move {
            match (stream, directory) {
                (Some(stream), Some(directory)) => {
                    Spooled { directory, output, stream, from, shown }.run(watch).await.map(Some)
                }
                _ => Ok(None),
            }
        }
    });
    let picture = terminal::send(screen, picture.flatten());
    let outputs = pin!(async {
        let (stdout, stderr, ()) = tokio::join!(stdout, stderr, picture);
        Ok((stdout?, stderr?))
    });
    let feeding = pin!(feed(wants.stdin, known, hold.as_ref().map(|hold| (hold.turn(), taken))));
    let attendance = Attendance { known, hold, watch, sender, receiver: Some(receiver), taken, exited: false };
    tokio::select! {
        report = attendance.run(outputs, feeding, wants.outputs, wants.follow) => report,
        () = begins(leaving) => Err(Fault::system(Code::GoingAway, "the server is stopping; the command goes on")),
    }
}

/// Waits until the server is to stop, where that matters.
async fn begins(leaving: Option<Leaving>) {
    match leaving {
        Some(mut leaving) => leaving.begins().await,
        None => std::future::pending().await,
    }
}

/// Waits until the command runs, or will not.
async fn started(known: &Known) -> (u32, Time) {
    match known {
        Known::Ended(ended) => ended.started.unwrap_or((0, ended.began)),
        Known::Live(job) => {
            let mut watch = job.watch();
            let now = watch.wait_for(|now| now.pid.is_some() || now.report.is_some()).await;
            (now.ok().and_then(|now| now.pid).unwrap_or_default(), job.began)
        }
    }
}

/// Passes the client's input on to the job, as far as it has room for it. Never returns: how the input ended is the job's
/// matter.
async fn feed(stdin: Option<RecvStream>, known: &Known, from: Option<(Turn, u64)>) {
    if let (Some(mut stream), Known::Live(job), Some((turn, mut at))) = (stdin, known, from) {
        let mut watch = job.watch();
        while let Some(room) = room(&mut watch, at).await {
            match stream.read(room).await {
                Ok(Some(data)) => {
                    let len = data.len() as u64;
                    job.order(Order::Feed(turn, at, data)).await;
                    at += len;
                }
                Ok(None) => {
                    job.order(Order::FinishStdin(turn, at)).await;
                    break;
                }
                Err(StreamError::Reset(Code::Cancelled)) => {
                    let what = format!("the command's input broke off after {at} bytes");
                    let fault = Fault::user(Code::Cancelled, what);
                    let advice = "the command was killed: it had not seen all of its input";
                    job.order(Order::Cancel(fault.advise(advice))).await;
                    break;
                }
                // The client goes, and another may go on with the input.
                Err(_) => break,
            }
        }
    }
    std::future::pending().await
}

/// How much of the input the job has room for; `None` once it wants no more.
async fn room(watch: &mut watch::Receiver<Snapshot>, at: u64) -> Option<usize> {
    let ends = |now: &Snapshot| now.stdin_ended || now.report.is_some();
    let now = watch.wait_for(|now| ends(now) || now.stdin + STDIN_WINDOW > at).await.ok()?;
    if ends(&now) {
        return None;
    }
    usize::try_from(now.stdin + STDIN_WINDOW - at).ok()
}

struct Attendance<'a> {
    known: &'a Known,
    hold: Option<Hold>,
    watch: Option<watch::Receiver<Snapshot>>,
    sender: ControlSender,
    receiver: Option<ControlReceiver>,
    /// What the client knows that was taken of its input.
    taken: u64,
    /// Whether it knows that the command has exited.
    exited: bool,
}

type Tallies = (Option<Tally>, Option<Tally>);

impl Attendance<'_> {
    async fn run(
        mut self,
        mut outputs: Pin<&mut impl Future<Output = Result<Tallies, Fault>>>,
        mut feeding: Pin<&mut impl Future<Output = ()>>,
        from: [Option<u64>; 2],
        follow: bool,
    ) -> Result<Report, Fault> {
        let mut sent: Option<Tallies> = None;
        self.report_progress().await?;
        loop {
            if let Some(sent) = &sent {
                if !follow {
                    let report = Report::of(Outcome::exited(0));
                    return self.finish(&FromServer::Done(Nothing {})).await.map(|()| report);
                }
                if let Some(mut report) = self.report() {
                    // The whole tallies say nothing to one who didn't see the beginning.
                    if from.iter().flatten().any(|from| *from > 0) {
                        report.sent = Some(Sent { stdout: sent.0.clone(), stderr: sent.1.clone() });
                    }
                    self.finish(&FromServer::Outcome(Box::new(report.clone()))).await?;
                    return Ok(report);
                }
            }
            tokio::select! {
                tallies = &mut outputs, if sent.is_none() => sent = Some(tallies?),
                () = &mut feeding => {}
                () = replaced(&mut self.hold) => {
                    let fault = Fault::user(Code::Held, "another client has taken the command over");
                    return self.finish(&FromServer::Replaced(Nothing {})).await.and(Err(fault));
                }
                () = changed(&mut self.watch) => self.report_progress().await?,
                message = next(&mut self.receiver) => self.obey(message?).await,
            }
        }
    }

    /// Says what has happened to the command.
    async fn report_progress(&mut self) -> Result<(), Fault> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let (exit, stdin) = {
            let now = watch.borrow_and_update();
            (now.exit.clone(), now.stdin)
        };
        if stdin >= self.taken + TAKEN && self.hold.is_some() {
            self.taken = stdin;
            self.sender.send(&FromServer::Taken(stdin)).await?;
        }
        if let Some(exit) = exit.filter(|_| !self.exited) {
            self.exited = true;
            self.sender.send(&FromServer::Exited(exit)).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, message: Option<FromClient>) {
        match (message, self.known, &self.hold) {
            (None, ..) => self.receiver = None,
            (Some(FromClient::Signal(name)), Known::Live(job), Some(_)) => {
                if let Some(number) = signal::number(&name) {
                    job.order(Order::Signal(number)).await;
                }
            }
            (Some(FromClient::Resize(size)), Known::Live(job), Some(hold)) => {
                job.order(Order::Resize(hold.turn(), size)).await;
            }
            (Some(_), ..) => {}
        }
    }

    fn report(&self) -> Option<Report> {
        let report = match self.known {
            Known::Ended(ended) => Some(ended.report.clone()),
            Known::Live(job) => job.now().report,
        };
        let mut report = (*report?).clone();
        // What was kept is sent whole, though the command was to print more.
        let streams = [&mut report.stdout, &mut report.stderr].into_iter().flatten();
        streams.filter(|stream| stream.end == StreamEnd::Abandoned).for_each(|stream| stream.end = StreamEnd::Cut);
        Some(report)
    }

    async fn finish(self, message: &FromServer) -> Result<(), Fault> {
        self.receiver.into_iter().for_each(ControlReceiver::ignore);
        Ok(self.sender.send_final(message).await?)
    }
}

async fn replaced(hold: &mut Option<Hold>) {
    match hold {
        Some(hold) => hold.replaced().await,
        None => std::future::pending().await,
    }
}

async fn changed(watch: &mut Option<watch::Receiver<Snapshot>>) {
    let changed = match watch {
        Some(watch) => watch.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

async fn next(receiver: &mut Option<ControlReceiver>) -> Result<Option<FromClient>, Fault> {
    match receiver {
        Some(receiver) => Ok(receiver.next().await?),
        None => std::future::pending().await,
    }
}

/// Waits for the end of a job whose output goes to another client, or went.
pub(crate) async fn without_output(job: &Arc<Job>) -> Report {
    not_kept(&*job.ended().await)
}

/// The report of a command whose output was not kept, for a client that asks for the command again.
pub(crate) fn not_kept(report: &Report) -> Report {
    let ran = report.stdout.is_some() || report.stderr.is_some();
    match &report.outcome {
        outcome if ran => Report { outcome: Outcome::NotKept(Box::new(outcome.clone())), ..report.clone() },
        _ => report.clone(),
    }
}

/// Refuses what needs the output of a job that has none.
pub(crate) fn has_output(known: &Known) -> Result<(), Fault> {
    let (kept, id) = match known {
        Known::Live(job) => (job.directory().is_some(), &job.id),
        Known::Ended(Ended { directory, id, .. }) => (directory.is_some(), id),
    };
    match kept {
        true => Ok(()),
        false => Err(Fault::user(Code::NoSuchJob, format!("the output of the command {id} was not kept"))
            .advise("only that of commands with the lease keep or detach is")),
    }
}
