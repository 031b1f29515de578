//! An operation's control stream: typed messages both ways.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use unglue_link::{Held, RecvStream, SendStream};
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::CONTROL_MESSAGE;
use unglue_proto::{Code, Fault};

/// Bytes that are read from a control stream at once.
const READ: usize = 64 * 1024;

/// Both directions of a control stream.
pub(crate) struct Control {
    pub(crate) speaker: Speaker,
    pub(crate) listener: Listener,
}

/// The writing direction.
pub(crate) struct Speaker(SendStream);

/// The reading direction.
pub(crate) struct Listener {
    recv: RecvStream,
    inbox: Inbox,
    /// What the inbox and the operation's messages hold in memory.
    held: Held,
    /// Bytes of the message under way.
    fed: usize,
}

impl Control {
    pub(crate) fn new((send, recv): (SendStream, RecvStream)) -> Control {
        let held = recv.hold();
        let listener = Listener { recv, inbox: Inbox::new(CONTROL_MESSAGE), held, fed: 0 };
        Control { speaker: Speaker(send), listener }
    }
}

impl Speaker {
    pub(crate) async fn say<T: Serialize>(&mut self, message: &T) -> Result<(), Fault> {
        let mut wire = Vec::new();
        encode(message, &mut wire)?;
        self.0.write_all(Bytes::from(wire)).await.map_err(Fault::from)
    }

    /// Says the last message, and ends the direction.
    pub(crate) async fn conclude<T: Serialize>(mut self, message: &T) -> Result<(), Fault> {
        self.say(message).await?;
        self.0.finish();
        Ok(())
    }

    /// Nothing more will be said.
    pub(crate) fn finish(self) {
        self.0.finish();
    }
}

impl Listener {
    /// The next message; `None` at the end of the direction.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        loop {
            if let Some(message) = self.inbox.next()? {
                self.fed = 0;
                return Ok(Some(message));
            }
            match self.recv.read(READ).await? {
                Some(bytes) => {
                    // The longest message counts until the operation ends: it keeps its request.
                    self.fed += bytes.len();
                    self.held.at_least(self.fed)?;
                    self.inbox.feed(&bytes);
                }
                None => return Ok(None),
            }
        }
    }

    /// Listens no more: everything was said, and the other end is about to finish too.
    pub(crate) fn ignore(self) {
        self.recv.ignore();
    }

    /// The next message, which must come.
    pub(crate) async fn expect<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        self.next().await?.ok_or_else(|| {
            Fault::peer(Code::BadMessage, "the other end finished an operation without saying how it ended")
        })
    }
}
