//! Keys on their way to the program: a task feeds them, so that a link that is dead never holds up the keyboard.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use unglue::Input;

/// Pieces that wait for the link.
const PIECES: usize = 64;

/// The input of a program on a terminal.
pub(super) struct Typing {
    pieces: mpsc::Sender<Bytes>,
    end: mpsc::Sender<End>,
    task: JoinHandle<()>,
}

/// How an input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With the end of what was typed: the program sees its end of file.
    Finished,
    /// It stays open for the next client.
    LeftOpen,
    /// With the program: the terminal is gone.
    HungUp,
}

impl Typing {
    /// Starts to feed.
    pub(super) fn start(input: Input) -> Typing {
        let (pieces, inbox) = mpsc::channel(PIECES);
        let (end, ending) = mpsc::channel(1);
        Typing { pieces, end, task: tokio::spawn(feed(input, inbox, ending)) }
    }

    /// Waits for room for a piece. Cancelling it loses nothing.
    pub(super) async fn room(&self) {
        // A program that reads no more takes everything, and its end is near.
        let _ = self.pieces.reserve().await;
    }

    /// Sends keys; there must be room for a piece.
    pub(super) fn send(&self, keys: Vec<u8>) {
        // The program may read no more.
        let _ = self.pieces.try_send(keys.into());
    }

    /// Ends the input.
    pub(super) async fn end(self, how: End) {
        let Typing { pieces, end, task } = self;
        match how {
            // What waits is typed first.
            End::Finished => drop(pieces),
            how => {
                let _ = end.try_send(how);
                let _ = task.await;
            }
        }
    }
}

async fn feed(mut input: Input, mut pieces: mpsc::Receiver<Bytes>, mut ending: mpsc::Receiver<End>) {
    loop {
        tokio::select! {
            biased;
            Some(how) = ending.recv() => return end(input, how),
            piece = pieces.recv() => match piece {
                None => return end(input, End::Finished),
                Some(piece) => {
                    let written = tokio::select! {
                        biased;
                        Some(how) = ending.recv() => return end(input, how),
                        written = input.write_all(piece) => written,
                    };
                    if written.is_err() {
                        // The program reads no more: what is typed goes nowhere.
                        while pieces.recv().await.is_some() {}
                        return;
                    }
                }
            },
        }
    }
}

fn end(input: Input, how: End) {
    match how {
        End::Finished => input.finish(),
        End::LeftOpen => drop(input),
        End::HungUp => input.abort(),
    }
}
