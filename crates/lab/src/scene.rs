//! A dialect played over a loopback socket, with an account of every byte.
//!
//! The scene knows both ends, so it can say what the client can't: whose reply the bytes belong to that a `recv` gave, and
//! how many were still under way.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::LabError;
use crate::dialects::bare::{self, PATIENCE};

/// What a scene plays: commands, and the folder in which the server runs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The folder.
    pub folder: PathBuf,
    /// One shell command each, without a line break.
    pub commands: Vec<String>,
}

impl Script {
    /// A script that runs these commands in this folder.
    pub fn new<S: Into<String>>(folder: impl Into<PathBuf>, commands: impl IntoIterator<Item = S>) -> Script {
        Script { folder: folder.into(), commands: commands.into_iter().map(Into::into).collect() }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
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
        self.pieces == [Piece { command: index, from: 0, to: self.reply }]
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

/// Plays the [`bare`] dialect: every command is sent, and answered by one `recv`.
///
/// # Errors
/// [`LabError`]; each step has a deadline of [`PATIENCE`].
pub fn play(script: &Script) -> Result<Scene, LabError> {
    let listening = LabError::of("listen on 127.0.0.1", PATIENCE);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(listening)?;
    let address = listener.local_addr().map_err(LabError::of("read the listener's address", PATIENCE))?;
    let (sender, lengths) = mpsc::channel();
    thread::scope(|scope| {
        // The client connects first: the kernel queues it, so accepting can't wait for ever.
        let client = bare::Client::connect(address)?;
        let connection = accept_own(&listener, &client_address(&client)?)?;
        let server = scope.spawn(move || bare::serve(connection, &script.folder, &sender));
        // The client goes out of scope inside: the server then reads the end, and leaves.
        let played = ask_all(script, client, &lengths);
        let served = server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let scene = played?;
        served.map(|()| scene)
    })
}

fn client_address(client: &bare::Client) -> Result<SocketAddr, LabError> {
    client.address().map_err(LabError::of("read the client's address", PATIENCE))
}

/// Accepts the one connection that is ours: anybody on this machine may knock at a loopback port.
fn accept_own(listener: &TcpListener, ours: &SocketAddr) -> Result<std::net::TcpStream, LabError> {
    loop {
        let (connection, peer) = listener.accept().map_err(LabError::of("accept a connection", PATIENCE))?;
        if peer == *ours {
            return Ok(connection);
        }
    }
}

fn ask_all(script: &Script, mut client: bare::Client, lengths: &Receiver<u64>) -> Result<Scene, LabError> {
    let mut answers = Vec::new();
    for command in &script.commands {
        answers.push(client.ask(command)?);
    }
    let taken: u64 = answers.iter().map(|answer| answer.len() as u64).sum();
    let (replies, late) = drain(&mut client, lengths, script.commands.len(), taken)?;
    Ok(Scene { exchanges: account(&script.commands, answers, &replies), late })
}

/// Reads on until every reply is here: nothing was lost, only taken for something else.
fn drain(
    client: &mut bare::Client,
    lengths: &Receiver<u64>,
    commands: usize,
    taken: u64,
) -> Result<(Vec<u64>, u64), LabError> {
    let (mut replies, mut late) = (Vec::new(), 0);
    loop {
        let owed = replies.iter().sum::<u64>().saturating_sub(taken + late);
        if owed > 0 {
            match client.receive()?.len() as u64 {
                0 => return Err(LabError::Closed { received: taken + late, owed }),
                n => late += n,
            }
        } else if replies.len() < commands {
            let length = lengths.recv_timeout(PATIENCE);
            replies.push(length.map_err(|_| LabError::Deadline { what: "a command's end", after: PATIENCE })?);
        } else {
            return Ok((replies, late));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reply_is_cut_and_its_rest_answers_the_next_command() {
        let scene = play(&Script::new("/", ["seq 400", "echo second", "echo third"])).expect("it plays");
        // seq 400 prints 1492 bytes.
        let [first, second, third] = &scene.exchanges[..] else { panic!("three exchanges: {scene:?}") };
        assert_eq!(first.reply, 1492);
        assert!(first.received.len() <= bare::RECV && !first.is_right(0), "one recv has 1024 bytes at most");
        assert_eq!(second.pieces[0].command, 0, "the rest of the first reply");
        assert!(!third.is_right(2), "and so all that follow are late");
    }

    #[test]
    fn short_replies_come_out_right_which_makes_it_a_trap() {
        let scene = play(&Script::new("/", ["echo one", "echo two"])).expect("it plays");
        assert!(scene.exchanges.iter().enumerate().all(|(index, exchange)| exchange.is_right(index)), "{scene:?}");
        assert_eq!(scene.late, 0);
    }

    #[test]
    fn every_byte_is_accounted_for() {
        let scene = play(&Script::new("/", ["head -c 3000000 /dev/zero", "echo x"])).expect("it plays");
        let taken: u64 = scene.exchanges.iter().map(|exchange| exchange.received.len() as u64).sum();
        assert_eq!(taken + scene.late, 3_000_002);
        assert_eq!(scene.exchanges[1].under_way, scene.late);
    }

    #[test]
    fn a_recv_may_straddle_replies() {
        assert_eq!(
            pieces(&[10, 0, 5], 8, 12),
            [Piece { command: 0, from: 8, to: 10 }, Piece { command: 2, from: 0, to: 2 }]
        );
    }
}
