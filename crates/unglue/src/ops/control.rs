//! An operation's control stream: typed messages both ways.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use unglue_link::{Held, RecvStream, SendStream, StreamError};
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::CONTROL_MESSAGE;
use unglue_proto::{Code, Fault};

/// Bytes that are read from a control stream at once.
const READ: usize = 64 * 1024;

/// Why a control message was not sent, or did not come.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ControlError {
    /// The stream was reset, or the link has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A message that breaks a rule of the protocol, or the end of the direction in place of one.
    #[error("{}", .0.what)]
    Message(Fault),
}

impl From<ControlError> for Fault {
    fn from(error: ControlError) -> Fault {
        match error {
            ControlError::Stream(error) => error.into(),
            ControlError::Message(fault) => fault,
        }
    }
}

/// Both directions of a control stream.
pub(crate) struct Control {
    pub(crate) sender: ControlSender,
    pub(crate) receiver: ControlReceiver,
}

/// The writing direction.
pub(crate) struct ControlSender(SendStream);

/// The reading direction.
pub(crate) struct ControlReceiver {
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
        let receiver = ControlReceiver { recv, inbox: Inbox::new(CONTROL_MESSAGE), held, fed: 0 };
        Control { sender: ControlSender(send), receiver }
    }
}

impl ControlSender {
    /// Sends a message. Cancelled, it may have sent a part of it: nothing can follow then.
    pub(crate) async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), ControlError> {
        let mut wire = Vec::new();
        encode(message, &mut wire).map_err(ControlError::Message)?;
        Ok(self.0.write_all(Bytes::from(wire)).await?)
    }

    /// Sends the last message, and ends the direction.
    pub(crate) async fn send_final<T: Serialize>(mut self, message: &T) -> Result<(), ControlError> {
        self.send(message).await?;
        self.0.finish();
        Ok(())
    }

    /// Ends the direction without another message.
    pub(crate) fn finish(self) {
        self.0.finish();
    }
}

impl ControlReceiver {
    /// The next message; `None` at the end of the direction. Cancelling it loses nothing.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ControlError> {
        loop {
            if let Some(message) = self.inbox.next().map_err(ControlError::Message)? {
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

    /// Reads no more: everything has come, and the other end is about to finish too.
    pub(crate) fn ignore(self) {
        self.recv.ignore();
    }

    /// The next message, which must come.
    pub(crate) async fn expect<T: DeserializeOwned>(&mut self) -> Result<T, ControlError> {
        let unfinished = "the other end finished an operation without saying how it ended";
        self.next().await?.ok_or_else(|| ControlError::Message(Fault::peer(Code::BadMessage, unfinished)))
    }
}
