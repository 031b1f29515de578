//! A reply longer than one `recv`, over the [`raw`](crate::dialects::raw) dialect: its rest comes as the answer to the next command.
//!
//! The scene knows both ends, so it can say what the client can't: whose reply the bytes belong to that a `recv` gave, and how many
//! were still under way. Its server is slower than its client: it takes the next command only after the client has taken something
//! for the answer. So the play goes the same way each time.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::Scene;
use super::stage::{PATIENCE, Stage, until};
use crate::LabError;
use crate::coding::Coding;
use crate::dialects::RECV;
use crate::dialects::raw::{Client, Raw};
use crate::record::{Call, Datum, Excerpt, Recording};
use crate::server::{Event, Settings, TcpServer};
use crate::shell::Shell;

pub(super) const SCENE: Scene = Scene {
    name: "cut-reply",
    title: "a long reply is cut, and its rest answers the next command",
    why: "The client takes one recv(1024) for the reply, and the stream says nothing of where a reply ends. What is left in the \
          queue is the first thing that the next recv gives, so from there on every answer belongs to an earlier question.",
    fix: "send the reply's length first, and read that many bytes: the dialects ack, len32 and header do; unglue exec counts and \
          digests every stream",
    play,
};

/// What is played: commands, and the directory in which the server runs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The directory.
    pub directory: PathBuf,
    /// One shell command each.
    pub commands: Vec<String>,
}

impl Script {
    /// A script that runs these commands in this directory.
    pub fn new<S: Into<String>>(directory: impl Into<PathBuf>, commands: impl IntoIterator<Item = S>) -> Script {
        Script { directory: directory.into(), commands: commands.into_iter().map(Into::into).collect() }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutReply {
    /// One for each command, in order.
    pub exchanges: Vec<Exchange>,
    /// Bytes that came only after the last command was "answered".
    pub late: u64,
}

/// A command, and what the client took for its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The command.
    pub asked: String,
    /// How long its reply is, in bytes.
    pub reply: u64,
    /// What the one `recv(1024)` gave instead.
    pub received: Vec<u8>,
    /// Whose reply those bytes belong to, in order.
    pub pieces: Vec<Piece>,
    /// Bytes of this reply and earlier ones that the client did not have yet.
    pub under_way: u64,
}

impl Exchange {
    /// Whether the client got the whole reply and nothing else.
    pub fn is_right(&self, index: usize) -> bool {
        match self.reply {
            0 => self.pieces.is_empty(),
            reply => self.pieces == [Piece { command: index, from: 0, to: reply }],
        }
    }
}

/// A part of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The command's index.
    pub command: usize,
    /// Where the part begins in that command's reply, in bytes.
    pub from: u64,
    /// Where it ends, exclusive.
    pub to: u64,
}

/// Plays a script: every command is sent, and answered by one `recv(1024)`.
///
/// ```
/// use unglue_lab::scenes::cut_reply::{Script, enact};
///
/// let played = enact(&Script::new("/", ["seq 1000", "echo hello"]))?;
/// // The first reply has 3893 bytes. One recv(1024) took a part of them …
/// assert_eq!(played.exchanges[0].received.len(), 1024);
/// // … and the answer to `echo hello` is more of the first reply.
/// assert_eq!(played.exchanges[1].pieces[0].command, 0);
/// # Ok::<(), unglue_lab::LabError>(())
/// ```
///
/// # Errors
/// [`LabError`]; no step takes longer than a scene may wait.
pub fn enact(script: &Script) -> Result<CutReply, LabError> {
    enact_before(script, None)
}

/// The same, with every call recorded; then each reply must be short enough for the kernel's buffers.
fn enact_before(script: &Script, recording: Option<&Recording>) -> Result<CutReply, LabError> {
    let server = TcpServer::new(Settings { patience: PATIENCE, ..Settings::default() })?;
    let server = server.bind((Ipv4Addr::LOCALHOST, 0).into())?.activate()?;
    let (address, stopper) = (server.address(), server.stopper());
    let (ran, replies) = channel();
    let (go_on, gate) = channel();
    let service = Raw(Shell { longest: PATIENCE, ..Shell::within(&script.directory) });
    thread::scope(|scope| {
        scope.spawn(move || {
            let watch = AfterReply { ran: Mutex::new(ran), gate: Mutex::new(gate), recording };
            server.run(&service, &|_, event| watch.pass(event))
        });
        let client = Client::connect(address, PATIENCE, Coding::Utf8);
        let player = |client| Player { client, told: replies, go_on, ran: Vec::new(), sent: 0, taken: 0, recording };
        let played = client.map(player).and_then(|player| player.play(script));
        // Also where it failed: the server's thread must end.
        stopper.shut_down();
        played
    })
}

/// What the server took for a command, and how long its reply is, in bytes.
#[derive(Clone, Copy)]
struct Ran {
    command: u64,
    reply: u64,
}

/// Where the server waits after each reply, until the client has taken something for it.
struct AfterReply<'r> {
    ran: Mutex<Sender<Ran>>,
    gate: Mutex<Receiver<()>>,
    recording: Option<&'r Recording>,
}

impl AfterReply<'_> {
    fn pass(&self, event: &Event<'_>) {
        if let Event::Ran { command, stderr, stdout } = event {
            let ran = Ran { command: command.len() as u64, reply: stderr + stdout };
            let reply = Excerpt { start: Vec::new(), length: stderr + stdout };
            record(self.recording, "server", "recv", RECV.into(), command.to_vec().into());
            record(self.recording, "server", "send", Datum::Bytes(reply), Datum::Number(stderr + stdout));
            // A play that has failed doesn't listen any more, and opens every gate.
            let _ = self.ran.lock().unwrap_or_else(PoisonError::into_inner).send(ran);
            let _ = self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE);
        }
    }
}

fn record(recording: Option<&Recording>, who: &'static str, call: &'static str, given: Datum, got: Datum) {
    if let Some(recording) = recording {
        recording.add(Call { who, call, given: vec![given], got, peer: None });
    }
}

struct Player<'r> {
    client: Client,
    /// What has run, once its reply is in the kernel's hands.
    told: Receiver<Ran>,
    go_on: Sender<()>,
    ran: Vec<Ran>,
    sent: u64,
    taken: u64,
    recording: Option<&'r Recording>,
}

impl Player<'_> {
    fn play(mut self, script: &Script) -> Result<CutReply, LabError> {
        let mut answers = Vec::new();
        for (index, command) in script.commands.iter().enumerate() {
            let command = command.as_bytes();
            record(self.recording, "client", "send", command.to_vec().into(), command.len().into());
            self.client.send(command)?;
            self.sent += command.len() as u64;
            answers.push(self.answer(index)?);
        }
        let late = self.drain()?;
        let replies = replies(&script.commands, &self.ran)?;
        Ok(CutReply { exchanges: account(&script.commands, answers, &replies), late })
    }

    /// One `recv(1024)`. Where something of an earlier reply lies in the queue, that is what it gives; the server has not even
    /// read the command.
    fn answer(&mut self, index: usize) -> Result<Vec<u8>, LabError> {
        let before = self.client.queued()? > 0;
        if index > 0 && !before {
            self.open();
        }
        if !before {
            self.settle(index)?;
        }
        let answer = match self.client.queued()? {
            0 => Vec::new(),
            _ => self.client.receive()?,
        };
        record(self.recording, "client", "recv", RECV.into(), answer.clone().into());
        self.taken += answer.len() as u64;
        if index > 0 && before {
            self.open();
        }
        self.settle(index)?;
        Ok(answer)
    }

    fn open(&self) {
        let _ = self.go_on.send(());
    }

    /// Waits until this command's reply is all in our queue, or as much as one `recv` takes.
    fn settle(&mut self, index: usize) -> Result<(), LabError> {
        until("a reply", || {
            self.ran.extend(self.told.try_iter());
            let queued = self.client.queued()?;
            let all = self.ran.len() > index && self.taken + queued >= self.printed();
            // A reply that no buffer holds whole waits for us to take from it.
            Ok(all || (self.recording.is_none() && queued >= RECV as u64))
        })
    }

    /// How much has been printed by what has run, in bytes.
    fn printed(&self) -> u64 {
        self.ran.iter().map(|ran| ran.reply).sum()
    }

    /// Whether the server has taken every byte of every command, and we every byte of every reply.
    fn is_drained(&mut self, late: u64) -> bool {
        self.ran.extend(self.told.try_iter());
        self.ran.iter().map(|ran| ran.command).sum::<u64>() >= self.sent && self.printed() <= self.taken + late
    }

    /// Reads on until every reply is here: nothing was lost, only taken for something else.
    fn drain(&mut self) -> Result<u64, LabError> {
        let mut late = 0;
        while !self.is_drained(late) {
            self.open();
            until("the next reply", || Ok(self.client.queued()? > 0 || self.is_drained(late)))?;
            if self.client.queued()? > 0 {
                late += self.client.receive()?.len() as u64;
            }
        }
        Ok(late)
    }
}

/// How long each command's reply is. Commands that a slow server finds in one piece are one command to it: the reply counts for
/// the first of them, and the others have none.
fn replies(commands: &[String], ran: &[Ran]) -> Result<Vec<u64>, LabError> {
    let mut ran = ran.iter();
    let mut owed = 0;
    let reply = |command: &String| {
        if owed == 0 {
            let next = ran
                .next()
                .ok_or_else(|| LabError::misuse("a command was lost", "this is a bug in unglue: please report it"))?;
            owed = next.command.saturating_sub(command.len() as u64);
            return Ok(next.reply);
        }
        owed = u64::saturating_sub(owed, command.len() as u64);
        Ok(0)
    };
    commands.iter().map(reply).collect()
}

/// Finds out whose bytes each answer holds. The replies lie one behind the other in the stream, and so do the answers.
fn account(commands: &[String], answers: Vec<Vec<u8>>, replies: &[u64]) -> Vec<Exchange> {
    let (mut at, mut owed) = (0, 0);
    let mut exchanges = Vec::new();
    for ((asked, received), &reply) in commands.iter().zip(answers).zip(replies) {
        let end = at + received.len() as u64;
        owed += reply;
        let pieces = pieces(replies, at, end);
        exchanges.push(Exchange { asked: asked.clone(), reply, received, pieces, under_way: owed - end.min(owed) });
        at = end;
    }
    exchanges
}

/// The parts of replies that lie in these bytes of the stream.
fn pieces(replies: &[u64], from: u64, to: u64) -> Vec<Piece> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for (command, &length) in replies.iter().enumerate() {
        let (first, last) = (from.max(start), to.min(start + length));
        if first < last {
            pieces.push(Piece { command, from: first - start, to: last - start });
        }
        start += length;
    }
    pieces
}

/// How many files the listing shows: enough for more than 1024 bytes, and for less than twice that.
const CHAPTERS: usize = 22;

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let directory =
        tempfile::Builder::new().prefix("unglue-scene-").tempdir().map_err(LabError::io("make a directory"))?;
    for chapter in 1..=CHAPTERS {
        let path = directory.path().join(format!("chapter-{chapter:02}.txt"));
        std::fs::write(path, format!("Chapter {chapter}\n")).map_err(LabError::io("write a file"))?;
    }
    let script = Script::new(directory.path(), ["ls -l", "lllll", "pwd"]);
    let played = enact_before(&script, Some(&stage.recording))?;
    stage.way("server", "client");
    let taken: Vec<String> = played.exchanges.iter().map(|exchange| taken_for(&played, exchange)).collect();
    let [listing, wrong, last] = &played.exchanges[..] else {
        return Err(LabError::misuse("the scene has lost a command", "this is a mistake in unglue; please report it"));
    };
    stage
        .claim("ls -l got the first 1,024 bytes of its reply", listing.received.len() == RECV && listing.under_way > 0);
    let rest = Piece { command: 0, from: RECV as u64, to: listing.reply };
    stage.claim("lllll got the rest of ls -l", wrong.pieces == [rest]);
    let whole = Piece { command: 1, from: 0, to: wrong.reply };
    stage.claim("pwd got the error message of lllll", last.pieces == [whole]);
    stage.claim("and its own reply was never shown", played.late == last.reply);
    stage.result("answers", taken);
    stage.measured("reply_bytes", played.exchanges.iter().map(|exchange| exchange.reply).collect::<Vec<_>>());
    stage.measured(
        "received_bytes",
        played.exchanges.iter().map(|exchange| exchange.received.len()).collect::<Vec<_>>(),
    );
    Ok(())
}

/// What the client took for the reply, in words.
fn taken_for(played: &CutReply, exchange: &Exchange) -> String {
    let piece = |piece: &Piece| {
        let of = &played.exchanges[piece.command];
        let part = match (piece.from, piece.to == of.reply) {
            (0, true) => "the reply to",
            (0, false) => "the beginning of the reply to",
            (_, true) => "the rest of the reply to",
            (_, false) => "some of the reply to",
        };
        format!("{part} {}", of.asked)
    };
    let pieces: Vec<String> = exchange.pieces.iter().map(piece).collect();
    format!("{}: {}", exchange.asked, if pieces.is_empty() { "nothing".into() } else { pieces.join(", then ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reply_is_cut_and_its_rest_answers_the_next_command() {
        let scene = enact(&Script::new("/", ["seq 400", "echo second", "echo third"])).expect("it plays");
        // seq 400 prints 1492 bytes.
        let [first, second, third] = &scene.exchanges[..] else { panic!("three exchanges: {scene:?}") };
        assert_eq!((first.reply, first.received.len()), (1492, RECV));
        assert_eq!(second.pieces, [Piece { command: 0, from: 1024, to: 1492 }]);
        assert_eq!(third.pieces, [Piece { command: 1, from: 0, to: 7 }]);
        assert_eq!(scene.late, 6);
    }

    #[test]
    fn short_replies_come_out_right_which_makes_it_a_trap() {
        let scene = enact(&Script::new("/", ["echo one", "true", "echo two"])).expect("it plays");
        assert!(scene.exchanges.iter().enumerate().all(|(index, exchange)| exchange.is_right(index)), "{scene:?}");
        assert_eq!(scene.late, 0);
    }

    #[test]
    fn every_byte_is_accounted_for() {
        let scene = enact(&Script::new("/", ["head -c 3000000 /dev/zero", "echo x"])).expect("it plays");
        let taken: u64 = scene.exchanges.iter().map(|exchange| exchange.received.len() as u64).sum();
        assert_eq!(taken + scene.late, 3_000_002);
        assert_eq!(scene.exchanges[1].under_way, scene.late);
    }

    #[test]
    fn commands_that_pile_up_are_one_command() {
        let scene = enact(&Script::new("/", ["seq 2000", "echo a", "echo b", "echo c"])).expect("it plays");
        let taken: u64 = scene.exchanges.iter().map(|exchange| exchange.received.len() as u64).sum();
        let replies: u64 = scene.exchanges.iter().map(|exchange| exchange.reply).sum();
        assert_eq!((scene.exchanges.len(), taken + scene.late), (4, replies));
        // What the server was told is one line: `echo aecho becho c`, or as far as it had come.
        assert_eq!(scene.exchanges[1].pieces[0].command, 0);
        enact(&Script::new("/", ["head -c 3000000 /dev/zero", "echo a", "echo b"])).expect("it plays");
    }

    #[test]
    fn a_recv_may_straddle_replies() {
        assert_eq!(
            pieces(&[10, 0, 5], 8, 12),
            [Piece { command: 0, from: 8, to: 10 }, Piece { command: 2, from: 0, to: 2 }]
        );
    }
}
