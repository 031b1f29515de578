//! The records of a tree's streams: one vector for each direction.

use unglue_proto::message::Time;
use unglue_proto::tree::{Answer, Entry, Kind, Record, Records};

use super::check;

const WHEN: Time = Time { seconds: -2, nanoseconds: 999_999_999 };

fn sent() -> Vec<Record<'static>> {
    let mut directory = Entry::new(Kind::Directory, b".".to_vec());
    (directory.mode, directory.modified, directory.id) = (0o2755, WHEN, (66, 300));
    let mut file = Entry::new(Kind::File, b"disk\xff.img".to_vec());
    (file.mode, file.size, file.owner, file.shared, file.sparse) = (0o640, 1 << 33, Some((0, 1000)), true, true);
    file.digest = Some([7; 32]);
    file.attributes = vec![(b"user.colour".to_vec(), b"blue".to_vec())];
    let mut other = Entry::new(Kind::File, b"other".to_vec());
    other.same = Some(2);
    let mut link = Entry::new(Kind::Link, b"link".to_vec());
    link.target = b"../x".to_vec();
    vec![
        Record::Begin { machine: b"boot" },
        Record::List { directory: 0 },
        Record::Entry(Box::new(directory)),
        Record::Rules { text: b"*.o\n" },
        Record::Entry(Box::new(file)),
        Record::Entry(Box::new(other)),
        Record::Entry(Box::new(link)),
        Record::EndList { whole: true },
        Record::Done { problems: 1 },
        Record::Whole { entry: 2, modified: WHEN, digest: [1; 32], data: b"hello" },
        Record::Open { entry: 2, modified: WHEN, size: 300 },
        Record::Data(b"hello"),
        Record::Hole { length: 295 },
        Record::Copy { from: 1024, length: 300 },
        Record::Close { digest: Some([2; 32]) },
        Record::Close { digest: None },
        Record::Beside { entry: 2, stream: 7 },
        Record::Large { entry: 2, stream: 7, parts: 11 },
        Record::Missing { entry: 2 },
        Record::Problem { fault: b"{}" },
    ]
}

fn answered() -> Vec<Answer<'static>> {
    vec![
        Answer::Upto { entry: 300, wanted: vec![2, 290], changed: vec![1] },
        Answer::Stored { files: 2, bytes: 1 << 33 },
        Answer::Deleted { path: b"old/" },
        Answer::Problem { fault: b"{}" },
        Answer::Summary { summary: b"{}" },
        Answer::Refused { entry: 300 },
        Answer::Have { entry: 300, have: b"{}" },
        Answer::Sums { entry: 300, size: 20_000, seed: 7, sums: &[3; 24] },
        Answer::Candidate { entry: 300, digest: [4; 32] },
        Answer::Made { right: vec![300, 302], wrong: vec![301] },
    ]
}

#[test]
fn every_record() {
    let mut wire = Vec::new();
    sent().iter().for_each(|record| record.encode(&mut wire));
    let golden = check("trees/sender", "each record of the sender's stream once", &wire);
    let (mut records, mut input) = (Records::default(), golden.as_slice());
    for record in sent() {
        let (kind, body) = records.next(&mut input).expect("understood").expect("whole");
        assert_eq!(Record::decode(kind, body), Ok(record));
    }
    let mut wire = Vec::new();
    answered().iter().for_each(|answer| answer.encode(&mut wire));
    let golden = check("trees/receiver", "each record of the receiver's stream once", &wire);
    let (mut records, mut input) = (Records::default(), golden.as_slice());
    for answer in answered() {
        let (kind, body) = records.next(&mut input).expect("understood").expect("whole");
        assert_eq!(Answer::decode(kind, body), Ok(answer));
    }
}
