//! Where a cut may matter: the messages of a clean run, and the places in them.

use std::collections::BTreeSet;

use unglue_frame::{Deframer, Framing};

use super::plan::{Act, Cut, Plan, Towards};
use super::transcript::{Stream, Transcript};

/// Up to so many bytes of a direction every place is one.
const EVERY: usize = 512;
/// How many places a direction has at most.
const MOST: usize = 400;
/// Sizes at which programs' buffers end.
const BUFFERS: [u64; 10] = [128, 256, 512, 1000, 1024, 2048, 4096, 8192, 16_384, 65_536];
/// A sender of fewer bytes never finds too little room.
const FILLS_A_BUFFER: u64 = 24 << 10;

/// A message, or what the proxy read at once where nothing says where messages end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The bytes before its data; 0 where that isn't known.
    pub(super) head: u64,
    /// Whether the notation says that it is a message.
    pub(super) framed: bool,
}

/// The messages of a stream. Behind a place that the notation can't read, each read is one.
pub(super) fn messages(stream: &Stream, framing: Option<&Framing>) -> Vec<Message> {
    let mut found = Vec::new();
    if let Some(framing) = framing {
        let (mut deframer, mut rest) = (Deframer::new(framing.clone()), &stream.bytes[..]);
        while let Ok(Some(frame)) = deframer.decode(&mut rest) {
            let (start, head) = (frame.offset(), frame.head().len() as u64);
            let end = start + frame.raw().len() as u64;
            found.push(Message { start, end, head, framed: true });
        }
    }
    let mut start = found.last().map_or(0, |message| message.end);
    for read in stream.reads.iter().filter(|read| read.at > start).collect::<Vec<_>>() {
        found.push(Message { start, end: read.at, head: 0, framed: false });
        start = read.at;
    }
    found
}

/// The places of a stream, none of them its beginning or its end.
pub(super) fn places(stream: &Stream, messages: &[Message]) -> Vec<u64> {
    let total = stream.bytes.len() as u64;
    let mut places: BTreeSet<u64> = BTreeSet::new();
    if stream.bytes.len() <= EVERY {
        places.extend(1..total);
    } else {
        // The first messages first: there is room for so many places.
        let ends = messages.iter().flat_map(|message| [message.end, message.end - 1]);
        let heads = messages.iter().flat_map(|m| (1..=m.head.min(16) + 1).map(|n| m.start + n));
        let insides = messages.iter().flat_map(|m| [m.start + (m.end - m.start) / 2, m.end.saturating_sub(2)]);
        let buffers = BUFFERS.iter().flat_map(|size| [size - 1, *size, size + 1]);
        let beginnings = messages.iter().take(8).flat_map(|m| (1..=12).map(|n| m.start + n));
        let groups: [&mut dyn Iterator<Item = u64>; 6] = [
            &mut heads.take(MOST / 2).collect::<Vec<_>>().into_iter(),
            &mut beginnings.collect::<Vec<_>>().into_iter(),
            &mut inside_units(&stream.bytes).into_iter().take(MOST / 4),
            &mut insides.take(MOST / 4).collect::<Vec<_>>().into_iter(),
            &mut buffers.collect::<Vec<_>>().into_iter(),
            &mut ends.take(MOST).collect::<Vec<_>>().into_iter(),
        ];
        for place in groups.into_iter().flatten() {
            if places.len() < MOST && place > 0 && place < total {
                places.insert(place);
            }
        }
    }
    places.into_iter().collect()
}

/// Places inside what belongs together: characters of several bytes, CR LF, and behind a backslash or a closing brace.
fn inside_units(bytes: &[u8]) -> Vec<u64> {
    let pairs = bytes.windows(2).enumerate();
    let inside = pairs.filter(|(_, pair)| {
        let inside_character = pair[0] >= 0xc0 && pair[1] & 0xc0 == 0x80;
        inside_character || pair == b"\r\n" || pair[0] == b'\\' || pair[0] == b'}' || pair == b"\n\n"
    });
    inside.map(|(at, _)| at as u64 + 1).collect()
}

/// What is known of a clean run, and what may be tried.
pub(super) struct Map<'a> {
    pub(super) clean: &'a Transcript,
    pub(super) framings: [Option<&'a Framing>; 2],
    /// How long a stall takes, in milliseconds.
    pub(super) stall: u64,
    pub(super) half_close: bool,
}

impl Map<'_> {
    fn each_stream(&self) -> impl Iterator<Item = (usize, Towards, &Stream, &Stream)> {
        self.clean.conversations.iter().enumerate().flat_map(|(index, conversation)| {
            Towards::BOTH.into_iter().map(move |towards| {
                (index + 1, towards, conversation.stream(towards), conversation.stream(towards.other()))
            })
        })
    }

    pub(super) fn messages(&self, towards: Towards, stream: &Stream) -> Vec<Message> {
        messages(stream, self.framings[towards as usize])
    }

    /// A cut at every place.
    pub(super) fn splits(&self) -> Plan {
        let mut cuts = Vec::new();
        for (connection, towards, stream, _) in self.each_stream() {
            let places = places(stream, &self.messages(towards, stream));
            cuts.extend(places.into_iter().map(|after| Cut { connection, towards, after, act: Act::Split }));
        }
        // Many connections share the places.
        let keep = cuts.len().div_ceil(4 * MOST).max(1);
        Plan::of(cuts.into_iter().step_by(keep))
    }

    /// Whatever comes without an answer in between arrives together, and with the sender's end.
    pub(super) fn joins(&self) -> Plan {
        let mut cuts = Vec::new();
        for (connection, towards, stream, other) in self.each_stream() {
            for turn in stream.turns(other) {
                let until = (!turn.ended).then_some(turn.end);
                if turn.reads > 1 || turn.ended {
                    cuts.push(Cut { connection, towards, after: turn.start, act: Act::Join { until } });
                }
            }
        }
        Plan::of(cuts)
    }

    /// A turn is held for the next one, in case the sender doesn't wait for the answer in between.
    pub(super) fn hopeful_joins(&self) -> Plan {
        let mut cuts = Vec::new();
        for (connection, towards, stream, other) in self.each_stream() {
            let turns = stream.turns(other);
            for pair in turns.windows(2).take(3) {
                let act = Act::Join { until: Some(pair[1].end) };
                cuts.push(Cut { connection, towards, after: pair[0].last, act });
            }
            let ends = turns.last().filter(|turn| stream.ended.is_some() && !turn.ended);
            cuts.extend(ends.map(|t| Cut { connection, towards, after: t.last, act: Act::Join { until: None } }));
        }
        Plan::of(cuts)
    }

    /// A stall inside a few messages of each direction: inside the header or after the first byte, and in the middle.
    pub(super) fn stalls(&self, which: usize) -> Plan {
        let mut cuts = Vec::new();
        for (connection, towards, stream, _) in self.each_stream() {
            let messages = self.messages(towards, stream);
            let long: Vec<&Message> = messages.iter().filter(|message| message.end - message.start > 1).collect();
            let chosen = match which {
                0 => long
                    .first()
                    .map(|m| m.start + (m.head + (m.end - m.start - m.head) / 2).clamp(1, m.end - m.start - 1)),
                1 => long.last().map(|m| m.start + 1),
                _ => long.get(long.len() / 2).map(|m| m.end - 1),
            };
            let act = Act::Stall { ms: self.stall };
            cuts.extend(chosen.map(|after| Cut { connection, towards, after, act: act.clone() }));
        }
        cuts.truncate(4);
        Plan::of(cuts)
    }

    /// Senders of much find little room.
    pub(super) fn narrow(&self) -> Plan {
        let mut cuts = Vec::new();
        for (_, towards, stream, _) in self.each_stream() {
            if stream.total >= FILLS_A_BUFFER {
                cuts.push(Cut { connection: 1, towards, after: 0, act: Act::Narrow });
            }
        }
        Plan::of(cuts)
    }

    /// The server sees its client's end behind the last byte, before the client has the answer.
    pub(super) fn half_closes(&self) -> Plan {
        let mut cuts = Vec::new();
        for (connection, towards, stream, _) in self.each_stream() {
            if self.half_close && towards == Towards::Server && stream.total > 0 {
                cuts.push(Cut { connection, towards, after: stream.total, act: Act::HalfClose });
            }
        }
        Plan::of(cuts)
    }

    /// A few cuts at random places.
    pub(super) fn random(&self, random: &mut Random) -> Plan {
        let streams: Vec<_> = self.each_stream().filter(|(_, _, stream, _)| stream.total > 1).collect();
        let mut cuts = Vec::new();
        for _ in 0..if streams.is_empty() { 0 } else { 1 + random.below(12) } {
            let (connection, towards, stream, _) = streams[random.below(streams.len() as u64) as usize];
            let messages = self.messages(towards, stream);
            let places = places(stream, &messages);
            let after = match random.below(3) {
                0 => 1 + random.below(stream.total - 1),
                _ => places[random.below(places.len() as u64) as usize],
            };
            let act = match random.below(16) {
                0 => Act::Stall { ms: 1 + random.below(self.stall) },
                1..4 => {
                    let some = messages[random.below(messages.len() as u64) as usize].end;
                    Act::Join { until: Some(some.max(after + 1)) }
                }
                _ => Act::Split,
            };
            cuts.push(Cut { connection, towards, after, act });
        }
        Plan::of(cuts)
    }
}

/// Numbers that look random, and are the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one, which is above 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(reads: &[&[u8]]) -> Stream {
        let mut stream = Stream::default();
        for (order, read) in reads.iter().enumerate() {
            stream.add(read, order as u64);
        }
        stream
    }

    #[test]
    fn a_notation_says_where_messages_end_and_reads_do_behind_what_it_cannot_read() {
        let stream = stream(&[b"\0\x02hi\0", b"\x01x", b"\xff\xff"]);
        let framing: Framing = "u16be(max=9)".parse().expect("a notation");
        let found = messages(&stream, Some(&framing));
        let ends: Vec<_> = found.iter().map(|m| (m.start, m.end, m.head, m.framed)).collect();
        assert_eq!(ends, [(0, 4, 2, true), (4, 7, 2, true), (7, 9, 0, false)]);
        assert_eq!(messages(&stream, None).len(), 3);
    }

    #[test]
    fn every_place_of_a_short_stream_and_the_telling_ones_of_a_long_one() {
        let short = stream(&[b"abc"]);
        assert_eq!(places(&short, &messages(&short, None)), [1, 2]);
        let text = ["x".repeat(600).as_bytes(), "é\r\n".as_bytes(), "y".repeat(900).as_bytes()].concat();
        let long = stream(&[&text]);
        let found = places(&long, &messages(&long, None));
        for place in [1, 511, 512, 513, 601, 603, 1503, 1024] {
            assert!(found.contains(&place), "{place}: {found:?}");
        }
        assert!(found.len() <= MOST);
    }
}
