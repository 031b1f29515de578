//! What is said over ssh before the link: the client waits for lines that start with the marker, each with a deadline.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};
use unglue_link::ChildProcess;

/// What a login script may print before the marker.
const NOISE: usize = 256 << 20;
/// No line of the other side's scripts is longer.
const LINE: usize = 16 << 10;
/// How much of what came instead of the marker an error may use.
const SHOWN: usize = 160;

/// Why there is no more to be read.
#[derive(Debug)]
pub(super) enum Break {
    /// ssh has ended, with this status if it is known.
    Ended(Option<ExitStatus>),
    /// Nothing came for so long.
    Late(Duration),
    /// More than a login script's worth of output, and no marker.
    Flood,
}

/// The talk with the other side, until it is a link.
pub(super) struct Conversation {
    pub(super) process: ChildProcess,
    marker: String,
    /// What has arrived and was not yet taken.
    unread: Vec<u8>,
    /// Whatever the stage, it ends by then.
    until: Option<Instant>,
    /// The last line that did not belong to the scripts.
    noise: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(process: ChildProcess, marker: &str, until: Option<Instant>) -> Conversation {
        Conversation { process, marker: format!("{marker} "), unread: Vec::new(), until, noise: Vec::new() }
    }

    /// The rest of the first line with the marker. It may take `login` until anything arrives at all, and `script` from then on.
    ///
    /// # Errors
    /// There is no such line.
    pub(super) async fn first(&mut self, login: Duration, script: Duration) -> Result<String, Break> {
        let mut deadline = self.deadline(login);
        let mut seen = 0;
        loop {
            if let Some(line) = self.take_line(true) {
                return Ok(line);
            }
            let read = self.read(deadline).await?;
            if seen == 0 {
                deadline = self.deadline(script);
            }
            seen += read;
            if seen > NOISE {
                return Err(Break::Flood);
            }
        }
    }

    /// The rest of the next line with the marker.
    ///
    /// # Errors
    /// None came in time.
    pub(super) async fn line(&mut self, limit: Duration) -> Result<String, Break> {
        let deadline = self.deadline(limit);
        loop {
            if let Some(line) = self.take_line(false) {
                return Ok(line);
            }
            self.read(deadline).await?;
        }
    }

    /// Sends bytes; each piece may take `limit`.
    ///
    /// # Errors
    /// They are not taken.
    pub(super) async fn send(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Break> {
        for piece in bytes.chunks(64 << 10) {
            let sent = timeout_at(Instant::now() + limit, self.process.write_all(piece)).await;
            if sent.map_err(|_| Break::Late(limit))?.is_err() {
                return Err(Break::Ended(self.process.exit_status()));
            }
        }
        Ok(())
    }

    /// What came last instead of the marker, as far as an error can use it.
    pub(super) fn noise(&self) -> String {
        let end = self.unread.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |at| at + 1);
        let rest = &self.unread[..end];
        let last = rest.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let last = if last.is_empty() { &self.noise[..] } else { last };
        let shown: String = String::from_utf8_lossy(last).chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        shown.trim().to_owned()
    }

    /// The process, and what has arrived behind the last line.
    pub(super) fn into_parts(self) -> (ChildProcess, Vec<u8>) {
        (self.process, self.unread)
    }

    fn deadline(&self, limit: Duration) -> (Instant, Duration) {
        let own = Instant::now() + limit;
        match self.until {
            Some(until) if until < own => (until, until.saturating_duration_since(Instant::now())),
            _ => (own, limit),
        }
    }

    async fn read(&mut self, (deadline, limit): (Instant, Duration)) -> Result<usize, Break> {
        let mut buffer = [0; 16 << 10];
        let read = timeout_at(deadline, self.process.read(&mut buffer)).await.map_err(|_| Break::Late(limit))?;
        match read {
            Ok(0) | Err(_) => Err(Break::Ended(self.process.exit_status())),
            Ok(read) => {
                self.unread.extend_from_slice(&buffer[..read]);
                Ok(read)
            }
        }
    }

    /// The first whole line with the marker: at its start, or, for the `first`, behind a prompt without a newline. What is
    /// before it is dropped.
    fn take_line(&mut self, first: bool) -> Option<String> {
        let marker = self.marker.as_bytes();
        loop {
            let end = self.unread.iter().position(|byte| *byte == b'\n');
            let line = &self.unread[..end.unwrap_or(self.unread.len())];
            let at = match first {
                true => line.windows(marker.len()).position(|window| window == marker),
                false => line.starts_with(marker).then_some(0),
            };
            match (at, end) {
                (Some(at), Some(end)) => {
                    let rest = String::from_utf8_lossy(&line[at + marker.len()..]).trim_end().to_owned();
                    self.unread.drain(..=end);
                    return Some(rest);
                }
                (None, Some(end)) => {
                    if !line.iter().all(u8::is_ascii_whitespace) {
                        self.noise = line[..line.len().min(LINE)].to_vec();
                    }
                    self.unread.drain(..=end);
                }
                // A line that never ends: only as much of it is kept as may hold the marker's beginning.
                (None, None) if self.unread.len() > LINE => {
                    let cut = self.unread.len() - marker.len();
                    self.noise = self.unread[..SHOWN].to_vec();
                    self.unread.drain(..cut);
                    return None;
                }
                (_, None) => return None,
            }
        }
    }
}
