//! The journal against everything that happens to files.

mod child;
mod compacting;
mod damage;
mod full;
mod ids;
mod kills;
mod model;
mod power;
mod syncing;

use std::path::Path;

use unglue_proto::Octets;
use unglue_proto::message::exec::{Lease, Left, Outcome, Report, StreamEnd, StreamReport};
use unglue_proto::message::{Tally, Time};

use super::open::Circumstances;
use super::record::Line;
use super::scan::{Scan, scan};
use super::{Index, Journal, Record, Retention};

fn time(seconds: i64) -> Time {
    Time { seconds, nanoseconds: 5 }
}

fn id(n: u64) -> String {
    format!("job-{n}")
}

fn begun(n: u64) -> Record {
    Record::Begun {
        user: "ada".into(),
        id: id(n),
        digest: [n as u8; 32],
        time: time(1000 + n as i64),
        key: n.is_multiple_of(5).then(|| "SHA256:abc".into()),
        name: n.is_multiple_of(3).then(|| format!("build-{}", n % 4)),
        command: vec!["make".into(), Octets::from(vec![0xff, n as u8])],
        job: n.is_multiple_of(2).then_some(n),
        lease: if n.is_multiple_of(2) { Lease::detach() } else { Lease::default() },
    }
}

fn started(n: u64) -> Record {
    Record::Started { user: "ada".into(), id: id(n), pid: 100 + n as u32, time: time(1001 + n as i64) }
}

fn ended(n: u64) -> Record {
    let stream = |bytes| StreamReport { tally: Tally { bytes, blake3: "ab".repeat(32) }, end: StreamEnd::Eof };
    let report = Report {
        stdout: Some(stream(n)),
        stderr: Some(stream(0)),
        descendants: Some(Left::None),
        wall_us: 1_000_000,
        ..Report::of(Outcome::exited(n as u8))
    };
    Record::Ended { user: "ada".into(), id: id(n), time: time(1002 + n as i64), report: Box::new(report) }
}

fn forgotten(n: u64) -> Record {
    Record::Forgotten { user: "ada".into(), id: id(n), time: time(2000 + n as i64) }
}

fn never_started(n: u64) -> Record {
    Record::NeverStarted { user: "ada".into(), id: id(n) }
}

/// Records of every kind.
fn some() -> Vec<Record> {
    vec![begun(1), started(1), begun(2), never_started(2), ended(1), begun(3), forgotten(1), begun(4), started(4)]
}

fn here(boot: &str, least: u64) -> Circumstances {
    Circumstances { boot: boot.into(), least }
}

fn open_in_boot(directory: &Path, boot: &str) -> (Journal, Index) {
    Journal::open_here(directory, Retention::default(), here(boot, super::compaction::LEAST)).unwrap()
}

fn open(directory: &Path) -> (Journal, Index) {
    open_in_boot(directory, "this boot")
}

/// A journal with these records, left behind as a killed process does. Its id.
fn left(directory: &Path, records: &[Record]) -> String {
    let (journal, _) = open(directory);
    for record in records {
        journal.append(record).unwrap();
    }
    journal.id().to_owned()
}

fn index_of(records: &[Record]) -> Index {
    let mut index = Index::new(Retention::default());
    records.iter().for_each(|record| index.apply(record));
    index
}

/// What an index tells of the ids of these tests.
fn told(index: &Index) -> Vec<String> {
    let jobs = index.iter().map(|entry| format!("{entry:?}"));
    let forgotten = (0..200).map(id).filter(|id| index.is_forgotten("ada", id));
    let names = (0..4).map(|n| format!("{:?}", index.by_name("ada", &format!("build-{n}")).map(|entry| &entry.id)));
    jobs.chain(forgotten).chain(names).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn lines(bytes: &[u8]) -> (Vec<Line>, Scan) {
    let mut lines = Vec::new();
    let scan = scan(bytes, |line| lines.push(line)).unwrap();
    (lines, scan)
}
