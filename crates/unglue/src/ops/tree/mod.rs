//! Moving trees: `tree`, both ends of both ways.
//!
//! The end that has the files runs `sender::send`, the other one `receiver::receive`. Each moves bytes between streams and a
//! state machine of the store ([`TreeSource`](unglue_host::store::tree::TreeSource),
//! [`TreeSink`](unglue_host::store::tree::TreeSink)) whose calls block on the disk, and so are made on the store's threads. A
//! relay between two servers passes the bytes on.

mod client;
mod large;
mod machine;
mod receiver;
mod relay;
mod sender;
mod server;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::{Buf as _, Bytes};
use unglue_host::store::tree::{Moving, TreeEvent};
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::Fault;
use unglue_proto::message::tree::{Layout, TreeOptions};
use unglue_proto::mux::Compression;

use super::pace::Pace;
pub(crate) use client::{pull, push};
pub use relay::relay;
pub(crate) use server::serve;

/// What a listener is told while a tree moves.
#[derive(Debug)]
#[non_exhaustive]
pub enum TreeUpdate<'a> {
    /// Something happened.
    Event(TreeEvent),
    /// How far it is.
    Moving(&'a Moving),
}

/// Called while a tree moves.
pub type TreeListener<'a> = Box<dyn FnMut(TreeUpdate<'_>) + Send + 'a>;

/// How a tree is moved.
///
/// ```
/// use unglue::{Layout, TreeMove, TreeOptions};
///
/// let copy = TreeMove::new(Layout::Copy, TreeOptions { recursive: true, everything: true, ..TreeOptions::default() });
/// # let _ = copy;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TreeMove {
    /// How the destination is meant.
    pub layout: Layout,
    /// What is done.
    pub options: TreeOptions,
    /// How fast at most. This end keeps to it, whichever way the tree goes.
    pub pace: Pace,
    /// How the files are compressed on their way.
    pub compression: Compression,
}

impl TreeMove {
    /// With these options.
    pub fn new(layout: Layout, options: TreeOptions) -> TreeMove {
        TreeMove { layout, options, pace: Pace::default(), compression: Compression::Off }
    }

    /// At most as fast as this.
    pub fn pace(self, pace: Pace) -> TreeMove {
        TreeMove { pace, ..self }
    }

    /// Compress the files on their way. Off by default.
    pub fn compress(self, compression: Compression) -> TreeMove {
        TreeMove { compression, ..self }
    }
}

/// Why one end of a transfer broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// This end has failed.
    #[error("{0}")]
    Here(Fault),
    /// The other end gave a stream up, and reports the reason; or the link has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        Broken::Here(fault)
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Fault {
        match broken {
            Broken::Here(fault) => fault,
            Broken::Stream(error) => error.into(),
        }
    }
}

/// Writes some of the first piece, and drops it once it is written. Cancelling it loses nothing.
async fn write_front(stream: &mut SendStream, pieces: &mut VecDeque<Bytes>, pace: &Pace) -> Result<(), StreamError> {
    if let Some(front) = pieces.front_mut() {
        pace.ready().await;
        let length = pace.piece(front.len());
        let mut part = front.slice(..length);
        poll_fn(|cx| stream.poll_write(cx, &mut part)).await?;
        let written = length - part.len();
        pace.spend(written);
        front.advance(written);
        if front.is_empty() {
            pieces.pop_front();
        }
    }
    Ok(())
}

/// Reads some bytes; `None` at the end. Cancelling it loses nothing.
async fn read_some(stream: &mut RecvStream, most: usize, pace: &Pace) -> Result<Option<Bytes>, StreamError> {
    pace.ready().await;
    let read = stream.read(pace.piece(most)).await?;
    pace.spend(read.as_ref().map_or(0, Bytes::len));
    Ok(read)
}
