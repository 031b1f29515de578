//! Living peers: Erlang, Netty and Twisted, where `scripts/oracles` has made them ready.

use crate::cuts::Random;
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use unglue_frame::{DecodeError, Deframer, Enframer, Fault, Framing};

/// A decoder of theirs, and the notation that says the same; `{}` is the maximum.
type Kind = (&'static str, &'static str);

const ERLANG: &[Kind] = &[
    ("e1", "u8(max={})"),
    ("e2", "u16be(max={})"),
    ("e4", "u32be(max={})"),
    ("eline", "lines(max={})"),
    ("etpkt", "03 _ len:u16be data[len-4]"),
];

const NETTY: &[Kind] = &[
    ("n1", "u8(max={})"),
    ("n2", "u16be(max={})"),
    ("n2le", "u16le(max={})"),
    ("n3", "u24be(max={})"),
    ("n3le", "u24le(max={})"),
    ("n4", "u32be(max={})"),
    ("n4le", "u32le(max={})"),
    ("n8", "u64be(max={})"),
    ("n8le", "u64le(max={})"),
    ("nline", "lines(max={})"),
    ("ndelim", "crlf(max={})"),
    ("nfixed", "fixed:{}"),
    ("nvarint", "varint(5, max=2147483647)"),
];

const TWISTED: &[Kind] = &[
    ("t1", "u8(max={})"),
    ("t2", "u16be(max={})"),
    ("t4", "u32be(max={})"),
    ("tnet", "netstring(max={})"),
    ("tline", "crlf(max={})"),
];

/// A stream to be asked about.
struct Case {
    kind: &'static str,
    framing: Framing,
    max: usize,
    chunks: Vec<Vec<u8>>,
}

/// What comes of it.
#[derive(Debug, PartialEq)]
struct Seen {
    frames: Vec<Vec<u8>>,
    error: bool,
}

fn case(kinds: &[Kind], random: &mut Random) -> Case {
    let (kind, notation) = kinds[random.below(kinds.len())];
    let max = random.below(40) + 1;
    let framing: Framing = notation.replace("{}", &max.to_string()).parse().unwrap();
    let mut wire = Vec::new();
    for _ in 0..random.below(6) {
        let size = if kind == "nfixed" { max } else { random.below(max + 1) };
        let data: Vec<u8> = (0..size).map(|_| b"ab\r\n\0\x80\xff1:,"[random.below(10)]).collect();
        let _ = Enframer::new(framing.clone()).encode(&[], &data, &mut wire);
        match random.below(20) {
            0 => wire.push(random.below(256) as u8),
            1 => wire.truncate(wire.len().saturating_sub(1)),
            2 => wire.extend((0..random.below(60)).map(|_| b"a\r\n01:\x80"[random.below(7)])),
            _ => {}
        }
    }
    wire.push(random.below(256) as u8);
    let at = random.below(wire.len());
    let (first, second) = wire.split_at(at);
    let chunks = [first, second].into_iter().filter(|chunk| !chunk.is_empty()).map(<[u8]>::to_vec).collect();
    Case { kind, framing, max, chunks }
}

fn ours(case: &Case) -> (Seen, Option<DecodeError>, u64) {
    let (mut deframer, mut frames, mut error) = (Deframer::new(case.framing.clone()), Vec::new(), None);
    for chunk in &case.chunks {
        for frame in deframer.frames(&mut &chunk[..]) {
            match frame {
                Ok(frame) => frames.push(frame.data().to_vec()),
                Err(wrong) => error = Some(wrong),
            }
        }
        if error.is_some() {
            break;
        }
    }
    (Seen { frames, error: error.is_some() }, error, deframer.offset())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn read(line: &str) -> Seen {
    let (frames, state) = line.split_once(' ').unwrap_or_else(|| panic!("the oracle said {line:?}"));
    let frame = |text: &str| if text == "-" { Vec::new() } else { unhex(text) };
    let frames = if frames == "." { Vec::new() } else { frames.split(',').map(frame).collect() };
    Seen { frames, error: state == "error" }
}

/// Why they may disagree: each is told in `docs/framing.md`.
fn explained(case: &Case, theirs: &Seen, ours: &Seen, error: Option<DecodeError>, offset: u64) -> Option<&'static str> {
    let wire: Vec<u8> = case.chunks.concat();
    let rest = &wire[offset as usize..];
    let prefix = theirs.frames.starts_with(&ours.frames);
    match (case.kind, error.map(|error| error.fault)) {
        ("eline", Some(Fault::NoDelimiter { .. })) if prefix => Some("Erlang was asked for no maximum"),
        ("etpkt", Some(Fault::Literal { .. } | Fault::TooShort { .. }))
            if ours.frames == theirs.frames && rest.len() < 4 =>
        {
            Some("Erlang looks at a header once it is whole")
        }
        ("nvarint", Some(Fault::VarintPadded { .. })) if prefix => Some("Netty takes padded varints"),
        ("nvarint", Some(Fault::VarintTooLong { .. } | Fault::TooLong { .. })) if prefix => {
            Some("Netty cuts varints to 32 bits")
        }
        ("nline" | "ndelim" | "tline", _) if theirs.error && ours.frames.starts_with(&theirs.frames) => {
            // What may become a delimiter counts against their maximum until the next bytes show what it is.
            let cut = wire[..case.chunks[0].len()].ends_with(b"\r");
            (cut || rest.len() > case.max).then_some("a delimiter's first half counts as data until its second comes")
        }
        (kind, Some(_)) if kind.starts_with('n') && theirs.error && prefix => {
            Some("Netty goes on behind a frame that was too long")
        }
        _ => None,
    }
}

fn ask(name: &str, cases: &[Case]) -> Option<Vec<String>> {
    let request = |case: &Case| {
        let chunks: Vec<String> = case.chunks.iter().map(|chunk| hex(chunk)).collect();
        format!("{} {} {}\n", case.kind, case.max, chunks.join(","))
    };
    ask_lines(name, cases.iter().map(request).collect())
}

/// The oracle's answers, a line for each line of the requests. `None` if it isn't there.
pub(crate) fn ask_lines(name: &str, requests: String) -> Option<Vec<String>> {
    let command = env::var(format!("UNGLUE_ORACLE_{}", name.to_uppercase())).ok()?;
    let mut words = command.split_whitespace();
    let mut child = Command::new(words.next()?)
        .args(words)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let limit = Duration::from_secs(60 + requests.lines().count() as u64 / 200);
    let writer = thread::spawn(move || input.write_all(requests.as_bytes()));
    let reader = thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > limit {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait().unwrap();
    writer.join().unwrap().unwrap_or_else(|error| panic!("{command} hung up: {error}"));
    Some(reader.join().unwrap())
}

/// How many cases an oracle is asked about.
pub(crate) fn case_count() -> usize {
    env::var("UNGLUE_ORACLE_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

fn compare(name: &str, kinds: &[Kind], seed: u64) {
    let count = case_count();
    let mut random = Random(seed);
    let cases: Vec<Case> = (0..count).map(|_| case(kinds, &mut random)).collect();
    let Some(replies) = ask(name, &cases) else {
        eprintln!("skipped: {name} is asked by scripts/oracles alone");
        return;
    };
    assert_eq!(replies.len(), cases.len(), "{name} ended early");
    let mut reasons = std::collections::BTreeMap::new();
    for (case, reply) in cases.iter().zip(&replies) {
        let theirs = read(reply);
        let (ours, error, offset) = ours(case);
        if theirs != ours {
            let reason = explained(case, &theirs, &ours, error, offset);
            let wire: Vec<String> = case.chunks.iter().map(|chunk| hex(chunk)).collect();
            let reason = reason
                .unwrap_or_else(|| panic!("{} {} {wire:?}\n{theirs:?}\n{ours:?} {error:?}", case.kind, case.framing));
            *reasons.entry(reason).or_insert(0) += 1;
        }
    }
    eprintln!(
        "{name}: {count} cases, {} alike, the others explained: {reasons:?}",
        count - reasons.values().sum::<usize>()
    );
}

#[test]
fn erlang() {
    compare("erlang", ERLANG, 41);
}

#[test]
fn netty() {
    compare("netty", NETTY, 43);
}

#[test]
fn twisted() {
    compare("twisted", TWISTED, 47);
}
