//! Cuts in words: "cut after byte 3 of the server's 2nd message".

use unglue_frame::Framing;

use super::places::{Message, messages};
use super::plan::{Act, Cut};
use super::transcript::{Stream, Transcript};

/// How many bytes are shown on each side of a cut.
const SHOWN: usize = 12;

/// What a cut did, seen on a clean run's bytes.
pub(super) fn cut(cut: &Cut, clean: &Transcript, framings: [Option<&Framing>; 2]) -> String {
    let who = cut.towards.sender();
    let many = clean.conversations.len() > 1;
    let on = if many { format!(" on connection {}", cut.connection) } else { String::new() };
    let empty = Stream::default();
    let stream = clean.conversations.get(cut.connection - 1).map_or(&empty, |c| c.stream(cut.towards));
    let messages = messages(stream, framings[cut.towards as usize]);
    let place = |at: u64| place(at, who, &messages, stream);
    match &cut.act {
        Act::Split => format!("cut {}{on}", place(cut.after)),
        Act::Stall { ms } => format!("a pause of {ms} ms {}{on}", place(cut.after)),
        Act::HalfClose => format!("an end {}{on}, before the {who} has ended", place(cut.after)),
        Act::Narrow => format!(
            "little room for what the {who} sends: a window of a few KiB, and nothing is read for the first 0.3 s"
        ),
        Act::Join { until: None } => {
            let first = messages.iter().position(|m| m.end > cut.after).unwrap_or(messages.len());
            let (last, what) = (messages.len().saturating_sub(1), kind(messages.get(first)));
            match last > first {
                true => format!("the {who}'s {} to {} {what} and its end arrive together{on}", nth(first), nth(last)),
                false => format!("the {who}'s last {what} and its end arrive together{on}"),
            }
        }
        Act::Join { until: Some(until) } => {
            let first = messages.iter().position(|m| m.end > cut.after).unwrap_or(messages.len());
            let last = messages.iter().position(|m| m.end >= *until).unwrap_or(messages.len().saturating_sub(1));
            let what = kind(messages.get(first));
            match last > first {
                true => format!("the {who}'s {} to {} {what} arrive together{on}", nth(first), nth(last)),
                false => format!("bytes {} to {until} of what the {who} sends arrive together{on}", cut.after),
            }
        }
    }
}

fn kind(message: Option<&Message>) -> &'static str {
    if message.is_some_and(|message| message.framed) { "message" } else { "write" }
}

/// `after byte 3 of the server's 2nd message, inside its header`.
fn place(at: u64, who: &str, messages: &[Message], stream: &Stream) -> String {
    let Some(index) = messages.iter().position(|message| at <= message.end) else {
        return format!("after byte {at} of what the {who} sends");
    };
    let message = &messages[index];
    let (what, inside) = (kind(Some(message)), at - message.start);
    if at == message.end {
        return match messages.get(index + 1) {
            Some(_) => format!("between the {who}'s {} and {} {what}", nth(index), nth(index + 1)),
            None => format!("behind the {who}'s last {what}"),
        };
    }
    let detail = match () {
        () if message.head > inside => format!(", inside its header of {} bytes", message.head),
        () if message.head == inside && inside > 0 => ", between its header and its data".into(),
        () => unit(at, stream).into(),
    };
    if inside == 0 {
        return format!("before the {who}'s {} {what}", nth(index));
    }
    format!("after byte {inside} of the {who}'s {} {what}{detail}", nth(index))
}

/// What a place divides that belongs together.
fn unit(at: u64, stream: &Stream) -> &'static str {
    let around =
        usize::try_from(at).ok().and_then(|at| Some((*stream.bytes.get(at.checked_sub(1)?)?, *stream.bytes.get(at)?)));
    match around {
        Some((b'\r', b'\n')) => ", between CR and LF",
        Some((b'\n', b'\n')) => ", between two LF",
        Some((before, behind)) if before >= 0x80 && behind & 0xc0 == 0x80 => ", inside a character of UTF-8",
        _ => "",
    }
}

/// The bytes around a cut, in hexadecimal and as text.
pub(super) fn around(cut: &Cut, clean: &Transcript) -> Option<String> {
    let stream = clean.conversations.get(cut.connection - 1)?.stream(cut.towards);
    let at = usize::try_from(cut.after).ok().filter(|at| *at <= stream.bytes.len())?;
    let (before, behind) = stream.bytes.split_at(at);
    let before = &before[before.len().saturating_sub(SHOWN)..];
    let behind = &behind[..behind.len().min(SHOWN)];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    Some(format!("{} | {}   \"{}\" | \"{}\"", hex(before), hex(behind), text(before), text(behind)))
}

/// `1st`, `2nd`, `3rd`, …, from an index.
fn nth(index: usize) -> String {
    let number = index + 1;
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::plan::Towards;
    use crate::torture::transcript::Conversation;

    #[test]
    fn a_cut_is_told_by_its_message() {
        let mut stream = Stream::default();
        stream.add(b"\0\0\0\x02hi", 1);
        stream.add("\0\0\0\x03é!".as_bytes(), 2);
        let clean = Transcript { conversations: vec![Conversation { to_client: stream, ..Conversation::default() }] };
        let framing: Framing = "u32be".parse().expect("a notation");
        let told = |after: u64, act: Act, framed: bool| {
            let at = Cut { connection: 1, towards: Towards::Client, after, act };
            cut(&at, &clean, [None, framed.then_some(&framing)])
        };
        let split = |after, framed| told(after, Act::Split, framed);
        assert_eq!(split(9, true), "cut after byte 3 of the server's 2nd message, inside its header of 4 bytes");
        assert_eq!(split(10, true), "cut after byte 4 of the server's 2nd message, between its header and its data");
        assert_eq!(split(11, true), "cut after byte 5 of the server's 2nd message, inside a character of UTF-8");
        assert_eq!(split(6, true), "cut between the server's 1st and 2nd message");
        assert_eq!(split(9, false), "cut after byte 3 of the server's 2nd write");
        let joined = told(0, Act::Join { until: Some(13) }, true);
        assert_eq!(joined, "the server's 1st to 2nd message arrive together");
    }

    #[test]
    fn numbers_are_ordinal() {
        let told = [0, 1, 2, 3, 10, 11, 12, 20, 110].map(nth);
        assert_eq!(told, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "111th"]);
    }
}
