//! The operations, one module each: the client's half and the server's half side by side.

mod control;
pub mod exec;
pub mod files;
mod flow;
pub mod transfer;
pub mod tree;

pub(crate) use control::{Control, ControlReceiver, ControlSender};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use unglue_proto::Fault;

/// Runs an exchange to its end even if the caller doesn't wait: the streams that an answer names are taken and
/// let go then, rather than left on the link for ever.
pub(crate) async fn unbroken<T: Send + 'static>(
    exchange: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    tokio::spawn(exchange).await.unwrap_or_else(|error| Err(Fault::us(format!("an exchange ended badly: {error}"))))
}

/// The final message of a request that was not accepted, the same for every operation: nothing was done.
#[derive(Serialize)]
struct Refused<'a> {
    refused: &'a Fault,
}

/// Answers a request: nothing was done.
pub(crate) async fn refuse(sender: ControlSender, fault: Fault) -> Result<(), Fault> {
    sender.send_final(&Refused { refused: &fault }).await
}

/// A fresh id for an operation: the time, this process and a count, so that two operations of one user never share one.
pub fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{nanoseconds:x}-{:x}-{count:x}", std::process::id())
}
