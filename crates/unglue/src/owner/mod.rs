//! The one process that owns a user's state on a machine, as others reach it.
//!
//! A user's server may be reached in several ways: over the network, by a unix socket, by ssh. One process holds the journal
//! and the jobs, whichever way a request comes: the owner. It is the server that runs as a daemon; if there is none, it is a
//! *resident*, which the first `unglue serve --stdio` starts and which ends by itself. The owner listens on the unix socket
//! `STATE/machines/MACHINE/socket`. A process that another way leads to connects there ([`connect`]), passes its input and output
//! on, and stays until the link has ended ([`Served::carry`]).
//!
//! A connection begins with eight bytes, which say what it is for, and an answer of one byte. Nothing else in it depends on
//! the versions of the two programs. See PROTOCOL.md.

mod carry;
mod connect;
mod passed;
mod preface;

use std::path::PathBuf;

use unglue_host::process::own_home;
use unglue_proto::{Code, Fault};

pub(crate) use connect::ask_to_hand_over;
pub use connect::{Served, connect};
pub(crate) use passed::Passed;
pub(crate) use preface::{ACCEPTED, Preface, REFUSED};

/// The state directory of this process's user: `~/.local/state/unglue`.
///
/// # Errors
/// The system doesn't know the user, or the user has no home.
pub fn state_directory() -> Result<PathBuf, Fault> {
    let home = own_home().map_or_else(|| crate::server::account().map(|account| account.home), Ok)?;
    match home.is_dir() {
        true => Ok(crate::server::state_below(&home)),
        false => {
            let what = format!("there is no home directory {}", home.display());
            Err(Fault::system(Code::System, what).advise("make it, or name a directory with --state"))
        }
    }
}
