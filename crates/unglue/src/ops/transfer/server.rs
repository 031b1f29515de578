//! The server's halves.

use std::ffi::OsString;
use std::path::PathBuf;

use unglue_host::store::{Store, StoreError, WriteOptions};
use unglue_link::{Link, RecvStream, StreamError};
use unglue_proto::limits::AHEAD;
use unglue_proto::message::transfer::{File, FromClient, FromServer, Get, Have, Outcome, Put};
use unglue_proto::message::{Compress, Tally, Time};
use unglue_proto::{Code, Fault};

use super::offer::{Offer, Taken};
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::pace::Pace;
use crate::ops::slots::Slots;
use crate::ops::{Control, ControlError, ControlReceiver, ControlSender, refuse};

/// Receives a file.
pub(crate) async fn serve_put(
    link: &Link,
    store: &Store,
    slots: &Slots,
    put: Put,
    control: Control,
) -> Result<Tally, Fault> {
    let Control { mut sender, mut receiver } = control;
    let _slot = match slots.take() {
        Ok(slot) => slot,
        Err(fault) => {
            // The client is sent a stop: nobody reads the data that it is sending.
            drop(link.claim(put.data));
            refuse(sender, fault.clone()).await?;
            return Err(fault);
        }
    };
    let result = receive(link, store, put, (&mut sender, &mut receiver)).await;
    conclude(sender, result.map_err(Fault::from)).await
}

async fn receive(
    link: &Link,
    store: &Store,
    put: Put,
    (sender, receiver): (&mut ControlSender, &mut ControlReceiver),
) -> Result<Tally, ReceiveError<Fault>> {
    let mut data = link.claim(put.data).map_err(ReceiveError::Sender)?;
    if put.ahead > AHEAD {
        let what = format!("{} bytes are sent before it is known what is there, and at most {AHEAD} may be", put.ahead);
        return Err(ReceiveError::Sender(Fault::peer(Code::BadMessage, what)));
    }
    flow::widen(&data, put.size);
    let options = WriteOptions {
        mode: put.mode,
        keep_mode: put.keep_mode,
        modified: put.modified,
        in_place: put.in_place,
        size: put.size,
        resume: put.resume && put.size.is_some(),
        source: None,
    };
    let (path, name) = (PathBuf::from(OsString::from(put.path)), OsString::from(put.name));
    let sink = store.sink(&path, &name, options).await?;
    let pace = Pace::default();
    let offer = match put.resume || put.delta {
        true => {
            let old = match put.delta && !put.in_place {
                true => store.replaced(&path, &name).await,
                false => None,
            };
            let (have, offer) = Offer::find(link, sink.kept(), put.size, old).await?;
            sender.send(&FromServer::Have(have)).await.map_err(|error| ReceiveError::Sender(error.into()))?;
            offer
        }
        false => Offer::Nothing,
    };
    if !matches!(offer, Offer::Nothing)
        && let Err(error) = skip(&mut data, put.ahead).await
    {
        return flow::conclude(sink, Err(error), &data).await;
    }
    offer.receive(sink, put.size.unwrap_or(u64::MAX), (&mut data, &pace), |_| (), sent(receiver)).await
}

/// Drops what the client sent before it knew what the server has.
async fn skip(data: &mut RecvStream, ahead: u64) -> Result<(), ReceiveError<Fault>> {
    let mut left = ahead;
    while left > 0 {
        let Some(dropped) = data.read(usize::try_from(left).unwrap_or(usize::MAX)).await? else {
            let what = format!("{ahead} bytes were to come first, and {} came", ahead - left);
            return Err(ReceiveError::Sender(Fault::peer(Code::BadMessage, what)));
        };
        left -= dropped.len() as u64;
    }
    Ok(())
}

/// What the client reports as sent.
async fn sent(receiver: &mut ControlReceiver) -> Result<Tally, Fault> {
    loop {
        match receiver.expect().await? {
            FromClient::Sent(tally) => return Ok(tally),
            FromClient::Failed(fault) => return Err(fault),
            FromClient::Have(_) => {
                return Err(Fault::peer(Code::BadMessage, "the client that sends a file says what it has of it"));
            }
            FromClient::Unknown(unknown) => tracing::debug!(kind = unknown.kind, "an unknown event is ignored"),
        }
    }
}

/// Sends a file.
pub(crate) async fn serve_get(
    link: &Link,
    store: &Store,
    slots: &Slots,
    get: Get,
    control: Control,
) -> Result<Tally, Fault> {
    let Control { mut sender, mut receiver } = control;
    let _slot = match slots.take() {
        Ok(slot) => slot,
        Err(fault) => {
            refuse(sender, fault.clone()).await?;
            return Err(fault);
        }
    };
    let result = send(link, store, get, (&mut sender, &mut receiver)).await;
    conclude(sender, result.map_err(Fault::from)).await
}

/// Why a file was not sent.
#[derive(Debug, thiserror::Error)]
enum GetError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("{0}")]
    Client(Fault),
}

impl From<SendError> for GetError {
    fn from(error: SendError) -> GetError {
        match error {
            SendError::Source(error) => GetError::Store(error),
            SendError::Stream(error) => GetError::Stream(error),
            SendError::Receiver(fault) => GetError::Client(fault),
        }
    }
}

impl From<GetError> for Fault {
    fn from(error: GetError) -> Fault {
        match error {
            GetError::Store(error) => error.into(),
            GetError::Stream(error) => error.into(),
            GetError::Control(error) => error.into(),
            GetError::Client(fault) => fault,
        }
    }
}

async fn send(
    link: &Link,
    store: &Store,
    get: Get,
    (sender, receiver): (&mut ControlSender, &mut ControlReceiver),
) -> Result<Tally, GetError> {
    let compression = Compress::asked(get.compress.as_ref());
    let source = store.blocks(&PathBuf::from(OsString::from(get.path))).await?;
    let facts = source.facts();
    let mut data = link.open_unidirectional().await?;
    data.compress(compression);
    let modified = facts.modified.unwrap_or(Time { seconds: 0, nanoseconds: 0 });
    let file = File { data: data.number(), size: facts.size, mode: facts.mode, modified };
    sender.send(&FromServer::File(file)).await?;
    let taken = match get.resume || get.delta {
        true => Taken::of(link, client_has(receiver).await?, facts.size).map_err(GetError::Client)?,
        false => Taken::Nothing,
    };
    Ok(taken.send(source, data, &Pace::default(), |_| ()).await?)
}

/// What a client has of the file that it gets.
async fn client_has(receiver: &mut ControlReceiver) -> Result<Have, GetError> {
    loop {
        match receiver.expect().await? {
            FromClient::Have(have) => return Ok(have),
            FromClient::Unknown(unknown) => tracing::debug!(kind = unknown.kind, "an unknown event is ignored"),
            FromClient::Sent(_) => {
                return Err(GetError::Client(Fault::peer(
                    Code::BadMessage,
                    "the client says that it sent what it gets",
                )));
            }
            FromClient::Failed(fault) => return Err(GetError::Client(fault)),
        }
    }
}

/// Sends the final message of a transfer that was accepted.
async fn conclude(sender: ControlSender, result: Result<Tally, Fault>) -> Result<Tally, Fault> {
    let outcome = match &result {
        Ok(tally) => Outcome::Done(tally.clone()),
        Err(fault) => Outcome::Failed(fault.clone()),
    };
    sender.send_final(&FromServer::Outcome(outcome)).await?;
    result
}
