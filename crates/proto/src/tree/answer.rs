//! What the receiver sends.

use super::Malformed;
use super::coding::{Body, put_number};
use super::records::{Digest, digest, framed_whole};

/// One record of the receiver's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Everything up to an entry is decided.
    Upto {
        /// The entry's number.
        entry: u64,
        /// Files up to it whose content is wanted, in rising order.
        wanted: Vec<u64>,
        /// Other entries up to it that were made or changed (or would be, in a trial run), in rising order.
        changed: Vec<u64>,
    },
    /// What is in place and durable by now, since the beginning.
    Stored {
        /// Files.
        files: u64,
        /// Bytes of their content.
        bytes: u64,
    },
    /// Something at the destination was deleted, or would be in a trial run.
    Deleted {
        /// Relative to the destination. A directory's ends in a slash.
        path: &'a [u8],
    },
    /// Something was not stored.
    Problem {
        /// A fault, in JSON. Its path is relative to the destination.
        fault: &'a [u8],
    },
    /// A file with a stream of its own was not taken.
    Refused {
        /// The entry's number.
        entry: u64,
    },
    /// What the receiver has of a file that was announced by [`Record::Large`](super::Record::Large).
    Have {
        /// The entry's number.
        entry: u64,
        /// A [`Have`](crate::message::transfer::Have), in JSON.
        have: &'a [u8],
    },
    /// Sums of the blocks of an old file that a file may be made of. It comes before the file is wanted.
    Sums {
        /// The entry's number.
        entry: u64,
        /// The size of the old file: its blocks have the length [`short`](crate::delta::short) of it.
        size: u64,
        /// The seed of the sums.
        seed: u32,
        /// A [`Sum`](crate::delta::Sum) of each block.
        sums: &'a [u8],
    },
    /// The digest of an old file that a file may be equal to. It comes before the file is wanted.
    Candidate {
        /// The entry's number.
        entry: u64,
        /// The old file's digest.
        digest: Digest,
    },
    /// What became of files that were made of old ones.
    Made {
        /// Those that are right, in rising order.
        right: Vec<u64>,
        /// Those that are not: they are wanted once more, without their old ones. In rising order.
        wrong: Vec<u64>,
    },
    /// The last one: how it ended.
    Summary {
        /// A [`Summary`](crate::message::tree::Summary), in JSON.
        summary: &'a [u8],
    },
}

const UPTO: u8 = 1;
const STORED: u8 = 2;
const DELETED: u8 = 3;
const PROBLEM: u8 = 4;
const SUMMARY: u8 = 5;
const REFUSED: u8 = 6;
const HAVE: u8 = 7;
const SUMS: u8 = 8;
const CANDIDATE: u8 = 9;
const MADE: u8 = 10;

impl<'a> Answer<'a> {
    /// Appends the record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let kind = match self {
            Answer::Upto { entry, wanted, changed } => {
                put_number(&mut body, *entry);
                put_rising(&mut body, wanted);
                put_rising(&mut body, changed);
                UPTO
            }
            Answer::Stored { files, bytes } => {
                put_number(&mut body, *files);
                put_number(&mut body, *bytes);
                STORED
            }
            Answer::Refused { entry } => {
                put_number(&mut body, *entry);
                REFUSED
            }
            Answer::Have { entry, have } => {
                put_number(&mut body, *entry);
                body.extend_from_slice(have);
                HAVE
            }
            Answer::Sums { entry, size, seed, sums } => {
                put_number(&mut body, *entry);
                put_number(&mut body, *size);
                put_number(&mut body, u64::from(*seed));
                body.extend_from_slice(sums);
                SUMS
            }
            Answer::Candidate { entry, digest } => {
                put_number(&mut body, *entry);
                body.extend_from_slice(digest);
                CANDIDATE
            }
            Answer::Made { right, wrong } => {
                put_rising(&mut body, right);
                put_rising(&mut body, wrong);
                MADE
            }
            Answer::Deleted { path } => return framed_whole(out, DELETED, path),
            Answer::Problem { fault } => return framed_whole(out, PROBLEM, fault),
            Answer::Summary { summary } => return framed_whole(out, SUMMARY, summary),
        };
        framed_whole(out, kind, &body);
    }

    /// Reads a record's body.
    ///
    /// # Errors
    /// It isn't one.
    pub fn decode(kind: u8, bytes: &'a [u8]) -> Result<Answer<'a>, Malformed> {
        let mut body = Body(bytes);
        let answer = match kind {
            UPTO => Answer::Upto { entry: body.number()?, wanted: rising(&mut body)?, changed: rising(&mut body)? },
            STORED => Answer::Stored { files: body.number()?, bytes: body.number()? },
            DELETED => Answer::Deleted { path: body.rest() },
            PROBLEM => Answer::Problem { fault: body.rest() },
            REFUSED => Answer::Refused { entry: body.number()? },
            HAVE => Answer::Have { entry: body.number()?, have: body.rest() },
            SUMS => {
                Answer::Sums { entry: body.number()?, size: body.number()?, seed: body.small()?, sums: body.rest() }
            }
            CANDIDATE => Answer::Candidate { entry: body.number()?, digest: digest(body.take(32)?)? },
            MADE => Answer::Made { right: rising(&mut body)?, wrong: rising(&mut body)? },
            SUMMARY => Answer::Summary { summary: body.rest() },
            _ => return Err(Malformed("an answer of an unknown kind")),
        };
        body.end()?;
        Ok(answer)
    }
}

/// Rising numbers, as their differences.
fn put_rising(out: &mut Vec<u8>, numbers: &[u64]) {
    put_number(out, numbers.len() as u64);
    let mut last = 0;
    for &number in numbers {
        put_number(out, number.wrapping_sub(last));
        last = number;
    }
}

fn rising(body: &mut Body<'_>) -> Result<Vec<u64>, Malformed> {
    let count = body.number()?;
    let mut numbers = Vec::new();
    let mut last = 0u64;
    for _ in 0..count {
        last = last.checked_add(body.number()?).ok_or(Malformed("an entry's number of more than 64 bits"))?;
        numbers.push(last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::super::Records;
    use super::*;

    #[test]
    fn answers_survive() {
        let answers = [
            Answer::Upto { entry: 9, wanted: vec![1, 2, 9], changed: vec![3] },
            Answer::Stored { files: 3, bytes: 1 << 40 },
            Answer::Deleted { path: b"a/\xff/" },
            Answer::Problem { fault: b"{}" },
            Answer::Refused { entry: 300 },
            Answer::Have { entry: 300, have: b"{}" },
            Answer::Sums { entry: 300, size: 70_000, seed: u32::MAX, sums: &[5; 24] },
            Answer::Candidate { entry: 301, digest: [8; 32] },
            Answer::Made { right: vec![300, 302], wrong: vec![301] },
            Answer::Summary { summary: b"{}" },
        ];
        let mut wire = Vec::new();
        answers.iter().for_each(|answer| answer.encode(&mut wire));
        let (mut records, mut input) = (Records::default(), wire.as_slice());
        for answer in &answers {
            let (kind, body) = records.next(&mut input).unwrap().unwrap();
            assert_eq!(&Answer::decode(kind, body).unwrap(), answer);
        }
    }
}
