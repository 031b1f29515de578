//! Asking how long the other end of the link has waited, and for what: `waits`.
//!
//! ```text
//! client               server
//!   waits {}        ─▶
//!                   ◀─  waits {source_us, …}
//! ```
//!
//! The figures are of the link that the request comes on, from its beginning on. A client that asks before and after a
//! transfer gets the transfer's own by subtraction.

use serde::{Deserialize, Serialize};

use super::tagged;
use crate::Fault;

/// The request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {}

/// How long one end of a link has waited, by what it waited for, in microseconds since the link began.
///
/// The first six count the streams of data (unidirectional ones); the others the link itself. A wait counts once, however many
/// streams share it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waits {
    /// Streams were open for sending, and none of them waited for room: what they carry was not there yet.
    pub source_us: u64,
    /// The same, and at least one of them waited for what the receiver has of the file: sums of an old one. A part of `source_us`.
    pub old_us: u64,
    /// A stream had more to send than the link took.
    pub room_us: u64,
    /// Streams were open for receiving, and each of them waited for data.
    pub data_us: u64,
    /// Data had come that was still being used: written to a disk, or to a command.
    pub sink_us: u64,
    /// Streams were open for receiving, all of them had ended, and what had come was synced and put in place. A part of `sink_us`.
    pub sync_us: u64,
    /// The socket took no more.
    pub socket_us: u64,
    /// The socket was free, and what was to be sent had no credit.
    pub credit_us: u64,
    /// The socket was free, and what was to be sent was being compressed.
    pub compression_us: u64,
    /// The link's task ran: it framed, encrypted, decrypted, read from the socket and wrote to it.
    pub busy_us: u64,
}

impl Waits {
    /// What has been added since `before`.
    ///
    /// ```
    /// use unglue_proto::message::waits::Waits;
    ///
    /// let before = Waits { data_us: 10, ..Waits::default() };
    /// let after = Waits { data_us: 25, busy_us: 3, ..Waits::default() };
    /// assert_eq!(after.since(&before), Waits { data_us: 15, busy_us: 3, ..Waits::default() });
    /// ```
    pub fn since(&self, before: &Waits) -> Waits {
        Waits {
            source_us: self.source_us.saturating_sub(before.source_us),
            old_us: self.old_us.saturating_sub(before.old_us),
            room_us: self.room_us.saturating_sub(before.room_us),
            data_us: self.data_us.saturating_sub(before.data_us),
            sink_us: self.sink_us.saturating_sub(before.sink_us),
            sync_us: self.sync_us.saturating_sub(before.sync_us),
            socket_us: self.socket_us.saturating_sub(before.socket_us),
            credit_us: self.credit_us.saturating_sub(before.credit_us),
            compression_us: self.compression_us.saturating_sub(before.compression_us),
            busy_us: self.busy_us.saturating_sub(before.busy_us),
        }
    }
}

tagged! {
    /// From the server.
    pub enum FromServer {
        /// The figures: the final message.
        "waits" => Waits(Waits),
        /// The final message of a request that was not accepted.
        "refused" => Refused(Fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_does_not_count_is_zero() {
        let before = r#"{"waits":{"source_us":1,"sink_us":4,"busy_us":400000}}"#;
        let read: FromServer = serde_json::from_str(before).expect("it is understood");
        let expected = Waits { source_us: 1, sink_us: 4, busy_us: 400_000, ..Waits::default() };
        assert!(
            matches!(read, FromServer::Waits(waits) if waits == expected && (waits.sync_us, waits.old_us) == (0, 0)),
            "{read:?}"
        );
    }
}
