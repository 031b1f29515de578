//! The control messages of a command: over its link, or through the task that follows the command from link to link.

use tokio::sync::mpsc;
use unglue_proto::message::exec::{FromClient, FromServer};
use unglue_proto::{Code, Fault};

use crate::ops::{ControlReceiver, ControlSender};

/// What the client says.
pub(super) enum Speaking {
    Direct(ControlSender),
    Followed(mpsc::Sender<FromClient>),
}

/// What the server says.
pub(super) enum Hearing {
    Direct(ControlReceiver),
    Followed(mpsc::Receiver<FromServer>),
}

impl Speaking {
    pub(super) async fn send(&mut self, message: FromClient) -> Result<(), Fault> {
        match self {
            Speaking::Direct(sender) => sender.send(&message).await,
            Speaking::Followed(sender) => sender
                .send(message)
                .await
                .map_err(|_| Fault::user(Code::Cancelled, "the command has ended, or isn't followed any more")),
        }
    }
}

impl Hearing {
    /// The next message, which must come. Cancelling it loses nothing.
    pub(super) async fn expect(&mut self) -> Result<FromServer, Fault> {
        match self {
            Hearing::Direct(receiver) => receiver.expect().await,
            Hearing::Followed(receiver) => {
                receiver.recv().await.ok_or_else(|| Fault::us("the task that follows a command ended without a word"))
            }
        }
    }
}
