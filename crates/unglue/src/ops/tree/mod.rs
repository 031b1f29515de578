//! Moving trees: `tree`, both ends of both ways.
//!
//! The end that has the files runs `sender::send`, the other one `receiver::receive`. Each moves bytes between streams and a
//! state machine of the store ([`TreeSource`](unglue_host::store::tree::TreeSource),
//! [`TreeSink`](unglue_host::store::tree::TreeSink)) whose calls block on the disk, and so are made on the store's threads. A
//! relay between two servers passes the bytes on.

mod client;
mod machine;
mod receiver;
mod relay;
mod sender;
mod server;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::Bytes;
use unglue_host::store::tree::{Moving, TreeEvent};
use unglue_link::{SendStream, StreamError};
use unglue_proto::Fault;
use unglue_proto::message::tree::{Layout, TreeOptions};

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
}

impl TreeMove {
    /// With these options.
    pub fn new(layout: Layout, options: TreeOptions) -> TreeMove {
        TreeMove { layout, options }
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

/// Writes some of the first piece, and drops it once it is written.
async fn write_front(stream: &mut SendStream, pieces: &mut VecDeque<Bytes>) -> Result<(), StreamError> {
    if let Some(front) = pieces.front_mut() {
        write_some(stream, front).await?;
        if front.is_empty() {
            pieces.pop_front();
        }
    }
    Ok(())
}

/// Writes some of `data`. Cancelling it loses nothing.
async fn write_some(stream: &mut SendStream, data: &mut Bytes) -> Result<(), StreamError> {
    poll_fn(|cx| stream.poll_write(cx, data)).await
}
