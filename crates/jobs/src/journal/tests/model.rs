//! The index beside a naive one, after any records.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// What a test does to both.
#[derive(Debug, Clone)]
enum Step {
    Apply(Box<Record>),
    Prune(i64),
    /// Write everything to a file and read it again.
    Reload,
}

const USERS: [&str; 2] = ["ada", "bob"];

fn uuid(n: u64) -> String {
    let millis = (1000 + n * 7) * 1000;
    format!("{:08x}-{:04x}-7000-8000-{n:012x}", millis >> 16, millis & 0xffff)
}

/// Half of the ids are UUIDs.
fn an_id() -> impl Strategy<Value = String> {
    (0..12u64).prop_map(|n| if n.is_multiple_of(2) { id(n) } else { uuid(n) })
}

fn a_step() -> impl Strategy<Value = Step> {
    let of = (0..USERS.len(), an_id(), 1000..1200i64);
    let record = (of, 0..10u8, any::<u8>()).prop_map(|((user, id, seconds), kind, byte)| {
        let (user, time) = (USERS[user].to_owned(), time(seconds));
        Step::Apply(Box::new(match kind {
            0..=3 => Record::Begun {
                user,
                id,
                digest: [byte; 32],
                time,
                key: None,
                name: (byte < 100).then(|| format!("build-{}", byte % 3)),
                command: vec![Octets::from(vec![byte])],
                job: byte.is_multiple_of(2).then_some(u64::from(byte)),
                lease: Lease::keep(u64::from(byte)),
            },
            4 => Record::Started { user, id, pid: u32::from(byte), time },
            5..=7 => {
                let tally = Tally { bytes: u64::from(byte), blake3: "ab".repeat(32) };
                let stdout = Some(StreamReport { tally, end: StreamEnd::Eof });
                Record::Ended {
                    user,
                    id,
                    time,
                    report: Box::new(Report { stdout, ..Report::of(Outcome::exited(byte)) }),
                }
            }
            8 => Record::NeverStarted { user, id },
            _ => Record::Forgotten { user, id, time },
        }))
    });
    prop_oneof![12 => record, 2 => (1000..1300i64).prop_map(Step::Prune), 1 => Just(Step::Reload)]
}

fn retention() -> Retention {
    Retention {
        age: Duration::from_secs(100),
        jobs: 5,
        bytes: usize::MAX,
        forgotten_age: Duration::from_secs(u64::from(u32::MAX)),
        forgotten: 4,
    }
}

/// A job, as its records.
#[derive(Debug, Clone)]
struct Job {
    user: String,
    id: String,
    begun: Record,
    started: Option<Record>,
    ended: Option<(Time, Record)>,
}

/// An index that is a list.
#[derive(Debug, Default)]
struct Naive {
    jobs: Vec<Job>,
    /// The first forgotten first: user, id, and the time that its UUID gives the horizon.
    forgotten: Vec<(String, String, u64)>,
    /// No UUID that is forgotten has a later time.
    latest: u64,
}

impl Naive {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::Begun { user, id, .. } => {
                self.take_out(user, id);
                let (user, id, begun) = (user.clone(), id.clone(), record.clone());
                self.jobs.push(Job { user, id, begun, started: None, ended: None });
            }
            Record::Started { user, id, time, .. } => match self.find(user, id) {
                Some(job) => job.started = Some(record.clone()),
                None => self.forget(user, id, *time),
            },
            Record::Ended { user, id, time, .. } => match self.find(user, id) {
                Some(job) => job.ended = Some((*time, record.clone())),
                None => self.forget(user, id, *time),
            },
            Record::NeverStarted { user, id } => self.take_out(user, id),
            Record::Forgotten { user, id, time } => {
                self.take_out(user, id);
                self.forget(user, id, *time);
            }
        }
    }

    fn find(&mut self, user: &str, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.user == user && job.id == id)
    }

    fn take_out(&mut self, user: &str, id: &str) {
        self.jobs.retain(|job| job.user != user || job.id != id);
    }

    fn forget(&mut self, user: &str, id: &str, time: Time) {
        if self.forgotten.iter().any(|(u, i, _)| u == user && i == id) {
            return;
        }
        let uuid = (0..12).find(|n| uuid(*n) == id).map_or(0, |n| (1000 + n * 7) * 1000);
        self.forgotten.push((user.into(), id.into(), uuid.min(time.seconds as u64 * 1000)));
        if self.forgotten.len() > 4 {
            // The horizon is the latest time of a batch: of the hashes that were forgotten with the dropped one.
            self.latest = self.forgotten.iter().map(|(_, _, time)| *time).max().unwrap_or(0).max(self.latest);
            self.forgotten.remove(0);
        }
    }

    fn prune(&mut self, now: i64) -> Vec<String> {
        let mut pruned = Vec::new();
        loop {
            let first = self.jobs.iter().enumerate().filter_map(|(at, job)| Some((job.ended.as_ref()?.0.seconds, at)));
            let Some((end, at)) = first.min() else { return pruned };
            if end >= now - 100 && self.jobs.len() <= 5 {
                return pruned;
            }
            let job = self.jobs.remove(at);
            self.forget(&job.user, &job.id, time(now));
            pruned.push(job.id);
        }
    }

    fn records(&self) -> Vec<Record> {
        let of =
            |job: &Job| [Some(job.begun.clone()), job.started.clone(), job.ended.clone().map(|(_, record)| record)];
        self.jobs.iter().flat_map(of).flatten().collect()
    }
}

/// Both say the same of everything.
fn compare(index: &Index, naive: &Naive) {
    let records = index.snapshot().filter_map(|line| match line {
        Line::Record(record) => Some(record),
        _ => None,
    });
    let records: Vec<_> = records.collect();
    assert_eq!(records, naive.records());
    assert_eq!(index.len(), naive.jobs.len());
    assert_eq!(index.line_count(), index.snapshot().count());
    let kept = records.iter().filter_map(|record| match record {
        Record::Ended { user, id, report, .. } if index.find(user, id).unwrap().job.is_some() => {
            Some(report.stdout.as_ref()?.tally.bytes)
        }
        _ => None,
    });
    assert_eq!(index.printed(), kept.sum::<u64>());
    for user in USERS {
        let mut ids: Vec<_> = index.entries(user).map(|entry| entry.id.to_string()).collect();
        let mut known: Vec<_> = naive.jobs.iter().filter(|job| job.user == user).map(|job| job.id.clone()).collect();
        ids.sort();
        known.sort();
        assert_eq!(ids, known);
        for id in (0..12).map(|n| if n % 2 == 0 { id(n) } else { uuid(n) }) {
            let is_known = known.contains(&id);
            assert_eq!(index.find(user, &id).is_some(), is_known);
            let hashed = naive.forgotten.iter().any(|(u, i, _)| u == user && *i == id);
            match hashed && !is_known {
                true => assert!(index.is_forgotten(user, &id), "{id}"),
                false if is_known || !id.contains("-7000-") => assert!(!index.is_forgotten(user, &id), "{id}"),
                // Beyond the latest forgotten UUID, a new one is new.
                false => {
                    let time = super::super::forgotten::uuid_time(&id).unwrap();
                    assert!(time <= naive.latest || !index.is_forgotten(user, &id), "{id}");
                }
            }
        }
        for name in (0..3).map(|n| format!("build-{n}")) {
            let last = naive.jobs.iter().rev().find(|job| {
                job.user == user && matches!(&job.begun, Record::Begun { name: Some(n), .. } if *n == name)
            });
            assert_eq!(index.by_name(user, &name).map(|entry| &*entry.id), last.map(|job| job.id.as_str()));
        }
    }
}

proptest! {
    #[test]
    fn the_index_is_what_its_records_add_up_to(steps in prop::collection::vec(a_step(), 0..120)) {
        let (mut index, mut naive) = (Index::new(retention()), Naive::default());
        for step in steps {
            match step {
                Step::Apply(record) => {
                    index.apply(&record);
                    naive.apply(&record);
                }
                Step::Prune(now) => {
                    let pruned: Vec<_> = index.prune(time(now)).iter().map(|job| job.id.to_string()).collect();
                    prop_assert_eq!(pruned, naive.prune(now));
                }
                Step::Reload => {
                    let mut bytes = crate::journal::record::Header { tag: 1, incomplete: false }.encode().to_vec();
                    for (number, line) in index.snapshot().enumerate() {
                        line.encode(number as u64 + 1, 1, &mut bytes).unwrap();
                    }
                    index = Index::new(retention());
                    let mut take = |line| index.take(&line);
                    let read = scan(&bytes[..], &mut take).unwrap();
                    prop_assert!(!read.is_damaged());
                }
            }
            compare(&index, &naive);
        }
    }
}

#[test]
fn by_default_a_job_is_remembered_for_a_week_and_its_id_for_three_months() {
    let day = 24 * 60 * 60;
    let mut index = index_of(&[begun(1), started(1), ended(1), begun(2), started(2)]);
    let end = 1003;
    assert!(index.prune(time(end + 7 * day)).is_empty());
    let pruned = index.prune(time(end + 7 * day + 1));
    assert_eq!(pruned.iter().map(|job| (&*job.id, job.job)).collect::<Vec<_>>(), [("job-1", None)]);
    assert!(index.is_forgotten("ada", "job-1") && index.find("ada", "job-2").is_some());
    assert!(index.prune(time(end + 97 * day + 1)).is_empty(), "what runs is not forgotten");
    assert!(index.is_forgotten("ada", "job-1"));
    // Hashes are dropped by the hour.
    index.prune(time(end + 97 * day + 2 + 60 * 60));
    assert!(!index.is_forgotten("ada", "job-1"));
    assert_eq!(pruned[0].record(), Record::Forgotten { user: "ada".into(), id: id(1), time: time(end + 7 * day + 1) });
}

#[test]
fn the_memory_of_ended_jobs_is_bounded() {
    let mut index = Index::new(Retention { bytes: 100_000, ..Retention::default() });
    for n in 0..100 {
        let Record::Begun { user, id, digest, time, key, name, job, lease, .. } = begun(n) else { unreachable!() };
        let command = vec![Octets::from(vec![b'x'; 4000])];
        index.apply(&Record::Begun { user, id, digest, time, key, name, command, job, lease });
        index.apply(&ended(n));
    }
    let pruned = index.prune(time(1200)).len();
    assert_eq!((index.len(), index.forgotten()), (100 - pruned, pruned));
    assert!((15..=24).contains(&index.len()), "{} jobs of 4 KB and some hundreds of bytes", index.len());
    assert!(index.find("ada", &id(99)).is_some(), "the last ones stay");
}
