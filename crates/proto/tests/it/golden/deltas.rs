//! The records and sums of a file that replaces an old one: one vector for each direction.

use unglue_proto::delta::{FINE, Group, Record, SUM, Sum, sums};

use super::check;

const SEED: u32 = 0xfeed_f00d;

#[test]
fn each_record() {
    let sent = [
        Record::Old { from: 1 << 40, len: 1 << 33 },
        Record::Ask { from: (1 << 40) + 7, len: 1 << 20 },
        Record::New(5),
    ];
    let wire: Vec<u8> = sent.iter().flat_map(Record::encode).chain(*b"hello").collect();
    let golden = check("deltas/sender", "each record of the sender's stream once", &wire);
    let mut rest = &golden[..];
    for record in sent {
        let (&kind, after) = rest.split_first().expect("a kind");
        let (body, after) = after.split_at(Record::rest(kind).expect("a length"));
        assert_eq!(Record::decode(kind, body), Some(record));
        rest = after;
    }
    assert_eq!(rest, b"hello");
}

/// An old file: two blocks of 2048 bytes, and one of 100.
fn old() -> Vec<u8> {
    (0..4196u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn the_sums_of_blocks_and_an_answer() {
    let old = old();
    let (blocks, answer): (Vec<Sum>, Vec<Sum>) =
        (sums(&old, 2048, SEED).collect(), sums(&old[7..2100], FINE, SEED).collect());
    let groups = [(Group::Blocks(2), &blocks[..2]), (Group::Answer(3), &answer[..]), (Group::Blocks(1), &blocks[2..])];
    let wire: Vec<u8> = groups
        .iter()
        .flat_map(|(group, sums)| group.encode().into_iter().chain(sums.iter().flat_map(Sum::encode)))
        .collect();
    let meaning = "the sums of three blocks, and of bytes 7 to 2100 between them: the seed is 0xfeedf00d,\n\
                   and byte n of the old file is the uppermost byte of n * 2654435761 modulo 2^32";
    let golden = check("deltas/receiver", meaning, &wire);
    let mut rest = &golden[..];
    for (group, sums) in groups {
        let (header, after) = rest.split_first_chunk().expect("a header");
        assert_eq!(Group::decode(*header), group);
        let (body, after) = after.split_at(SUM * sums.len());
        assert!(body.as_chunks().0.iter().map(Sum::decode).eq(sums.iter().copied()));
        rest = after;
    }
    assert!(rest.is_empty());
}
