//! The control messages.
//!
//! Each operation has a module with its request and the messages that follow, in the order in which they travel. Every
//! message is a JSON object with one key, its kind.
//!
//! Ends of different versions work together by these rules:
//!
//! - A server answers a request that it doesn't know with `{"refused": fault}`, code `unsupported`. Nothing was done then.
//! - An event that the receiver doesn't know is ignored.
//! - An outcome, or the way a stream ended, that the client doesn't know is reported to its user as it came ([`Unknown`]).
//! - A field that the receiver doesn't know is ignored, unless the request names it in `require`: then a server that doesn't
//!   know it refuses the request ([`check_required`]).

pub mod auth;
mod compress;
pub mod exec;
pub mod files;
pub mod forward;
pub mod jobs;
mod tagged;
pub mod transfer;
pub mod tree;
pub mod waits;

pub use compress::{Compress, Level};
pub use tagged::Unknown;
pub(crate) use tagged::{named, tagged};
pub use transfer::Time;

use serde::{Deserialize, Serialize};

use crate::{Code, Fault};

tagged! {
    /// The first message on a control stream: which operation it is.
    pub enum Request {
        /// Run a command.
        "exec" => Exec(Box<exec::Exec>),
        /// Write a file on the server.
        "put" => Put(transfer::Put),
        /// Read a file of the server.
        "get" => Get(transfer::Get),
        /// Move a tree, either way.
        "tree" => Tree(Box<tree::Tree>),
        /// Look at files of the server, or change their names.
        "files" => Files(files::Files),
        /// Watch a command that runs, or hold it.
        "attach" => Attach(jobs::Attach),
        /// List commands.
        "jobs" => Jobs(jobs::Jobs),
        /// Send a signal to a command.
        "signal" => Signal(jobs::Signal),
        /// Forget a command that has ended, and what it printed.
        "remove" => Remove(jobs::Remove),
        /// Connect to a place for the client.
        "connect" => Connect(forward::Connect),
        /// Accept connections for the client.
        "listen" => Listen(forward::Listen),
        /// Say how long the server has waited on this link, and for what.
        "waits" => Waits(waits::Ask),
    }
}

impl Request {
    /// The names of what an old server must not ignore, as the client lists them.
    pub fn required(&self) -> &[String] {
        match self {
            Request::Exec(exec) => &exec.require,
            Request::Put(put) => &put.require,
            Request::Get(get) => &get.require,
            Request::Tree(tree) => &tree.require,
            Request::Files(files) => &files.require,
            Request::Attach(attach) => &attach.require,
            Request::Jobs(jobs) => &jobs.require,
            Request::Signal(signal) => &signal.require,
            Request::Remove(remove) => &remove.require,
            Request::Connect(connect) => &connect.require,
            Request::Listen(listen) => &listen.require,
            Request::Waits(_) | Request::Unknown(_) => &[],
        }
    }

    /// Refuses a request that this version doesn't know, or that requires something which this version doesn't know.
    ///
    /// # Errors
    /// [`Code::Unsupported`], with the first name that isn't known.
    pub fn check_required(&self) -> Result<(), Fault> {
        let known = match self {
            Request::Exec(_) => exec::KNOWN,
            Request::Put(_) => transfer::PUT_KNOWN,
            Request::Get(_) => transfer::GET_KNOWN,
            Request::Tree(_) => tree::KNOWN,
            Request::Files(_) => files::KNOWN,
            Request::Attach(_) => jobs::ATTACH_KNOWN,
            Request::Connect(_) => forward::CONNECT_KNOWN,
            Request::Listen(_) => forward::LISTEN_KNOWN,
            Request::Jobs(_) | Request::Signal(_) | Request::Remove(_) | Request::Waits(_) => &[],
            Request::Unknown(unknown) => return Err(unsupported(&format!("the operation {:?}", unknown.kind))),
        };
        check_required(self.required(), known)
    }
}

/// Refuses a `require` list that names something not in `known`.
///
/// # Errors
/// [`Code::Unsupported`], with the first name that isn't known.
pub fn check_required(required: &[String], known: &[&str]) -> Result<(), Fault> {
    match required.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unsupported(&format!("{name:?}, which the request requires"))),
    }
}

fn unsupported(what: &str) -> Fault {
    Fault::user(Code::Unsupported, format!("this version of unglue doesn't know {what}"))
        .advise("nothing was done; update the server, or leave the option out")
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// How many bytes of a stream went by, and their BLAKE3 digest in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Bytes that the sender sent, or the receiver received.
    pub bytes: u64,
    /// Their BLAKE3 digest: 64 hexadecimal digits.
    pub blake3: String,
}

impl Tally {
    /// Compares what the receiver counted with what the sender reports that it sent.
    ///
    /// # Errors
    /// [`Code::Mismatch`], with both figures.
    pub fn verify(&self, sent: &Tally, stream: &str) -> Result<(), Fault> {
        if self == sent {
            return Ok(());
        }
        let what = if self.bytes == sent.bytes {
            format!("{stream}: {} bytes arrived with digest {}, sent with {}", self.bytes, self.blake3, sent.blake3)
        } else {
            format!("{stream}: {} bytes arrived of the {} that were sent", self.bytes, sent.bytes)
        };
        Err(Fault::system(Code::Mismatch, what).advise("what arrived can't be trusted: run it again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_ignored_and_a_required_one_refused() {
        let json = r#"{"get":{"id":"a","path":"f","from_the_future":1}}"#;
        let request: Request = serde_json::from_str(json).unwrap();
        assert!(request.check_required().is_ok());

        let json = r#"{"get":{"id":"a","path":"f","from_the_future":1,"require":["from_the_future"]}}"#;
        let request: Request = serde_json::from_str(json).unwrap();
        let fault = request.check_required().unwrap_err();
        assert_eq!(fault.code, Code::Unsupported);
        assert!(fault.what.contains("from_the_future"), "{fault}");
    }

    #[test]
    fn a_tally_tells_lost_bytes_from_changed_ones() {
        let tally = |bytes, blake3: &str| Tally { bytes, blake3: blake3.into() };
        assert!(tally(3, "aa").verify(&tally(3, "aa"), "stdout").is_ok());
        let lost = tally(2, "bb").verify(&tally(3, "aa"), "stdout").unwrap_err();
        assert_eq!(lost.what, "stdout: 2 bytes arrived of the 3 that were sent");
        let changed = tally(3, "bb").verify(&tally(3, "aa"), "stdout").unwrap_err();
        assert_eq!(changed.what, "stdout: 3 bytes arrived with digest bb, sent with aa");
    }
}
