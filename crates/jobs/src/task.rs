//! The task that carries a job to its end. It reports what happens to [`Life`] and carries out its actions.
//!
//! It waits for everything at once: the processes, both outputs, the input, the holder's requests and the clock. So no signal
//! waits for an output, and no output for the end of the tree.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use unglue_host::process::{self, InputEnd, InputSource, JobError, JobEvent, OutputSink, Pipes, feed};
use unglue_proto::life::{Action, End, Life, Output};
use unglue_proto::message::exec::{Exit, Report, StreamEnd, StreamReport};
use unglue_proto::{Code, Fault, Meter, signal};

use crate::claim::Claim;
use crate::job::{Job, Order};
use crate::outputs::Outputs;
use crate::start::Stdio;

/// What a holder learns of its job.
#[derive(Debug)]
pub enum Event {
    /// The command's own process has ended; its outputs may not have.
    Exited(Exit),
    /// The job has ended. Nothing follows.
    Ended(Box<Report>),
}

/// A holder's hold on a job with the lease `kill`. Dropped before the end, it has the whole job killed.
pub struct Attachment {
    job: Arc<Job>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Dropped with this.
    _held: oneshot::Sender<Never>,
}

/// Nothing is sent.
enum Never {}

impl Attachment {
    /// The next event. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The job's task has died, and the job with it: a bug.
    pub async fn event(&mut self) -> Result<Event, Fault> {
        self.events.recv().await.ok_or_else(|| Fault::us("the task of a job ended without a report"))
    }

    /// The job, as everybody sees it.
    pub fn job(&self) -> &Job {
        &self.job
    }
}

/// Starts the task.
pub(crate) fn spawn<O: OutputSink + 'static, I: InputSource + 'static>(
    process: process::Job,
    pipes: Pipes,
    life: Life,
    (claim, orders): (Claim, mpsc::Receiver<Order>),
    stdio: Stdio<O, I>,
) -> Attachment {
    let (sender, events) = mpsc::unbounded_channel();
    let (held, gone) = oneshot::channel();
    let Stdio { stdin, stdout, stderr } = stdio;
    let outputs = Outputs::new((pipes.stdout, pipes.stderr), (stdout, stderr));
    let task = Task { process, life, outputs, events: sender, orders, gone, stdin: None };
    let stdin = stdin.zip(pipes.stdin);
    let job = claim.job().clone();
    tokio::spawn(async move {
        let events = task.events.clone();
        let report = task.run(stdin).await;
        // It is recorded before its holder learns of the end.
        claim.conclude(report.clone());
        // The holder may have gone.
        let _ = events.send(Event::Ended(Box::new(report)));
    });
    Attachment { job, events, _held: held }
}

struct Task {
    process: process::Job,
    life: Life,
    outputs: Outputs,
    events: mpsc::UnboundedSender<Event>,
    orders: mpsc::Receiver<Order>,
    gone: oneshot::Receiver<Never>,
    /// How the input ended, if there was one and it has.
    stdin: Option<StreamEnd>,
}

type Stdin<I> = Option<(I, tokio::net::unix::pipe::Sender)>;

impl Task {
    async fn run<I: InputSource>(mut self, stdin: Stdin<I>) -> Report {
        let mut meter = Meter::default();
        let has_stdin = stdin.is_some();
        let end = {
            let input = pin!(fed(stdin, &mut meter));
            self.until_concluded(input).await
        };
        let stdin = has_stdin
            .then(|| StreamReport { tally: meter.tally(), end: self.stdin.take().unwrap_or(StreamEnd::Abandoned) });
        let (stdout, stderr) = self.outputs.into_streams();
        Report { stdout, stderr, stdin, descendants: end.descendants, ..Report::of(end.outcome) }
    }

    async fn until_concluded(&mut self, mut input: Pin<&mut impl Future<Output = InputEnd>>) -> End {
        let (mut feeding, mut supervised, mut held) = (true, true, true);
        loop {
            if let Some(end) = self.act().await {
                return end;
            }
            tokio::select! {
                event = self.process.event(), if supervised => supervised = self.on_job_event(event),
                (output, failure) = self.outputs.next() => self.on_output_end(output, failure),
                end = &mut input, if feeding => {
                    feeding = false;
                    self.on_input_end(end);
                }
                Some(order) = self.orders.recv() => match order {
                    Order::Signal(number) => self.signal(number),
                    Order::Cancel(reason) => self.life.handle_cancel(reason, Instant::now()),
                    Order::OutputLimit(limit) => self.life.handle_output_limit(limit, Instant::now()),
                    // Its holder has its streams: nobody else can take it over.
                    Order::Hold(..) | Order::LetGo(_) | Order::Feed(..) | Order::FinishStdin(..) => {}
                    // It has no terminal.
                    Order::Resize(..) | Order::Room(..) => {}
                },
                _ = &mut self.gone, if held => {
                    held = false;
                    self.on_holder_gone();
                }
                () = sleep_until(self.life.poll_timeout()) => self.life.handle_timeout(Instant::now()),
            }
        }
    }

    /// Does what there is to do; `Some` once there will be nothing more.
    async fn act(&mut self) -> Option<End> {
        while let Some(action) = self.life.poll_action() {
            match action {
                Action::AnnounceExit(exit) => drop(self.events.send(Event::Exited(exit))),
                Action::LastOutput => {
                    for (output, failure) in self.outputs.last_call().await {
                        self.on_output_end(output, failure);
                    }
                }
                Action::EndTree(descendants) => {
                    if let Err(error) = self.process.begin_end(descendants.into()) {
                        self.life.handle_loss(lost(&error));
                    }
                }
                Action::Conclude(end) => return Some(end),
            }
        }
        None
    }

    /// Whether more events may follow.
    fn on_job_event(&mut self, event: Result<JobEvent, JobError>) -> bool {
        match event {
            Ok(JobEvent::Exited(exit)) => self.life.handle_exit(exit.status.into(), Instant::now()),
            Ok(JobEvent::TreeEnded(left)) => self.life.handle_tree_end(left.into()),
            Err(error) => {
                self.life.handle_loss(lost(&error));
                return false;
            }
        }
        !self.process.is_finished()
    }

    fn on_output_end(&mut self, output: Output, failure: Option<std::io::Error>) {
        match failure {
            None => self.life.handle_output_end(output),
            Some(error) => {
                let name = if output == Output::Stdout { "standard output" } else { "standard error" };
                let what = format!("the command's {name} could not be read: {error}");
                let fault = Fault::system(Code::System, what).advise("the command was killed: the rest of it is lost");
                self.life.handle_output_failure(output, fault);
            }
        }
    }

    fn on_input_end(&mut self, end: InputEnd) {
        self.stdin = Some(match end {
            InputEnd::Eof => StreamEnd::Eof,
            InputEnd::Abandoned => StreamEnd::Abandoned,
            InputEnd::Cut(what) => {
                let fault = Fault::user(Code::Cancelled, what);
                let fault = fault.advise("the command was killed: it had not seen all of its input");
                self.life.handle_cancel(fault, Instant::now());
                StreamEnd::Cut
            }
        });
    }

    fn on_holder_gone(&mut self) {
        self.life.handle_abandon(Fault::user(Code::Cancelled, "the client has gone"), Instant::now());
        for output in self.outputs.abandon() {
            self.life.handle_output_end(output);
        }
    }

    fn signal(&self, number: i32) {
        // One that comes too late is no error.
        if let Err(error) = self.process.signal(number) {
            tracing::debug!(event = "signal_not_sent", signal = %signal::name(number), %error);
        }
    }
}

async fn fed<I: InputSource>(stdin: Stdin<I>, meter: &mut Meter) -> InputEnd {
    match stdin {
        Some((source, pipe)) => feed(source, pipe, meter).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn lost(error: &JobError) -> Fault {
    Fault::system(Code::System, error.to_string())
}
