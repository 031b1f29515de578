//! A job with a terminal, for its clients: what they see first, and how much of its output is on its way to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use unglue_host::process::{Trimmed, terminal_sizes};
use unglue_jobs::screen::{Picture, picture};
use unglue_jobs::{Hold, Job, Known, Order, Turn};
use unglue_link::SendStream;
use unglue_proto::message::exec::TerminalSize;
use unglue_proto::{Code, Fault};

use super::serve::Wants;

/// Output that a holder is sent beyond what went out on its link. A terminal that prints more waits, as long as it is held: when
/// its person interrupts the program, no more than this, and what the link holds, is still to come.
const AHEAD: u64 = 64 * 1024;
/// The keeper learns of so much more room at once: each order wakes it.
const ROOM_STEP: u64 = AHEAD / 4;

/// A job's terminal, as a client sees it.
pub(crate) struct View {
    /// The terminal's size.
    pub(crate) size: TerminalSize,
    /// The stream of a picture of it, and the offset of the output where that ends.
    pub(crate) picture: Option<(u64, u64)>,
}

/// A terminal's output on its way to one client.
#[derive(Clone)]
pub(super) struct Shown {
    job: Arc<Job>,
    /// The client's hold, if it has one: the terminal waits for it.
    turn: Option<Turn>,
    /// The offset up to which the keeper knows of room.
    upto: u64,
}

impl Shown {
    /// The client was sent the output up to this offset.
    pub(super) async fn has_room(&mut self, at: u64) {
        let upto = at + AHEAD;
        if let Some(turn) = self.turn.filter(|_| upto >= self.upto + ROOM_STEP) {
            self.upto = upto;
            self.job.order(Order::Room(turn, upto)).await;
        }
    }

    /// # Errors
    /// The output at this offset was dropped, or is just being dropped.
    pub(super) fn is_kept(&self, at: u64) -> Result<(), Fault> {
        match self.job.now().trimmed {
            trimmed if trimmed <= at => Ok(()),
            trimmed => {
                let behind = trimmed - at;
                let what =
                    format!("the client reads too slowly: {behind} bytes that it was to read next are no longer kept");
                Err(Fault::system(Code::Busy, what).advise("attach again: the terminal is shown as it is now"))
            }
        }
    }
}

/// Where a job's output is kept, if it is.
pub(super) fn directory(known: &Known) -> Option<&Path> {
    match known {
        Known::Live(job) => job.directory(),
        Known::Ended(ended) => ended.directory.as_deref(),
    }
}

/// How the output of a job that runs is sent, if it has a terminal.
pub(super) fn shown(known: &Known, hold: Option<&Hold>, is_terminal: bool) -> Option<Shown> {
    match known {
        Known::Live(job) if is_terminal => Some(Shown { job: job.clone(), turn: hold.map(Hold::turn), upto: 0 }),
        _ => None,
    }
}

/// Looks at a job's terminal, if it has one: its size, and a picture if the client wants one, or wants output that is no longer kept.
/// Changes where standard output begins accordingly. The terminal of a client that holds the job gives its size to the job's.
pub(super) async fn look(
    known: &Known,
    wants: &mut Wants,
    hold: Option<&Hold>,
) -> Option<(TerminalSize, Option<Picture>)> {
    let directory = directory(known)?.to_owned();
    if let Known::Live(job) = known
        && !job.now().terminal
    {
        return None;
    }
    let (size, noted) = on_disk(directory.clone()).await?;
    let (trimmed, end) = match known {
        Known::Live(job) => {
            if let (Some(size), Some(hold)) = (wants.screen, hold) {
                job.order(Order::Resize(hold.turn(), size)).await;
            }
            let now = job.now();
            (now.trimmed, now.stdout)
        }
        Known::Ended(ended) => (noted, ended.report.stdout.as_ref().map_or(0, |stream| stream.tally.bytes)),
    };
    // There is one output.
    wants.outputs[1] = None;
    let holder = hold.is_some().then_some(()).and(wants.screen);
    let size_now = holder.unwrap_or(size);
    let Some(from) = wants.outputs[0] else { return Some((size_now, None)) };
    if wants.screen.is_none() && from >= trimmed {
        return Some((size_now, None));
    }
    let made = picture(directory, wants.screen.unwrap_or(size), holder.is_some()).await;
    let picture = made.unwrap_or_else(|error| {
        tracing::warn!(event = "terminal_not_drawn", %error);
        // Better than nothing: what is printed from now on.
        Picture { bytes: b"\r\n".to_vec(), from: end }
    });
    wants.outputs[0] = Some(picture.from);
    Some((size_now, Some(picture)))
}

/// The size that a terminal was last given, and the offset before which nothing is kept; `None` without a terminal.
async fn on_disk(directory: PathBuf) -> Option<(TerminalSize, u64)> {
    let look = move || {
        let size = terminal_sizes(&directory)?.last().map(|last| last.size);
        let trimmed = Trimmed::read(&directory)?.map_or(0, |trimmed| trimmed.before);
        Ok::<_, std::io::Error>(size.zip(Some(trimmed)))
    };
    match tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(event = "terminal_not_read", %error);
            None
        }
    }
}

/// Sends a picture.
pub(super) async fn send(stream: Option<SendStream>, picture: Option<Picture>) {
    if let (Some(mut stream), Some(picture)) = (stream, picture)
        && stream.write_all(picture.bytes.into()).await.is_ok()
    {
        stream.finish();
    }
}
