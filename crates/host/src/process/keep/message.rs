//! The messages between a server and a keeper, over one `SOCK_SEQPACKET` socket.
//!
//! An upgraded server finds keepers of its former version, so the messages are JSON with one key, and both ends ignore what they
//! don't know. Only input is binary: [`FEED_TAG`], the offset (u64, little endian), and the bytes.
//!
//! The keeper sends its [`Progress`], and no further one when [`UNSEEN`] were sent and not answered with `seen`: so a command that
//! prints quickly doesn't fill the socket of a server that is slow. The end of the connection
//! says that the job has ended, or that its keeper was killed: the `outcome` in the directory tells the two apart.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Descendants, Report, TerminalSize};
use unglue_proto::{Fault, Octets};

use super::{Keep, Progress, SpoolLimit};

/// Begins a message with input; no JSON begins so.
pub(in crate::process) const FEED_TAG: u8 = 0;

/// So many progresses are on their way at once.
pub(in crate::process) const UNSEEN: u32 = 4;

/// What a server asks of a keeper.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::process) enum ToKeeper {
    /// A progress has arrived, and so many more: as many may be sent again.
    Seen {
        #[serde(default)]
        more: u32,
    },
    /// Send this signal to the command's process group.
    Signal { number: i32 },
    /// Kill the command, for this reason, unless it has ended.
    Cancel(Box<Fault>),
    /// Whether somebody holds the job.
    Hold { held: bool },
    /// The input ends at this offset.
    FinishStdin { at: u64 },
    /// The spools' new limit.
    Limit(SpoolLimit),
    /// The terminal's new size.
    Resize(TerminalSize),
    /// The holder shows what the terminal prints, and has room for it up to this offset.
    Room { upto: u64 },
    /// What the terminal's spool holds before this offset was dropped.
    Trimmed { before: u64 },
}

impl ToKeeper {
    pub(in crate::process) fn encode(&self) -> Vec<u8> {
        // Neither maps with other keys than strings nor numbers that JSON lacks: it can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` for a kind that this version doesn't know.
    pub(in crate::process) fn decode(message: &[u8]) -> Option<Self> {
        serde_json::from_slice(message).ok()
    }
}

/// What a keeper reports.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::process) enum FromKeeper {
    /// How far the job has come.
    Progress(Progress),
    /// How it has ended, where that can't be written into its directory.
    Ended(Box<Report>),
}

impl FromKeeper {
    pub(in crate::process) fn encode(&self) -> Vec<u8> {
        // As above.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` for a kind that this version doesn't know.
    pub(in crate::process) fn decode(message: &[u8]) -> Option<Self> {
        serde_json::from_slice(message).ok()
    }
}

/// What a supervisor is asked, besides the command: the terms of the job.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::process) struct KeepRequest {
    directory: Octets,
    timeout: Option<Duration>,
    descendants: Descendants,
    pub(in crate::process) keep: Option<Duration>,
    pub(in crate::process) durable: bool,
    pub(in crate::process) spool: SpoolLimit,
    #[serde(default)]
    pub(in crate::process) terminal: Option<TerminalSize>,
    #[serde(default)]
    pub(in crate::process) login: bool,
}

impl KeepRequest {
    pub(in crate::process) fn of(keep: &Keep) -> Self {
        Self {
            directory: keep.directory.as_os_str().into(),
            timeout: keep.terms.timeout,
            descendants: keep.terms.descendants,
            keep: keep.keep,
            durable: keep.durable,
            spool: keep.spool,
            terminal: keep.command.terminal,
            login: keep.command.login,
        }
    }

    pub(in crate::process) fn encode(&self) -> Vec<u8> {
        // As above.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(in crate::process) fn decode(message: &[u8]) -> Option<Self> {
        serde_json::from_slice(message).ok()
    }

    pub(in crate::process) fn directory(&self) -> PathBuf {
        OsStr::from_bytes(&self.directory.0).into()
    }

    pub(in crate::process) fn terms(&self) -> Terms {
        Terms { timeout: self.timeout, descendants: self.descendants }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_proto::Code;

    #[test]
    fn messages_come_back_and_later_ones_are_ignored() {
        let fault = Fault::user(Code::Cancelled, "enough");
        for message in [
            ToKeeper::Seen { more: 2 },
            ToKeeper::Signal { number: 15 },
            ToKeeper::Cancel(Box::new(fault)),
            ToKeeper::Hold { held: true },
            ToKeeper::FinishStdin { at: u64::MAX },
            ToKeeper::Limit(SpoolLimit::End(7)),
            ToKeeper::Resize(TerminalSize::new(50, 132)),
            ToKeeper::Room { upto: 7 },
            ToKeeper::Trimmed { before: 7 },
        ] {
            assert_eq!(ToKeeper::decode(&message.encode()), Some(message));
        }
        assert_eq!(ToKeeper::decode(br#"{"seen":{"from_the_future":1}}"#), Some(ToKeeper::Seen { more: 0 }));
        assert_eq!(ToKeeper::decode(br#"{"dance":{}}"#), None);
    }
}
