//! What a command reads: from wherever it comes to its pipe.

use std::future::Future;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::unix::pipe;
use unglue_proto::Meter;

/// Where an input comes from.
pub trait InputSource: Send {
    /// The next bytes; `None` is the end that the writer meant. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The input broke off; the text is the reason.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>> + Send;
}

/// How an input ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputEnd {
    /// The command was given all of it.
    Eof,
    /// The command reads no more.
    Abandoned,
    /// It broke off, with this reason: what the command has read must not pass for the whole.
    Cut(String),
}

/// Feeds a command's input until its end, or until the command reads no more; `meter` sees what the command was given.
/// Dropped, it closes the pipe: the command sees the end of its input.
pub async fn feed(mut source: impl InputSource, mut pipe: pipe::Sender, meter: &mut Meter) -> InputEnd {
    loop {
        let data = tokio::select! {
            data = source.next() => data,
            // The pipe's reader has gone, so there is nothing to wait for.
            _ = pipe.ready(Interest::ERROR) => return InputEnd::Abandoned,
        };
        match data {
            Ok(Some(data)) => {
                meter.pass(&data);
                if pipe.write_all(&data).await.is_err() {
                    return InputEnd::Abandoned;
                }
            }
            Ok(None) => return InputEnd::Eof,
            Err(why) => {
                return InputEnd::Cut(format!("the command's input broke off after {} bytes: {why}", meter.bytes()));
            }
        }
    }
}
