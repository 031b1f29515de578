//! An output that is kept in a file, on its way to one client.

use std::path::Path;

use tokio::sync::watch;
use unglue_host::process::SpoolReader;
use unglue_jobs::Snapshot;
use unglue_link::SendStream;
use unglue_proto::life::Output;
use unglue_proto::message::Tally;
use unglue_proto::{Code, Fault, Meter};

use super::terminal::Shown;

/// Bytes that are read from a file at once.
const READ: usize = 256 * 1024;

/// Bytes of a terminal's output that are sent at once.
const SHOWN: usize = 16 * 1024;

/// A smaller piece is all that was printed just now: a flood brings larger ones.
const ECHO: usize = 1024;

/// Why not all of an output was sent.
enum Stopped {
    ByClient,
    TooSlow(Fault),
}

/// One output, from some offset on.
pub(super) struct Spooled<'a> {
    pub(super) directory: &'a Path,
    pub(super) output: Output,
    pub(super) stream: SendStream,
    pub(super) from: u64,
    /// It is a terminal's.
    pub(super) shown: Option<Shown>,
}

impl Spooled<'_> {
    /// Sends what there is and, with `watch`, what is still to come, until the job has ended. Gives what was sent.
    ///
    /// A client that reads slowly is waited for here, and nowhere else.
    ///
    /// # Errors
    /// The client reads a terminal so slowly that what it is to read next was dropped. It can ask again, and gets a picture.
    pub(super) async fn run(mut self, mut watch: Option<watch::Receiver<Snapshot>>) -> Result<Tally, Fault> {
        let mut meter = Meter::default();
        match self.send(&mut watch, &mut meter).await {
            Ok(true) => self.stream.finish(),
            // What was kept can't be read: it must not pass for the whole.
            Ok(false) => self.stream.reset(Code::System),
            // The client wants no more.
            Err(Stopped::ByClient) => {}
            Err(Stopped::TooSlow(fault)) => return Err(fault),
        }
        Ok(meter.tally())
    }

    /// Whether all of it was sent.
    async fn send(
        &mut self,
        watch: &mut Option<watch::Receiver<Snapshot>>,
        meter: &mut Meter,
    ) -> Result<bool, Stopped> {
        let Ok(reader) = SpoolReader::open(self.directory, self.output) else {
            // Nothing was ever printed: the command did not start.
            return Ok(self.from == 0);
        };
        let mut offset = self.from;
        let most = self.shown.as_ref().map_or(READ, |_| SHOWN);
        if let Some(shown) = &mut self.shown {
            self.stream.narrow();
            shown.has_room(offset).await;
        }
        loop {
            // Looked at before the file is: what was printed before the end is in there.
            let (ended, written) = watch.as_mut().map_or((true, 0), |watch| {
                let now = watch.borrow_and_update();
                (now.report.is_some(), [now.stdout, now.stderr][self.output as usize])
            });
            let data = match reader.read_at(offset, most).await {
                Ok(data) => data,
                Err(error) => {
                    tracing::warn!(event = "spool_not_read", path = %self.directory.display(), %error);
                    return Ok(false);
                }
            };
            if let Some(shown) = &self.shown {
                shown.is_kept(offset).map_err(Stopped::TooSlow)?;
            }
            if !data.is_empty() {
                let len = data.len();
                offset += len as u64;
                meter.pass(&data);
                self.stream.write_all(data).await.map_err(|_| Stopped::ByClient)?;
                if let Some(shown) = &mut self.shown {
                    shown.has_room(offset).await;
                }
                // An echo was all there is: looking for more would only delay the next.
                if !ended && len < ECHO && offset >= written && !changed(watch).await {
                    return Ok(true);
                }
            } else if ended || !changed(watch).await {
                return Ok(true);
            }
        }
    }
}

/// Waits for news of the job; `false` if there will be none.
async fn changed(watch: &mut Option<watch::Receiver<Snapshot>>) -> bool {
    match watch {
        Some(watch) => watch.changed().await.is_ok(),
        None => false,
    }
}
