//! What went through the proxy in a run.

use serde::Serialize;

use super::plan::Towards;

/// How much of a direction is kept, in bytes.
const KEPT: usize = 1 << 20;
/// How many reads of a direction are kept.
const READS: usize = 1 << 16;

/// A run's connections, in the order of their acceptance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Each connection.
    pub conversations: Vec<Conversation>,
}

impl Transcript {
    /// How many bytes all connections carried in that direction.
    pub fn carried(&self, towards: Towards) -> u64 {
        self.conversations.iter().map(|conversation| conversation.stream(towards).total).sum()
    }

    /// Whether another run carried the same bytes, whatever their pieces.
    pub(super) fn carried_as(&self, other: &Transcript) -> bool {
        let same = |a: &Stream, b: &Stream| a.bytes == b.bytes && a.total == b.total;
        let pairs = || self.conversations.iter().zip(&other.conversations);
        self.conversations.len() == other.conversations.len()
            && pairs().all(|(a, b)| same(&a.to_server, &b.to_server) && same(&a.to_client, &b.to_client))
    }
}

/// One connection, both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// What the client sent.
    pub to_server: Stream,
    /// What the server sent.
    pub to_client: Stream,
}

impl Conversation {
    /// One of its directions.
    pub fn stream(&self, towards: Towards) -> &Stream {
        match towards {
            Towards::Server => &self.to_server,
            Towards::Client => &self.to_client,
        }
    }
}

/// What one end sent, and how the proxy read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its bytes, up to a MiB.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub total: u64,
    /// Where each read of the proxy ended.
    pub reads: Vec<ReadEnd>,
    /// When the sender's end came, in the order of all events of the run.
    pub ended: Option<u64>,
}

/// The end of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReadEnd {
    /// The bytes before it.
    pub at: u64,
    /// Its place in the order of all events of the run.
    pub order: u64,
}

/// Reads of one direction between which nothing came from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) start: u64,
    /// Where its last read began.
    pub(super) last: u64,
    pub(super) end: u64,
    pub(super) reads: usize,
    /// Whether the sender's end came with it.
    pub(super) ended: bool,
}

impl Stream {
    pub(super) fn add(&mut self, bytes: &[u8], order: u64) {
        let room = KEPT.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.total += bytes.len() as u64;
        if self.reads.len() < READS {
            self.reads.push(ReadEnd { at: self.total, order });
        }
    }

    /// Whether all of it was kept.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.total
    }

    /// The turns, seen beside what came from the other end.
    pub(super) fn turns(&self, other: &Stream) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::new();
        let (mut start, mut before) = (0, 0);
        let answered = |from: u64, to: u64| other.reads.iter().any(|read| (from..to).contains(&read.order));
        for read in &self.reads {
            match turns.last_mut() {
                Some(turn) if !answered(before, read.order) => {
                    (turn.last, turn.end, turn.reads) = (start, read.at, turn.reads + 1);
                }
                _ => turns.push(Turn { start, last: start, end: read.at, reads: 1, ended: false }),
            }
            (start, before) = (read.at, read.order);
        }
        if let (Some(turn), Some(ended)) = (turns.last_mut(), self.ended) {
            turn.ended = !answered(before, ended);
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_when_the_other_end_speaks() {
        let (mut client, mut server) = (Stream::default(), Stream::default());
        client.add(b"ab", 0);
        client.add(b"c", 1);
        server.add(b"x", 2);
        client.add(b"d", 3);
        client.ended = Some(4);
        let turns = client.turns(&server);
        assert_eq!(turns[0], Turn { start: 0, last: 2, end: 3, reads: 2, ended: false });
        assert_eq!(turns[1], Turn { start: 3, last: 3, end: 4, reads: 1, ended: true });
    }
}
