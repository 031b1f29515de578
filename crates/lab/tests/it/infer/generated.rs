//! Generated framings: how often the right one comes first, by family.
//!
//! `UNGLUE_INFER=3000 cargo test --release -p unglue-lab --test it generated -- --nocapture` prints the table of docs/lab.md.

use std::collections::BTreeMap;

use unglue_frame::Enframer;
use unglue_lab::infer::Verdict;

use super::words::{Random, payload};
use super::{lengths, of};

/// Families of framings, each with notations.
const FAMILIES: &[(&str, &[&str])] = &[
    ("length alone, 2 bytes", &["u16be", "u16le", "u16be(incl)", "u16le(incl)"]),
    ("length alone, 4 bytes", &["u32be", "u32le", "u32be(incl)", "u32le(incl)"]),
    ("length alone, 3 or 8 bytes", &["u24be", "u24le", "u64be", "u64le"]),
    ("length alone, 1 byte", &["u8"]),
    ("varint", &["varint", "kind:u8 len:varint(4) data[len]"]),
    (
        "type and length",
        &[
            "t:u8 len:u16be data[len]",
            "t:u8 len:u32be data[len-4]",
            "t:u8 len:u32le data[len]",
            "len:u16be t:u8 data[len]",
        ],
    ),
    (
        "constant and length",
        &[
            "68 len:u8 data[len]",
            "03 00 len:u16be data[len-4]",
            "4d 5a len:u32le data[len]",
            "aa 55 t:u8 len:u8 data[len]",
        ],
    ),
    (
        "longer headers",
        &[
            "01 t:u8 id:u16be len:u32be data[len]",
            "len:u24be t:u8 f:u8 id:u32be data[len]",
            "t:u16le len:u16le id:u64be data[len]",
            "t:u8 len:u32be id:u64be data[len-8]",
        ],
    ),
    (
        "trailers and checksums",
        &[
            "t:u8 len:u16be data[len] crc16-modbus(all,le)",
            "len:u16be data[len] crc32",
            "02 len:u16be data[len] 03",
            "t:u8 id:u16be len:u32be data[len] ce",
        ],
    ),
    ("text", &["lines", "crlf", "nul"]),
    ("length as text", &["netstring", "octet-count", "lsp"]),
    ("byte stuffing", &["cobs", "slip"]),
];

#[derive(Default)]
struct Row {
    tried: usize,
    right: [usize; 3],
    other: [usize; 3],
}

#[test]
fn generated_framings_are_named_and_wrong_ones_are_never_certain() {
    let rounds = std::env::var("UNGLUE_INFER").ok().and_then(|count| count.parse().ok()).unwrap_or(24);
    let mut table: BTreeMap<usize, Row> = BTreeMap::new();
    let mut random = Random::new(4);
    for round in 0..rounds {
        let family = round % FAMILIES.len();
        let row = table.entry(family).or_default();
        let notations = FAMILIES[family].1;
        one(notations[random.below(notations.len() as u64) as usize], &mut random, row);
    }
    eprintln!(
        "{:28} {:>6} {:>9} {:>9} {:>9} {:>14}",
        "family", "tried", "certain", "likely", "ambiguous", "wrong certain"
    );
    let (mut right, mut tried) = (0, 0);
    for (family, row) in &table {
        let [ambiguous, likely, certain] = row.right;
        let shown = row.tried;
        eprintln!(
            "{:28} {shown:>6} {certain:>9} {likely:>9} {ambiguous:>9} {:>14}   others: {:?}",
            FAMILIES[*family].0, row.other[2], row.other
        );
        right += ambiguous + likely + certain;
        tried += shown;
    }
    let wrong: usize = table.values().map(|row| row.other[2]).sum();
    eprintln!("{right} of {tried} right first, {wrong} wrong and certain");
    assert!(right * 100 >= tried * 85, "{right} of {tried} have the right framing first");
    assert!(wrong * 200 <= tried, "{wrong} of {tried} are wrong and certain");
}

fn one(notation: &str, random: &mut Random, row: &mut Row) {
    let is_text = ["lines", "crlf", "nul"].contains(&notation);
    let kind = if is_text { random.below(2) } else { random.below(4) };
    let small = notation.contains("len:u8") || notation == "u8";
    let frames = 8 + random.below(43);
    let most = if small { 100 } else { 20 + random.below(300) };
    let enframer = Enframer::new(notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}")));
    let fields = enframer_fields(notation);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for frame in 0..frames {
        let values: Vec<u64> =
            (0..fields).map(|index| if index + 1 == fields && fields > 1 { frame } else { random.below(5) }).collect();
        let data = payload(random, kind, most);
        enframer.encode(&values, &data, &mut bytes).unwrap_or_else(|error| panic!("{notation}: {error}"));
        ends.push(bytes.len());
    }
    let want: Vec<usize> = ends.iter().scan(0, |last, end| Some(end - std::mem::replace(last, *end))).collect();
    let found = of(&bytes);
    row.tried += 1;
    let first = found.candidates.first().filter(|first| first.offset == 0);
    let is_right = first.is_some_and(|first| lengths(&first.notation, &bytes).is_some_and(|got| got == want));
    if std::env::var("UNGLUE_INFER_TELL").is_ok() && !is_right {
        eprintln!("{notation} kind {kind}, {frames} frames: {:?} {:?}", found.verdict, found.candidates.first());
    }
    let place = found.verdict as usize;
    let cell = if is_right { &mut row.right[place] } else { &mut row.other[place] };
    *cell += 1;
    assert!(found.verdict != Verdict::Certain || first.is_some(), "{notation}: certain of nothing");
}

/// The fields that the application sets.
fn enframer_fields(notation: &str) -> usize {
    let framing: unglue_frame::Framing = notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"));
    framing.field_names().count()
}
