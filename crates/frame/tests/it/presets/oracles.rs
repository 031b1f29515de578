//! Python's parsers, where `scripts/oracles` has made them ready: the same frames in random streams, good and bad ones.

use super::{framing, random};
use crate::{
    collect::{Run, whole},
    cuts::Random,
    oracles::{ask_lines, case_count, hex, unhex},
};
use unglue_frame::Fault;

const KINDS: &[&str] = &["json", "msgpack", "cbor", "resp", "websocket", "http-chunked", "ber"];

fn case(random: &mut Random) -> (&'static str, Vec<u8>) {
    let kind = KINDS[random.below(KINDS.len())];
    let size = random.below(300) + 1;
    let mut stream = random::stream(kind, size, random).wire;
    match random.below(3) {
        0 => {
            let at = random.below(stream.len());
            stream[at] = random.below(256) as u8;
        }
        1 => stream.truncate(random.below(stream.len()) + 1),
        _ => {}
    }
    (kind, stream)
}

/// Whether ours and theirs agree, as far as theirs can tell; if not, why they may differ.
fn judge(kind: &str, ours: &Run, theirs: &[Vec<u8>], state: &str) -> Result<(), Option<&'static str>> {
    let data: Vec<&Vec<u8>> = ours.frames.iter().map(|frame| &frame.data).collect();
    let same = data.len() == theirs.len() && data.iter().zip(theirs).all(|(ours, theirs)| *ours == theirs);
    let prefix = data.len() >= theirs.len() && data.iter().zip(theirs).all(|(ours, theirs)| *ours == theirs);
    let truncated = matches!(ours.end, Err(error) if matches!(error.fault, Fault::Truncated { .. }));
    let beyond = matches!(ours.end, Err(error) if matches!(error.fault, Fault::TooLong { .. }));
    let agree = match state {
        "ok" => same && ours.end.is_ok(),
        "more" => same && (truncated || beyond),
        "error" => same && ours.end.is_err(),
        _ => prefix,
    };
    if agree {
        return Ok(());
    }
    Err(match (kind, ours.end.map_err(|error| error.fault)) {
        ("json", Err(Fault::Rule { reason: "this is not how a number goes on", .. })) => {
            Some("Python ends a number where the next byte can't go on with it: 01 is 0 and 1")
        }
        ("websocket", Err(Fault::Rule { reason: "its length is written with more bytes than it needs", .. })) => {
            Some("websockets takes a length with more bytes than it needs")
        }
        ("ber", Err(Fault::Rule { .. })) => {
            Some("asn1crypto takes the tag 0, padded tags, and primitive values of indefinite length")
        }
        ("resp", Err(Fault::Literal { .. })) => Some("hiredis passes over the two bytes behind a string"),
        ("resp", Err(Fault::Rule { .. })) if state == "more" && same => {
            Some("hiredis looks at a line once it is whole, and only at its end")
        }
        _ => None,
    })
}

#[test]
fn python_formats() {
    let mut random = Random(61);
    let cases: Vec<_> = (0..case_count()).map(|_| case(&mut random)).collect();
    let requests = cases.iter().map(|(kind, stream)| format!("{kind} 0 {}\n", hex(stream))).collect();
    let Some(replies) = ask_lines("python", requests) else {
        eprintln!("skipped: Python's parsers are asked by scripts/oracles alone");
        return;
    };
    assert_eq!(replies.len(), cases.len(), "the oracle ended early");
    let (mut reasons, mut unsure) = (std::collections::BTreeMap::new(), 0);
    for ((kind, stream), reply) in cases.iter().zip(&replies) {
        let (frames, state) = reply.split_once(' ').unwrap_or_else(|| panic!("the oracle said {reply:?}"));
        let frame = |text: &str| if text == "-" { Vec::new() } else { unhex(text) };
        let theirs: Vec<_> = if frames == "." { Vec::new() } else { frames.split(',').map(frame).collect() };
        unsure += usize::from(state == "quits");
        let ours = whole(&framing(kind), stream);
        if let Err(reason) = judge(kind, &ours, &theirs, state) {
            let reason = reason.unwrap_or_else(|| panic!("{kind} {}\n{reply}\n{ours:?}", hex(stream)));
            *reasons.entry(reason).or_insert(0) += 1;
        }
    }
    eprintln!("python: {} cases, in {unsure} it stopped early, differences explained: {reasons:?}", cases.len());
}
