//! The client's half of a command that outlives the link: a task that connects again whenever the link is lost, and goes on
//! where it was.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use unglue_link::{Link, LinkError, RecvStream, SendStream, StreamError};
use unglue_proto::limits::START;
use unglue_proto::message::exec::{Again, FromClient, FromServer, Outcome, Report, Started, TerminalSize};
use unglue_proto::message::{Request, Tally, jobs};
use unglue_proto::{Code, Fault, Meter, Side};

use super::replay::Replay;
use crate::client::{Dialler, Failed};
use crate::ops::exec::Exec;
use crate::ops::{Control, ControlError, ControlReceiver, ControlSender};

/// Pieces of an output that wait for their reader.
const PIECES: usize = 8;
/// The same of a terminal's: a person waits for all of them when they interrupt a program.
const FEW: usize = 1;
/// Bytes that are read of an output at once.
const READ: usize = 64 * 1024;
/// Messages that wait for the client.
const MESSAGES: usize = 64;
/// The first pause before another connection is tried, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// What is asked for.
#[derive(Clone)]
pub(crate) enum Ask {
    /// A command, under this id.
    Exec(Box<Exec>, String),
    /// A job that was started before.
    Attach(jobs::Attach),
}

/// Whether there is a link.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LinkState {
    /// There is one.
    Up,
    /// It was lost then, for this reason; another is being tried for.
    Lost(Instant, Fault),
}

/// A piece of an output.
pub(crate) enum Piece {
    Data(Bytes),
    /// A part of a picture of the terminal: no byte of the output.
    Picture(Bytes),
    End,
    Cut(StreamError),
}

/// What the client holds of a command that is followed.
pub(crate) struct Followed {
    pub(crate) messages: mpsc::Receiver<FromServer>,
    pub(crate) orders: mpsc::Sender<FromClient>,
    pub(crate) outputs: [Option<mpsc::Receiver<Piece>>; 2],
    pub(crate) input: Option<Replay>,
    pub(crate) state: watch::Receiver<LinkState>,
    /// The size of the command's terminal, once it is known to have one.
    pub(crate) terminal: Arc<OnceLock<TerminalSize>>,
}

/// Starts to follow. `patience` is how long a lost link is tried for.
pub(crate) fn follow(dialler: Dialler, journal: Option<String>, ask: Ask, patience: Duration) -> Followed {
    let (to_messages, messages) = mpsc::channel(MESSAGES);
    let (orders, inbox) = mpsc::channel(MESSAGES);
    let (to_state, state) = watch::channel(LinkState::Up);
    let (stdin, wanted) = match &ask {
        Ask::Exec(exec, _) => (exec.stdin, [Some(0), Some(0)]),
        Ask::Attach(attach) => (attach.stdin.is_some(), [offset(&attach.stdout), offset(&attach.stderr)]),
    };
    let terminal = Arc::new(OnceLock::new());
    if let Ask::Exec(exec, _) = &ask {
        exec.size().map(|size| terminal.set(size));
    }
    let size = match &ask {
        Ask::Exec(exec, _) => exec.size(),
        Ask::Attach(attach) => attach.screen.filter(|_| attach.hold),
    };
    let (mut lanes, mut outputs) = ([None, None], [None, None]);
    for (number, from) in wanted.into_iter().enumerate() {
        if let Some(from) = from {
            let (sender, receiver) = mpsc::channel(if size.is_some() { FEW } else { PIECES });
            lanes[number] = Some(Lane { offset: from, sender, ended: false });
            outputs[number] = Some(receiver);
        }
    }
    let input = stdin.then(Replay::default);
    let follower = Follower {
        dialler,
        journal,
        ask,
        patience,
        lanes,
        input: input.clone(),
        messages: to_messages,
        orders: inbox,
        state: to_state,
        tries: 0,
        started: false,
        size,
        pictured: false,
        terminal: terminal.clone(),
    };
    tokio::spawn(follower.run());
    Followed { messages, orders, outputs, input, state, terminal }
}

/// Where an output begins; an end that isn't known yet is replaced by the server's answer.
fn offset(from: &Option<jobs::From>) -> Option<u64> {
    match from.as_ref()? {
        jobs::From::Offset(offset) => Some(*offset),
        _ => Some(0),
    }
}

struct Follower {
    dialler: Dialler,
    journal: Option<String>,
    ask: Ask,
    patience: Duration,
    lanes: [Option<Lane>; 2],
    input: Option<Replay>,
    messages: mpsc::Sender<FromServer>,
    orders: mpsc::Receiver<FromClient>,
    state: watch::Sender<LinkState>,
    /// How often it was asked for.
    tries: u64,
    /// The client knows that the command runs.
    started: bool,
    /// The size of the client's terminal, if the command has one and the client holds it.
    size: Option<TerminalSize>,
    /// The picture that was asked for has come.
    pictured: bool,
    terminal: Arc<OnceLock<TerminalSize>>,
}

/// One output on its way to its reader.
struct Lane {
    /// The offset of the next byte.
    offset: u64,
    sender: mpsc::Sender<Piece>,
    ended: bool,
}

impl Lane {
    /// Says how it ended, unless that was said. Its reader may have gone.
    async fn end(&mut self, piece: Piece) {
        if !std::mem::replace(&mut self.ended, true) {
            let _ = self.sender.send(piece).await;
        }
    }
}

/// A link on which the server has answered.
struct Attached {
    sender: ControlSender,
    receiver: ControlReceiver,
    streams: Streams,
    stdin: Option<(SendStream, u64)>,
}

/// The server's streams on one link.
struct Streams {
    outputs: [Option<RecvStream>; 2],
    /// The picture of a terminal, and the offset of standard output where it ends.
    picture: Option<(RecvStream, u64)>,
}

enum Answer {
    Attached(Box<Attached>),
    /// There is nothing more to come.
    Final(FromServer),
}

impl Follower {
    async fn run(mut self) {
        let mut lost: Option<(Instant, Fault)> = None;
        loop {
            let attempt = match self.dialler.link(lost.is_some()).await {
                Ok(link) => self.attempt(&link).await,
                Err(failed) => Err(failed),
            };
            let failed = match attempt {
                Ok(Answer::Final(message)) => {
                    self.state.send_replace(LinkState::Up);
                    return self.conclude(message).await;
                }
                Ok(Answer::Attached(attached)) => {
                    lost = None;
                    self.state.send_replace(LinkState::Up);
                    match self.carry(*attached).await {
                        Ok(()) => return,
                        Err(failed) => failed,
                    }
                }
                Err(failed) => failed,
            };
            let goes_on = failed.is_passing() && self.dialler.can_dial() && !self.messages.is_closed();
            if !goes_on {
                return self.give_up(failed, |fault| fault).await;
            }
            let (since, first) = match lost.take() {
                Some(lost) => lost,
                None => (Instant::now(), failed.clone().into()),
            };
            if since.elapsed() >= self.patience {
                let seconds = self.patience.as_secs();
                let waited =
                    |fault: Fault| Fault { what: format!("{}; no new link for {seconds} s", fault.what), ..fault };
                return self.give_up(failed, waited).await;
            }
            lost = Some((since, first.clone()));
            self.state.send_replace(LinkState::Lost(since, first));
            tokio::select! {
                () = sleep(pause(since.elapsed())) => {}
                () = self.messages.closed() => return,
            }
        }
    }

    /// Follows the command no longer.
    async fn give_up(&mut self, failed: Failed, told: impl FnOnce(Fault) -> Fault) {
        let id = match &self.ask {
            Ask::Exec(_, id) => id,
            Ask::Attach(attach) => &attach.job,
        };
        let outcome = match failed.is_protocol() {
            true => Outcome::Failed(told(failed.into())),
            false => {
                let advice = format!("the command may run on: unglue attach HOST {id}");
                Outcome::LinkLost(told(failed.into()).advise(advice))
            }
        };
        self.conclude(FromServer::Outcome(Box::new(Report::of(outcome)))).await;
    }

    async fn conclude(&mut self, message: FromServer) {
        let message = match message {
            // It was asked for before, so this doesn't say that nothing ran.
            FromServer::Refused(fault) if self.tries > 1 => {
                FromServer::Outcome(Box::new(Report::of(Outcome::NotKnown(fault.on(Side::Server)))))
            }
            message => message,
        };
        // The client may have gone.
        let _ = self.messages.send(message).await;
        for lane in self.lanes.iter_mut().flatten() {
            lane.end(Piece::Cut(StreamError::Reset(Code::Cancelled))).await;
        }
    }

    /// Asks on this link.
    async fn attempt(&mut self, link: &Link) -> Result<Answer, Failed> {
        let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
        let stdin = match &self.input {
            Some(_) => {
                let mut stdin = link.open_unidirectional().await?;
                if let Ask::Exec(exec, _) = &self.ask {
                    stdin.compress(exec.compression());
                }
                Some(stdin)
            }
            None => None,
        };
        sender.send(&self.request(stdin.as_ref().map(SendStream::number))).await?;
        self.tries += 1;
        let answer = timeout(START, self.answer(link, &mut receiver)).await;
        Ok(match answer.unwrap_or(Err(Failed::Silent(START)))? {
            Ok((streams, taken)) => {
                // A command that runs already may have the size of an earlier client, or of before the link was lost.
                if let Some(size) = self.size {
                    sender.send(&FromClient::Resize(size)).await?;
                }
                let stdin = stdin.map(|stream| (stream, taken));
                Answer::Attached(Box::new(Attached { sender, receiver, streams, stdin }))
            }
            Err(message) => Answer::Final(message),
        })
    }

    fn request(&self, stdin: Option<u64>) -> Request {
        let at = |output: usize| self.lanes[output].as_ref().map(|lane| lane.offset);
        match &self.ask {
            Ask::Exec(exec, id) => {
                let asked = exec.retried().flatten();
                let again = Again {
                    journal: asked.or_else(|| self.journal.clone()),
                    stdout: at(0).unwrap_or_default(),
                    stderr: at(1).unwrap_or_default(),
                };
                exec.request(id, stdin, (self.tries > 0 || exec.retried().is_some()).then_some(again))
            }
            Ask::Attach(attach) if self.tries > 0 => Request::Attach(jobs::Attach {
                stdin,
                stdout: at(0).map(jobs::From::Offset),
                stderr: at(1).map(jobs::From::Offset),
                // It held the job before.
                take: attach.hold,
                // What it has seen it goes on from.
                screen: attach.screen.filter(|_| !self.pictured),
                ..attach.clone()
            }),
            Ask::Attach(attach) => Request::Attach(jobs::Attach { stdin, ..attach.clone() }),
        }
    }

    /// Waits for the answer: the outputs and how much of the input was taken, or the final message.
    async fn answer(
        &mut self,
        link: &Link,
        receiver: &mut ControlReceiver,
    ) -> Result<Result<(Streams, u64), FromServer>, Failed> {
        loop {
            let (streams, picture, started) = match &self.ask {
                Ask::Exec(..) => match receiver.expect().await? {
                    FromServer::Started(started) => {
                        ([Some(started.stdout), started.stderr], started.screen.zip(Some(started.from)), started)
                    }
                    message @ (FromServer::Outcome(_) | FromServer::Refused(_)) => return Ok(Err(message)),
                    FromServer::Exited(_) => return Err(early()),
                    FromServer::Taken(_) | FromServer::Replaced(_) | FromServer::Unknown(_) => continue,
                },
                Ask::Attach(_) => match receiver.expect().await? {
                    jobs::FromServer::Attached(attached) => {
                        attached.terminal.map(|size| self.terminal.set(size));
                        let picture = attached.screen.zip(attached.stdout.map(|placed| placed.from));
                        for (lane, placed) in self.lanes.iter_mut().zip([attached.stdout, attached.stderr]) {
                            // Until a picture is there, it is to be asked for again.
                            let placed =
                                placed.filter(|placed| picture.is_none_or(|_| Some(*placed) != attached.stdout));
                            lane.iter_mut().zip(placed).for_each(|(lane, placed)| lane.offset = placed.from);
                        }
                        let streams = [attached.stdout, attached.stderr].map(|placed| placed.map(|at| at.stream));
                        let started = Started {
                            pid: attached.pid,
                            stdout: 0,
                            stderr: None,
                            taken: attached.taken,
                            since: Some(attached.since),
                            screen: None,
                            from: 0,
                        };
                        (streams, picture, started)
                    }
                    jobs::FromServer::Outcome(report) => return Ok(Err(FromServer::Outcome(report))),
                    jobs::FromServer::Refused(fault) => return Ok(Err(FromServer::Refused(fault))),
                    jobs::FromServer::Exited(_) => return Err(early()),
                    _ => continue,
                },
            };
            let mut outputs = [None, None];
            for (output, number) in outputs.iter_mut().zip(streams) {
                *output = number.map(|number| claimed(link, number)).transpose()?;
            }
            let picture = match picture {
                Some((number, from)) => Some((claimed(link, number)?, from)),
                None => None,
            };
            if let (Some(_), Some(stdout)) = (self.terminal.get(), &outputs[0]) {
                stdout.narrow();
            }
            let taken = started.taken;
            if !std::mem::replace(&mut self.started, true) {
                if let (Ask::Attach(_), Some(input)) = (&self.ask, &self.input) {
                    input.start_at(taken);
                }
                // The client may have gone.
                let _ = self.messages.send(FromServer::Started(started)).await;
            }
            return Ok(Ok((Streams { outputs, picture }, taken)));
        }
    }

    /// Passes on what comes, until all has.
    ///
    /// # Errors
    /// The link was lost first.
    async fn carry(&mut self, attached: Attached) -> Result<(), Failed> {
        let Some((last, moved)) = self.until_last(attached).await? else { return Ok(()) };
        for (lane, moved) in self.lanes.iter_mut().zip(&moved) {
            if let (Some(lane), Moved::Cut(error)) = (lane, moved) {
                lane.end(Piece::Cut(error.clone())).await;
            }
        }
        // The client may have gone.
        let _ = self.messages.send(checked(last, &moved)).await;
        Ok(())
    }

    /// Passes on what comes until the last message, which it gives with what came of the outputs; `None` if the client has
    /// gone.
    async fn until_last(&mut self, attached: Attached) -> Result<Option<(FromServer, [Moved; 2])>, Failed> {
        let Attached { mut sender, mut receiver, streams, stdin } = attached;
        let Streams { outputs: [stdout, stderr], picture } = streams;
        let [out_lane, err_lane] = &mut self.lanes;
        let pictured = &mut self.pictured;
        let stdout = async {
            if let (Some(lane), Some((stream, from))) = (out_lane.as_mut(), picture) {
                *pictured |= show(lane, stream, from).await?;
            }
            Ok::<_, Failed>(pass(out_lane, stdout).await?)
        };
        let mut moving = pin!(async { tokio::join!(stdout, pass(err_lane, stderr)) });
        let (input, mut feeding) = (self.input.clone(), true);
        let mut sending = pin!(replayed(input.as_ref(), stdin));
        let (mut moved, mut last): (Option<[Moved; 2]>, Option<FromServer>) = (None, None);
        loop {
            if let (Some(_), Some(_)) = (&moved, &last) {
                return Ok(last.zip(moved));
            }
            tokio::select! {
                (stdout, stderr) = &mut moving, if moved.is_none() => moved = Some([stdout?, stderr?]),
                () = &mut sending, if feeding => feeding = false,
                message = message(&self.ask, &mut receiver), if last.is_none() => match message? {
                    FromServer::Taken(taken) => self.input.iter().for_each(|input| input.taken(taken)),
                    // It follows the last bytes of the outputs.
                    message @ (FromServer::Outcome(_) | FromServer::Replaced(_)) => last = Some(message),
                    // The client may have gone.
                    message => drop(self.messages.send(message).await),
                },
                Some(order) = self.orders.recv() => {
                    if let FromClient::Resize(size) = order {
                        self.size = Some(size);
                    }
                    sender.send(&order).await?;
                }
                () = self.messages.closed() => return Ok(None),
            }
        }
    }
}

/// What came of an output over one link.
enum Moved {
    /// All of it.
    Whole(Tally),
    /// It broke off; whether another link brings the rest, the last message says.
    Cut(StreamError),
    /// There is none, or its reader wants no more.
    Unwanted,
}

/// The last message, once the outputs of this link were compared with what the server sent.
fn checked(message: FromServer, moved: &[Moved; 2]) -> FromServer {
    let FromServer::Outcome(mut report) = message else { return message };
    let sent = report.sent.clone().unwrap_or_default();
    for (name, moved, sent) in [("stdout", &moved[0], sent.stdout), ("stderr", &moved[1], sent.stderr)] {
        if let (Moved::Whole(moved), Some(sent)) = (moved, sent)
            && let Err(fault) = moved.verify(&sent, name)
        {
            report.outcome = Outcome::Corrupt(fault);
        }
    }
    FromServer::Outcome(report)
}

/// The next message, as an exec has it.
async fn message(ask: &Ask, receiver: &mut ControlReceiver) -> Result<FromServer, ControlError> {
    loop {
        return match ask {
            Ask::Exec(..) => Ok(receiver.expect().await?),
            Ask::Attach(_) => Ok(match receiver.expect().await? {
                jobs::FromServer::Exited(exit) => FromServer::Exited(exit),
                jobs::FromServer::Taken(taken) => FromServer::Taken(taken),
                jobs::FromServer::Replaced(nothing) => FromServer::Replaced(nothing),
                jobs::FromServer::Outcome(report) => FromServer::Outcome(report),
                // That was all there is by now.
                jobs::FromServer::Done(_) => FromServer::Outcome(Box::new(Report::of(Outcome::exited(0)))),
                jobs::FromServer::Refused(fault) => FromServer::Refused(fault),
                jobs::FromServer::Attached(_) | jobs::FromServer::Unknown(_) => continue,
            }),
        };
    }
}

async fn replayed(input: Option<&Replay>, stdin: Option<(SendStream, u64)>) {
    match (input, stdin) {
        (Some(input), Some((stream, at))) => input.send(stream, at).await,
        _ => std::future::pending().await,
    }
}

/// Passes a picture on to the reader of the output that follows it; whether all of it came.
async fn show(lane: &mut Lane, mut stream: RecvStream, from: u64) -> Result<bool, StreamError> {
    loop {
        let Ok(place) = lane.sender.reserve().await else { return Ok(false) };
        match stream.read(READ).await {
            Ok(Some(data)) => place.send(Piece::Picture(data)),
            Ok(None) => {
                lane.offset = from;
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Passes an output on to its reader.
async fn pass(lane: &mut Option<Lane>, stream: Option<RecvStream>) -> Result<Moved, LinkError> {
    let (Some(lane), Some(mut stream)) = (lane.as_mut().filter(|lane| !lane.ended), stream) else {
        return Ok(Moved::Unwanted);
    };
    let mut meter = Meter::default();
    loop {
        // First a place, then the bytes: so none is lost when this is dropped.
        let Ok(place) = lane.sender.reserve().await else { return Ok(Moved::Unwanted) };
        let read = tokio::select! {
            read = stream.read(READ) => read,
            () = lane.sender.closed() => return Ok(Moved::Unwanted),
        };
        match read {
            Ok(Some(data)) => {
                lane.offset += data.len() as u64;
                meter.pass(&data);
                place.send(Piece::Data(data));
            }
            Ok(None) => {
                lane.ended = true;
                place.send(Piece::End);
                return Ok(Moved::Whole(meter.tally()));
            }
            Err(StreamError::Lost(error)) => return Err(error),
            Err(error @ StreamError::Reset(_)) => return Ok(Moved::Cut(error)),
        }
    }
}

/// Longer and longer, and not the same for all clients of a server.
pub(crate) fn pause(lost: Duration) -> Duration {
    let [least, most] = PAUSES;
    let jitter = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_micros() % 50;
    (lost / 4).clamp(least, most) + Duration::from_millis(jitter.into())
}

fn early() -> Failed {
    Failed::Protocol(Fault::peer(Code::BadMessage, "a command ended before it started"))
}

fn claimed(link: &Link, number: u64) -> Result<RecvStream, Failed> {
    link.claim(number).map_err(Failed::Protocol)
}
