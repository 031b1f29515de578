//! The same bytes drawn twice: with the edges that the sender made, and with those that the receiver saw.

use unglue_lab::record::{Excerpt, Flow};

/// An edge that this side has.
const EDGE: char = '│';
/// One that only the other side has.
const NO_EDGE: char = '┊';
/// How wide long messages are drawn.
const WIDTH: u64 = 60;
/// The longest text that is drawn byte by byte.
const LITERAL: u64 = 40;

/// Two lines.
pub(super) fn lines(flow: &Flow) -> [String; 2] {
    let (sent, received) = match literal(flow) {
        Some(rows) => rows,
        None => scaled(flow),
    };
    [format!("sent      {sent}"), format!("received  {received}")]
}

/// Short messages, byte for byte; an edge of one side is marked in the other's line too.
fn literal(flow: &Flow) -> Option<(String, String)> {
    let whole = |pieces: &[Excerpt]| pieces.iter().all(Excerpt::is_whole);
    let total = length(&flow.sent).max(length(&flow.received));
    if total > LITERAL || !whole(&flow.sent) || !whole(&flow.received) {
        return None;
    }
    let bytes = |pieces: &[Excerpt]| pieces.iter().flat_map(|piece| piece.start.clone()).collect::<Vec<u8>>();
    let (sent, received) = (edges(&flow.sent), edges(&flow.received));
    let all: Vec<usize> = (0..=total as usize).filter(|at| sent.contains(at) || received.contains(at)).collect();
    Some((row(&bytes(&flow.sent), &sent, &all), row(&bytes(&flow.received), &received, &all)))
}

fn length(pieces: &[Excerpt]) -> u64 {
    pieces.iter().map(|piece| piece.length).sum()
}

/// Where pieces begin and end, in bytes.
fn edges(pieces: &[Excerpt]) -> Vec<usize> {
    let mut at = 0;
    let mut edges = vec![0];
    for piece in pieces {
        at += piece.start.len();
        edges.push(at);
    }
    edges
}

fn row(bytes: &[u8], own: &[usize], all: &[usize]) -> String {
    let mut drawn = String::new();
    for (index, &at) in all.iter().enumerate().filter(|(_, at)| **at <= bytes.len()) {
        let times = own.iter().filter(|edge| **edge == at).count();
        match times {
            0 => drawn.push(NO_EDGE),
            times => drawn.extend(std::iter::repeat_n(EDGE, times)),
        }
        let to = all.get(index + 1).copied().unwrap_or(bytes.len()).min(bytes.len());
        drawn.push_str(&Excerpt::of(&bytes[at..to]).text());
    }
    drawn
}

/// Long messages, in proportion, each with its size.
fn scaled(flow: &Flow) -> (String, String) {
    let total = length(&flow.sent).max(length(&flow.received)).max(1);
    let draw = |pieces: &[Excerpt]| {
        let cells = pieces.iter().map(|piece| cell(piece.length, total));
        format!("{EDGE}{}", cells.map(|cell| format!("{cell}{EDGE}")).collect::<String>())
    };
    (draw(&flow.sent), draw(&flow.received))
}

fn cell(length: u64, total: u64) -> String {
    let text = format!(" {length} ");
    let width = usize::try_from(length * WIDTH / total).unwrap_or(0).max(text.len());
    format!("{text:─^width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(sent: &[&[u8]], received: &[&[u8]]) -> Flow {
        let pieces = |pieces: &[&[u8]]| pieces.iter().map(|piece| Excerpt::of(piece)).collect();
        Flow { from: "a", to: "b", sent: pieces(sent), received: pieces(received) }
    }

    #[test]
    fn edges_stand_below_each_other() {
        let drawn = lines(&flow(&[b"hello", b"egg"], &[b"helloegg"]));
        assert_eq!(drawn, ["sent      │hello│egg│", "received  │hello┊egg│"]);
        let drawn = lines(&flow(&[b"hello egg"], &[b"he", b"llo egg"]));
        assert_eq!(drawn, ["sent      │he┊llo egg│", "received  │he│llo egg│"]);
    }

    #[test]
    fn an_empty_message_has_two_edges() {
        assert_eq!(lines(&flow(&[b""], &[b""])), ["sent      ││", "received  ││"]);
    }

    #[test]
    fn long_messages_are_drawn_in_proportion() {
        let [sent, received] = lines(&flow(&[&[0; 2000]], &[&[0; 1000]]));
        assert!(sent.contains(" 2000 ") && received.contains(" 1000 "));
        assert!(sent.chars().count() > received.chars().count() + 20, "{sent}\n{received}");
    }
}
