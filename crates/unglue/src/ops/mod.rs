//! The operations, one module each: the client's half and the server's half side by side.

mod control;
pub mod exec;
pub mod files;
mod flow;
pub mod forward;
pub mod job;
pub(crate) mod pace;
pub(crate) mod slots;
pub mod transfer;
pub mod tree;
pub mod watch;

pub(crate) use control::{Control, ControlError, ControlReceiver, ControlSender};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::rand::{GetRandomFlags, getrandom};
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
pub(crate) async fn refuse(sender: ControlSender, fault: Fault) -> Result<(), ControlError> {
    sender.send_final(&Refused { refused: &fault }).await
}

/// Answers a request: nothing was done, which is then the operation's result, too.
pub(crate) async fn turn_down<T>(sender: ControlSender, fault: Fault) -> Result<T, Fault> {
    refuse(sender, fault.clone()).await?;
    Err(fault)
}

/// A fresh id for an operation: a UUID of version 7 (RFC 9562), with the time in milliseconds and 74 random bits.
pub fn new_id() -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut random = [0; 10];
    if !matches!(getrandom(&mut random, GetRandomFlags::empty()), Ok(10)) {
        random = unlike_any_other();
    }
    let [a, b, rest @ ..] = random;
    let [variant, last @ ..] = rest;
    let (time_high, time_low) = (time >> 16 & 0xffff_ffff, time & 0xffff);
    let (version, variant) = (0x7000 | u16::from_be_bytes([a, b]) & 0x0fff, 0x80 | variant & 0x3f);
    let last: String = last.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{time_high:08x}-{time_low:04x}-{version:04x}-{variant:02x}{}-{}", &last[..2], &last[2..])
}

/// Where the system has no random numbers yet (it has just started): this process, a count, and the time.
fn unlike_any_other() -> [u8; 10] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let [_, _, n @ ..] = nanoseconds.to_be_bytes();
    let [.., a, b, c] = std::process::id().to_be_bytes();
    let [.., d, e, f, g] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    [n[0], n[1], g, f, e, d, c, b, a, 0]
}
