//! Where the lines of a list come from: a file, which is checked whole first, or standard input, as they arrive.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use tokio::sync::mpsc;

use super::check::check;
use super::line::{Job, parse};
use crate::complaint::Complaint;
use crate::{blocking, standard};

/// The longest line, in bytes.
const LINE: u64 = 16 << 20;
/// The largest file, in bytes: it is in memory while it is checked and run.
const FILE: u64 = 256 << 20;
/// Lines of standard input that are read ahead.
const AHEAD: usize = 4;

/// Gives the commands one by one.
pub(super) enum Source {
    /// Those of a file, all of them right.
    Checked(std::vec::IntoIter<Job>),
    /// Those of standard input.
    Arriving(mpsc::Receiver<Arrived>),
}

/// A line with its number.
type Arrived = io::Result<(u64, Vec<u8>)>;

impl Source {
    /// Opens the file, and checks all of it; `-` is standard input.
    ///
    /// # Errors
    /// It can't be read, or a line is bad.
    pub(super) fn open(file: &OsStr) -> Result<Source, Complaint> {
        if file == "-" {
            let unreadable = |error| Complaint::new(format!("standard input can't be read: {error}; nothing was run"));
            return arriving().map(Source::Arriving).map_err(unreadable);
        }
        let name = file.display();
        let unreadable = |error| Complaint::new(format!("{name} can't be read: {error}; nothing was run"));
        let mut reader = BufReader::new(File::open(file).map_err(unreadable)?);
        let (mut jobs, mut total, mut number) = (Vec::new(), 0, 0);
        while let Some(text) = next_line(&mut reader).map_err(unreadable)? {
            (total, number) = (total + text.len() as u64, number + 1);
            if total > FILE {
                let most = FILE >> 20;
                let why = format!("{name} is larger than {most} MiB, which would have to be held in memory");
                return Err(Complaint::new(format!("{why}; split it, or feed it through --file -; nothing was run")));
            }
            let bad = |why: String| bad_line(&name.to_string(), number, &why).with("; nothing was run");
            jobs.extend(parse(number, &text).map_err(bad)?);
        }
        check(&jobs).map_err(|(line, why)| bad_line(&name.to_string(), line, &why).with("; nothing was run"))?;
        Ok(Source::Checked(jobs.into_iter()))
    }

    /// The next command; `None` is the end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// A line of standard input is bad, or can't be read.
    pub(super) async fn next(&mut self) -> Option<Result<Job, Complaint>> {
        let lines = match self {
            Source::Checked(jobs) => return jobs.next().map(Ok),
            Source::Arriving(lines) => lines,
        };
        loop {
            match lines.recv().await? {
                Err(error) => return Some(Err(Complaint::new(format!("standard input can't be read: {error}")))),
                Ok((number, text)) => match parse(number, &text) {
                    Ok(None) => {}
                    Ok(Some(job)) => return Some(Ok(job)),
                    Err(why) => return Some(Err(bad_arrival(number, &why))),
                },
            }
        }
    }

    /// Whether all lines are known to be right, and their needs to be met by others.
    pub(super) fn is_checked(&self) -> bool {
        matches!(self, Source::Checked(_))
    }
}

fn bad_line(name: &str, number: u64, why: &str) -> Complaint {
    Complaint::new(format!("{name}, line {number}: {why}"))
}

/// What becomes of a bad line of standard input.
pub(super) fn bad_arrival(number: u64, why: &str) -> Complaint {
    bad_line("standard input", number, why).with("; this line and those behind it were not run")
}

/// Reads a line, without its end; `None` is the end of the file.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.take(LINE + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 > LINE {
        return Err(io::Error::other(format!("a line is longer than {} MiB", LINE >> 20)));
    }
    Ok(Some(line))
}

/// Reads standard input on a thread of its own, a few lines ahead.
fn arriving() -> io::Result<mpsc::Receiver<Arrived>> {
    let mut reader = BufReader::new(standard::stdin()?);
    let (sender, lines) = mpsc::channel(AHEAD);
    blocking::spawn("unglue-list", move || {
        let mut number = 0;
        while let Some(line) = next_line(&mut reader).transpose() {
            number += 1;
            let last = line.is_err();
            if sender.blocking_send(line.map(|line| (number, line))).is_err() || last {
                return;
            }
        }
    })?;
    Ok(lines)
}
