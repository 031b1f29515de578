//! What happens to a command, as JSON lines on standard output (`--events`).

use std::io;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;

use super::object::{Data, Object};
use super::sink::Sink;
use crate::clock;

/// The one writer of the lines; shared by all that have something to report. A line is written whole before the next begins.
#[derive(Clone)]
pub(crate) struct Events(Arc<Mutex<Sink>>);

/// Something that happened. The help of `exec` has the fields.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    Started { id: &'a str, pid: u32 },
    Output { stream: &'static str, offset: u64, data: Data },
    Signal { signal: &'a str },
    LinkLost { why: &'a str },
    Reattached {},
    Outcome(&'a Object<'a>),
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event<'a>,
    time: String,
}

impl Events {
    /// Writes to standard output.
    ///
    /// # Errors
    /// The system has no descriptors or threads left.
    pub(super) fn to_stdout() -> io::Result<Events> {
        Ok(Events(Arc::new(Mutex::new(Sink::stdout()?))))
    }

    /// Writes one line.
    ///
    /// # Errors
    /// As [`Sink::write_all`].
    pub(super) async fn tell(&self, event: &Event<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { event, time: clock::now() }).map_err(io::Error::other)?;
        line.push(b'\n');
        self.0.lock().await.write_all(line.into()).await
    }
}
