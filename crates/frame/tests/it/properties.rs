//! Layouts that nobody thought of: built, printed, parsed, encoded, and decoded again in pieces.

use crate::collect::{WAYS, run};
use proptest::prelude::*;
use unglue_frame::{Checksum, Enframer, Framing, Int, Layout, TooLong};

const INTS: [Int; 10] = [
    Int::U8,
    Int::U16BE,
    Int::U16LE,
    Int::U24BE,
    Int::U24LE,
    Int::U32BE,
    Int::U32LE,
    Int::U64BE,
    Int::U64LE,
    Int::VARINT,
];

/// What may stand beside the length and the data.
#[derive(Clone, Debug)]
enum Extra {
    Literal(Vec<u8>),
    Reserved(usize),
    Field(usize),
}

fn extras() -> impl Strategy<Value = Vec<Extra>> {
    let extra = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Extra::Literal),
        (1..20_usize).prop_map(Extra::Reserved),
        (0..10_usize).prop_map(Extra::Field),
    ];
    prop::collection::vec(extra, 0..4)
}

fn checksum() -> impl Strategy<Value = Option<Checksum>> {
    let kinds = [Checksum::SUM8, Checksum::CRC16, Checksum::CRC16_X25, Checksum::CRC32, Checksum::CRC32C];
    let sum = (0..kinds.len(), any::<bool>(), any::<bool>()).prop_map(move |(kind, all, little)| {
        let sum = if all { kinds[kind].over_all() } else { kinds[kind] };
        if little { sum.little_endian() } else { sum }
    });
    prop::option::of(sum)
}

fn add(layout: Layout, extras: &[Extra], place: &str, ints: &[Int]) -> Layout {
    extras.iter().enumerate().fold(layout, |layout, (index, extra)| match extra {
        Extra::Literal(bytes) => layout.literal(bytes),
        Extra::Reserved(count) => layout.reserved(*count),
        Extra::Field(int) => layout.field(&format!("{place}{index}"), ints[int % ints.len()]),
    })
}

prop_compose! {
    fn framing()(
        before in extras(),
        length in 0..INTS.len(),
        between in extras(),
        adjust in -3..4_i64,
        pad in any::<bool>(),
        behind in extras(),
        sum in checksum(),
        max in 40..100_000_u64,
        too_long in prop::sample::select(vec![TooLong::Fail, TooLong::Skip, TooLong::Cut]),
    ) -> Framing {
        let layout = add(Layout::new(), &before, "a", &INTS).length("len", INTS[length]);
        let layout = add(layout, &between, "b", &INTS).field("p", Int::U8).data_plus(adjust);
        let fields = |extras: &[Extra]| extras.iter().filter(|extra| matches!(extra, Extra::Field(_))).count();
        let layout = if pad { layout.pad(fields(&before) + fields(&between)) } else { layout };
        // A varint can't stand behind the data.
        let layout = add(layout, &behind, "c", &INTS[..9]);
        let layout = sum.map_or(layout.clone(), |sum| layout.checksum(sum));
        layout.build().unwrap().max(max).too_long(too_long).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_layout_prints_as_text_that_parses_to_it(framing in framing()) {
        let text = framing.to_string();
        prop_assert_eq!(&text.parse::<Framing>().unwrap(), &framing, "{}", text);
    }

    #[test]
    fn what_is_encoded_is_decoded_in_any_pieces(
        framing in framing(),
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), any::<[u8; 16]>()), 1..4),
        size in 1..60_usize,
    ) {
        let enframer = Enframer::new(framing.clone());
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for (data, values) in &messages {
            let fields: Vec<u64> = (0..framing.field_names().count()).map(|index| values[index].into()).collect();
            if enframer.encode(&fields, data, &mut wire).is_ok() {
                sent.push(data.clone());
            }
        }
        for way in WAYS {
            let seen = run(&framing, wire.chunks(size), way);
            prop_assert_eq!(seen.end, Ok(()), "{} {:?}", framing, way);
            let data: Vec<_> = seen.frames.into_iter().map(|frame| frame.data).collect();
            prop_assert_eq!(&data, &sent, "{} {:?}", framing, way);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(framing in framing(), bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1..60_usize) {
        let whole = run(&framing, [&bytes[..]], WAYS[0]);
        for way in WAYS {
            prop_assert_eq!(&run(&framing, bytes.chunks(size), way), &whole, "{} {:?}", framing, way);
        }
    }
}
