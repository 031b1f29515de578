//! From a hypothesis to a line of the notation, with the fields that its columns look like.

use unglue_frame::Framing;

use super::Candidate;
use super::column::Look;
use super::parse::{End, Parse, count};
use super::prefix::{Number, Prefix};
use super::preset;
use super::score::Corpus;
use super::search::{Found, Kind};

/// Frames after which a byte that never changed counts as a constant.
const CONSTANT: usize = 4;
/// The longest run of bytes that is told as fields.
const FIELDS: usize = 12;
const CHECKSUMS: [&str; 7] = ["crc32", "crc32c", "crc16", "crc16-modbus", "crc16-xmodem", "crc16-x25", "sum8"];

/// Whether the framing library finds the same frames with a hypothesis' notation.
pub(super) fn is_sound(corpus: &Corpus<'_>, found: &Found) -> bool {
    let notation = match &found.kind {
        Kind::Fixed(size) => format!("fixed:{size}"),
        Kind::Named { notation, .. } => notation.clone(),
        Kind::Prefix(prefix) => {
            let gap = match prefix.at {
                0 => String::new(),
                at => format!("_*{at} "),
            };
            let plus = if prefix.plus == 0 { String::new() } else { format!("{:+}", prefix.plus) };
            format!("{gap}len:{} data[len{plus}]", number(prefix.number))
        }
    };
    notation.parse().is_ok_and(|framing| agrees(corpus, &framing, &found.parses))
}

/// The notation, if it parses the streams as the hypothesis does, and what speaks for it.
pub(super) fn describe(corpus: &Corpus<'_>, found: &Found, bits: f64) -> Option<Candidate> {
    let mut evidence = vec![coverage(corpus, &found.parses)];
    let offset = found.parses.iter().map(first_whole).max().unwrap_or(0);
    let notation = match &found.kind {
        Kind::Fixed(size) => {
            evidence.push("columns of the records repeat".into());
            format!("fixed:{size}")
        }
        Kind::Named { notation, because } => {
            evidence.extend(because.iter().cloned());
            notation.clone()
        }
        Kind::Prefix(prefix) => {
            evidence.push(format!(
                "the length ({}, at byte {}) counts {}",
                prefix.number.words(),
                prefix.at,
                prefix.counts()
            ));
            if found.is_uniform() {
                evidence.push("all frames have one length: a fixed size explains them as well".into());
            }
            layout(corpus, prefix, &found.parses, &mut evidence)?
        }
    };
    let framing: Framing = notation.parse().ok()?;
    if !agrees(corpus, &framing, &found.parses) {
        return None;
    }
    evidence.push(start(&found.parses, offset)?);
    evidence.retain(|line| !line.is_empty());
    Some(Candidate { notation, score: (bits * 10.0).round() / 10.0, evidence, offset })
}

/// Where the first frame begins that the stream has from its first byte on.
fn first_whole(parse: &Parse) -> u64 {
    match parse.start {
        start if start < 0 => parse.ends.first().map_or(0, |end| *end as u64),
        start => start as u64,
    }
}

fn coverage(corpus: &Corpus<'_>, parses: &[Parse]) -> String {
    let frames = count(parses);
    let bytes: i64 = parses.iter().map(|parse| parse.behind() - parse.start.max(0)).sum();
    let cut = parses.iter().filter(|parse| parse.end != End::Exact).count();
    let s = if frames == 1 { "" } else { "s" };
    let cut = match cut {
        0 => String::new(),
        _ => "; the last frame is cut".into(),
    };
    format!("{frames} frame{s}, {bytes} of {} bytes{cut}", corpus.size())
}

fn start(parses: &[Parse], offset: u64) -> Option<String> {
    let parse = parses.first()?;
    Some(match parse.start {
        0 => String::new(),
        start if start < 0 => format!(
            "the first frame lacks its first {} bytes: whole frames begin at byte {offset}; or the first message has a shorter header",
            -start
        )
        .replace("first 1 bytes", "first byte"),
        _ => format!("whole frames begin at byte {offset}; what stands before is of no such frame"),
    })
}

/// Whether the framing finds the same frames.
fn agrees(corpus: &Corpus<'_>, framing: &Framing, parses: &[Parse]) -> bool {
    corpus.streams.iter().zip(parses).all(|(stream, parse)| {
        let from = first_whole(parse) as i64;
        let Some(again) = preset::parse(framing, &stream.bytes[from as usize..]) else { return false };
        let want = parse.ends.iter().filter(|end| **end > from).map(|end| end - from);
        let same = want.zip(&again.ends).all(|(want, got)| want == *got);
        let behind = usize::from(parse.start < 0);
        same && (again.ends.len() + behind).abs_diff(parse.ends.len()) <= 1
    })
}

/// The parts of a layout, as they are collected.
struct Parts<'a> {
    corpus: &'a Corpus<'a>,
    parses: &'a [Parse],
    text: Vec<String>,
    names: Vec<String>,
}

fn layout(corpus: &Corpus<'_>, prefix: &Prefix, parses: &[Parse], evidence: &mut Vec<String>) -> Option<String> {
    let width = prefix.number.width();
    let varies = matches!(prefix.number, Number::Varint(_));
    let mut parts = Parts { corpus, parses, text: Vec::new(), names: vec!["len".into()] };
    parts.fields(0..prefix.at, evidence);
    if let Some(simple) = simple(prefix) {
        parts.note(prefix.at + width..prefix.at + width + 4, evidence);
        if let Some(tail) = checksum(&parts, prefix, evidence) {
            return Some(tail);
        }
        return Some(simple);
    }
    if let Some(tail) = checksum(&parts, prefix, evidence) {
        return Some(tail);
    }
    parts.text.push(format!("len:{}", number(prefix.number)));
    let whole = (prefix.at + width) as i64;
    let natural = prefix.plus == 0 || prefix.plus == -whole || prefix.plus == -(width as i64);
    let tail = if natural { Vec::new() } else { parts.tail(prefix) };
    let head = (prefix.plus - tail.len() as i64).max(0) as usize;
    if head > 0 && !varies {
        parts.fields(prefix.at + width..prefix.at + width + head, evidence);
    }
    let plus = prefix.plus - tail.len() as i64 - if varies { 0 } else { head as i64 };
    parts.text.push(match plus {
        0 => "data[len]".into(),
        plus => format!("data[len{plus:+}]"),
    });
    parts.text.extend(literals(&tail));
    if natural {
        parts.note(prefix.at + width..prefix.at + width + 4, evidence);
        parts.note_tail(prefix, evidence);
    }
    Some(parts.text.join(" "))
}

fn number(number: Number) -> String {
    if number == Number::Varint(10) { "varint".into() } else { number.name() }
}

/// A length and nothing else has a name of its own.
fn simple(prefix: &Prefix) -> Option<String> {
    let name = number(prefix.number);
    match (prefix.at, prefix.plus) {
        (0, 0) => Some(name),
        (0, plus) if plus == -(prefix.number.width() as i64) => Some(format!("{name}(incl)")),
        _ => None,
    }
}

/// Bytes in hex, the same in a row as one.
fn literals(bytes: &[u8]) -> Vec<String> {
    let runs = bytes.chunk_by(|a, b| a == b);
    runs.map(|run| {
        if run.len() > 2 {
            format!("{:02x}*{}", run[0], run.len())
        } else {
            vec![format!("{:02x}", run[0]); run.len()].join(" ")
        }
    })
    .collect()
}

impl Parts<'_> {
    fn look(&self, at: i64) -> Look {
        self.corpus.column(self.parses, at).look()
    }

    /// Adds the header bytes of this range as constants and fields.
    fn fields(&mut self, range: std::ops::Range<usize>, evidence: &mut Vec<String>) {
        let frames = count(self.parses);
        let looks: Vec<Look> = range.clone().map(|at| self.look(at as i64)).collect();
        let constant = |index: usize| match looks.get(index) {
            Some(Look::Constant(byte)) => Some(*byte),
            _ => None,
        };
        let fixed: Vec<Option<u8>> = (0..looks.len())
            .map(|index| {
                let beside = constant(index + 1).is_some()
                    || index.checked_sub(1).is_some_and(|index| constant(index).is_some());
                constant(index).filter(|_| frames >= CONSTANT || (frames >= 2 && beside))
            })
            .collect();
        let mut index = 0;
        while index < fixed.len() {
            let same = |other: &Option<u8>| other.is_some() == fixed[index].is_some();
            let run = fixed[index..].iter().take_while(|other| same(other)).count();
            if fixed[index].is_some() {
                let bytes: Vec<u8> = fixed[index..index + run].iter().filter_map(|byte| *byte).collect();
                evidence.push(format!("{} always {}", places(range.start + index, run), literals(&bytes).join(" ")));
                self.text.extend(literals(&bytes));
            } else if run > FIELDS {
                self.text.push(format!("_*{run}"));
            } else {
                self.numbers(range.start + index, &looks[index..index + run], evidence);
            }
            index += run;
        }
    }

    /// Adds fields for bytes that vary.
    fn numbers(&mut self, at: usize, looks: &[Look], evidence: &mut Vec<String>) {
        let mut index = 0;
        while index < looks.len() {
            let left = looks.len() - index;
            let alone = matches!(looks[index], Look::Few(_));
            let width = match left {
                _ if alone && left % 2 == 1 => 1,
                8.. => 8,
                4.. => 4,
                2.. if at + index == 0 || left == 2 => 2,
                _ => 1,
            };
            let last = looks[index + width - 1];
            let (stem, why) = match last {
                Look::Few(values) if width == 1 => ("type", format!("takes {values} values: it may be a type")),
                Look::Few(values) => ("f", format!("takes {values} values in its last byte")),
                Look::Counter => ("seq", "counts up: it may be a sequence number".into()),
                Look::Constant(byte) => ("f", format!("is always {byte:02x} so far")),
                Look::Varied => ("f", "varies: it may be an id".into()),
            };
            let name = self.fresh(stem);
            evidence.push(format!("{} {why}", places(at + index, width)));
            self.text.push(match width {
                1 => format!("{name}:u8"),
                width => format!("{name}:u{}be", width * 8),
            });
            index += width;
        }
    }

    fn fresh(&mut self, stem: &str) -> String {
        let numbered =
            (1..).map(|number| if number == 1 && stem != "f" { stem.into() } else { format!("{stem}{number}") });
        let name = numbered.into_iter().find(|name: &String| !self.names.contains(name)).unwrap_or_default();
        self.names.push(name.clone());
        name
    }

    /// Tells what stands behind a header, without making it part of the layout.
    fn note(&self, range: std::ops::Range<usize>, evidence: &mut Vec<String>) {
        for at in range {
            let column = self.corpus.column(self.parses, at as i64);
            if column.bytes().count() < count(self.parses) || column.gain() < 4.0 {
                continue;
            }
            evidence.push(match column.look() {
                Look::Constant(byte) => format!("byte {at} is always {byte:02x}"),
                Look::Counter => format!("byte {at} counts up: it may be a sequence number"),
                Look::Few(values) => format!("byte {at} takes {values} values: it may be a type"),
                Look::Varied => continue,
            });
        }
    }

    /// The constant bytes at each frame's end, behind those that the length counts.
    fn tail(&self, prefix: &Prefix) -> Vec<u8> {
        let least = (prefix.at + prefix.number.width()) as i64;
        let shortest = self.parses.iter().flat_map(Parse::frames).map(|(_, total)| total).min().unwrap_or(0);
        let room = (shortest - least).clamp(0, 4);
        let room = if prefix.plus > 0 { room.min(prefix.plus) } else { room };
        let mut tail = Vec::new();
        for back in 1..=room {
            match self.look(-back) {
                Look::Constant(byte) if byte != 0 && count(self.parses) >= 3 => tail.push(byte),
                _ => break,
            }
        }
        tail.reverse();
        tail
    }

    fn note_tail(&self, prefix: &Prefix, evidence: &mut Vec<String>) {
        let tail = self.tail(&Prefix { plus: -1, ..*prefix });
        if tail.len() >= 2 || tail.first().is_some_and(|byte| !byte.is_ascii_graphic()) {
            evidence.push(format!("each frame ends with {}", literals(&tail).join(" ")));
        }
    }
}

fn places(at: usize, width: usize) -> String {
    match width {
        1 => format!("byte {at}"),
        _ => format!("bytes {at} to {}", at + width - 1),
    }
}

/// The layout with a checksum at each frame's end, if one fits all of them.
fn checksum(parts: &Parts<'_>, prefix: &Prefix, evidence: &mut Vec<String>) -> Option<String> {
    let frames = count(parts.parses);
    if frames < 2 || matches!(prefix.number, Number::Varint(_)) {
        return None;
    }
    let before = [parts.text.join(" "), format!("len:{}", number(prefix.number))].join(" ");
    for name in CHECKSUMS {
        let size = match name {
            "sum8" => 1,
            name if name.starts_with("crc32") => 4,
            _ => 2,
        };
        if size == 1 && frames < 4 {
            continue;
        }
        for behind in 0..=(prefix.plus - size).clamp(0, 8) as usize {
            for options in ["", "(le)", "(all)", "(all,le)"] {
                if (size == 1 && options.contains("le")) || (options.contains("all") && behind > 0) {
                    continue;
                }
                let plus = prefix.plus - size - behind as i64;
                let gap = match behind {
                    0 => String::new(),
                    1 => " _".into(),
                    behind => format!(" _*{behind}"),
                };
                let data = if plus == 0 { "data[len]".into() } else { format!("data[len{plus:+}]") };
                let notation = format!("{before}{gap} {data} {name}{options}").trim_start().to_owned();
                if notation.parse().is_ok_and(|framing| agrees(parts.corpus, &framing, parts.parses)) {
                    let over = if options.contains("all") { "all bytes before it" } else { "the data" };
                    evidence.push(
                        format!("the last {size} bytes are {name} of {over}, in all {frames} frames")
                            .replace("last 1 bytes are", "last byte is"),
                    );
                    return Some(notation);
                }
            }
        }
    }
    None
}
