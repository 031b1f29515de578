//! The server's halves.

use std::ffi::OsString;
use std::path::PathBuf;

use unglue_host::store::{Source as _, Store, StoreError, WriteOptions};
use unglue_link::{Link, StreamError};
use unglue_proto::Fault;
use unglue_proto::message::transfer::{File, FromClient, FromServer, Get, Outcome, Put};
use unglue_proto::message::{Compress, Tally, Time};

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
    let Control { sender, mut receiver } = control;
    let _slot = match slots.take() {
        Ok(slot) => slot,
        Err(fault) => {
            // The client is sent a stop: nobody reads the data that it is sending.
            drop(link.claim(put.data));
            refuse(sender, fault.clone()).await?;
            return Err(fault);
        }
    };
    let result = receive(link, store, put, &mut receiver).await;
    conclude(sender, result.map_err(Fault::from)).await
}

async fn receive(
    link: &Link,
    store: &Store,
    put: Put,
    receiver: &mut ControlReceiver,
) -> Result<Tally, ReceiveError<Fault>> {
    let mut data = link.claim(put.data).map_err(ReceiveError::Sender)?;
    let options = WriteOptions {
        mode: put.mode,
        keep_mode: put.keep_mode,
        modified: put.modified,
        in_place: put.in_place,
        size: put.size,
        source: None,
    };
    let (path, name) = (PathBuf::from(OsString::from(put.path)), OsString::from(put.name));
    let sink = store.sink(&path, &name, options).await?;
    let sent = sent(receiver);
    flow::receive(sink, (&mut data, &Pace::default()), put.size.unwrap_or(u64::MAX), |_| (), sent).await
}

/// What the client reports as sent.
async fn sent(receiver: &mut ControlReceiver) -> Result<Tally, Fault> {
    loop {
        match receiver.expect().await? {
            FromClient::Sent(tally) => return Ok(tally),
            FromClient::Failed(fault) => return Err(fault),
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
    let Control { mut sender, receiver: _listener } = control;
    let _slot = match slots.take() {
        Ok(slot) => slot,
        Err(fault) => {
            refuse(sender, fault.clone()).await?;
            return Err(fault);
        }
    };
    let result = send(link, store, get, &mut sender).await;
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
}

impl From<SendError> for GetError {
    fn from(error: SendError) -> GetError {
        match error {
            SendError::Source(error) => GetError::Store(error),
            SendError::Stream(error) => GetError::Stream(error),
        }
    }
}

impl From<GetError> for Fault {
    fn from(error: GetError) -> Fault {
        match error {
            GetError::Store(error) => error.into(),
            GetError::Stream(error) => error.into(),
            GetError::Control(error) => error.into(),
        }
    }
}

async fn send(link: &Link, store: &Store, get: Get, sender: &mut ControlSender) -> Result<Tally, GetError> {
    let compression = Compress::asked(get.compress.as_ref());
    let source = store.source(&PathBuf::from(OsString::from(get.path))).await?;
    let facts = source.facts();
    let mut data = link.open_unidirectional().await?;
    data.compress(compression);
    let modified = facts.modified.unwrap_or(Time { seconds: 0, nanoseconds: 0 });
    let file = File { data: data.number(), size: facts.size, mode: facts.mode, modified };
    sender.send(&FromServer::File(file)).await?;
    Ok(flow::send(source, data, &Pace::default(), |_| ()).await?)
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
