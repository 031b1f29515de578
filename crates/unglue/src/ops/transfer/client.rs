//! The client's halves.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use unglue_host::store::{BytesSource, Facts, ReaderSource, Sink, Source, StoreError, WriteOptions, WriterSink};
use unglue_link::{Link, RecvStream};
use unglue_proto::limits::UNANNOUNCED_FILE;
use unglue_proto::message::transfer::{File, FromClient, FromServer, Get, Outcome, Put};
use unglue_proto::message::{Compress, Request, Tally};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault, Side};

use super::ends::{What, Where};
use super::{Download, TransferOptions, Upload};
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::{Control, ControlError, ControlReceiver, new_id, unbroken};

/// What holds at the destination when a link ended before the outcome came.
const UNKNOWN_PUT: &str =
    "the server holds the old file or the new one, whole, and it isn't known which: copy it again";
/// The same, for a file that was overwritten where it is.
const UNKNOWN_IN_PLACE: &str = "the file on the server may hold a part of the new content: copy it again";
/// What holds here when a link ended before a file was whole.
const CUT_GET: &str = "nothing is in place here, and what was there still is: copy it again";
/// The same, for a file that was overwritten where it is.
const CUT_IN_PLACE: &str = "the file here may hold a part of the new content: copy it again";

/// Sends what `upload` names to the path `to` on the server.
pub(crate) async fn put(link: &Link, upload: Upload<'_>, to: &OsStr, options: TransferOptions) -> Result<Tally, Fault> {
    let bare = upload.facts(Facts::default());
    let name = upload.name.clone();
    match upload.what {
        What::Bytes(bytes) => put_source(link, BytesSource::new(bytes, bare), bare, &name, to, options).await,
        What::Reader(reader) => put_source(link, ReaderSource::new(reader, bare), bare, &name, to, options).await,
        What::File(ref store, ref path) => {
            let source = store.source(path).await.map_err(Fault::from)?;
            let facts = upload.facts(source.facts());
            put_source(link, source, facts, &name, to, options).await
        }
    }
}

/// Sends a source.
///
/// # Errors
/// Nothing is in place on the server, or (for [`Code::LinkLost`]) that isn't known.
pub(crate) async fn put_source(
    link: &Link,
    source: impl Source,
    facts: Facts,
    name: &OsStr,
    to: &OsStr,
    mut options: TransferOptions,
) -> Result<Tally, Fault> {
    let size = source.facts().size;
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    let mut data = link.open_unidirectional().await?;
    data.compress(options.compression);
    let modified = facts.modified.filter(|_| options.preserve);
    let required = [("modified", modified.is_some()), ("in_place", options.in_place)];
    let put = Put {
        id: new_id(),
        path: to.into(),
        name: name.into(),
        size,
        mode: facts.mode,
        keep_mode: options.preserve,
        modified,
        in_place: options.in_place,
        data: data.number(),
        require: required.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect(),
    };
    sender.send(&Request::Put(put)).await?;
    let sent = match flow::send(source, data, &options.pace.clone(), options.reporter(size)).await {
        Ok(tally) => {
            // A server that has failed already reads no more; its outcome has the reason.
            let _ = sender.send(&FromClient::Sent(tally.clone())).await;
            Some(tally)
        }
        // The server wants no more: it has sent the reason, or the link has ended.
        Err(SendError::Stream(_)) => None,
        Err(SendError::Source(error)) => {
            let fault = Fault::from(error);
            // Our own failure counts, whether the server learns of it or not.
            let _ = sender.send_final(&FromClient::Failed(fault.clone())).await;
            return Err(fault);
        }
    };
    sender.finish();
    let unknown = if options.in_place { UNKNOWN_IN_PLACE } else { UNKNOWN_PUT };
    let done = outcome(&mut receiver).await.map_err(|error| match error.is_lost() {
        true => advised(error.into(), unknown),
        false => error.into(),
    })?;
    stored(sent, &done)
}

/// Compares what was sent with what the server reports as stored.
fn stored(sent: Option<Tally>, done: &Tally) -> Result<Tally, Fault> {
    let Some(sent) = sent else {
        return Err(Fault::peer(Code::BadMessage, "the server says that it stored a file of which it took a part"));
    };
    match sent.bytes == done.bytes {
        _ if sent == *done => Ok(sent),
        true => Err(corrupt(format!(
            "the file has {} bytes with digest {}, and the server stored as many with digest {}",
            sent.bytes, sent.blake3, done.blake3
        ))),
        false => Err(corrupt(format!("the file has {} bytes, and the server stored {}", sent.bytes, done.bytes))),
    }
}

fn corrupt(what: String) -> Fault {
    Fault::peer(Code::Mismatch, what).advise("what the server has can't be trusted: copy it again").on(Side::Server)
}

/// Fetches the file `from` of the server.
///
/// # Errors
/// The destination is as it was.
pub(crate) async fn get(
    link: &Link,
    from: &OsStr,
    download: Download<'_>,
    options: TransferOptions,
) -> Result<Tally, Fault> {
    let name = Path::new(from).file_name().unwrap_or_default().to_owned();
    let answer = Answer::to(link, from, download.most, options.compression).await?;
    match download.to {
        Where::Writer(writer) => answer.land(WriterSink::new(writer), options).await,
        Where::File(store, path) => {
            let to = WriteOptions {
                mode: answer.file.mode,
                keep_mode: options.preserve,
                modified: options.preserve.then_some(answer.file.modified),
                in_place: options.in_place,
                size: answer.file.size,
                source: None,
            };
            let sink = store.sink(&path, &name, to).await.map_err(Fault::from)?;
            answer.land(sink, options).await
        }
    }
}

/// Fetches the file `from` of the server into the sink that `open` makes once the server has described the file.
///
/// # Errors
/// The sink was discarded.
pub(crate) async fn get_into<K: Sink, F: Future<Output = Result<K, StoreError>>>(
    link: &Link,
    from: &OsStr,
    open: impl FnOnce(Facts) -> F,
    options: TransferOptions,
) -> Result<Tally, Fault> {
    let answer = Answer::to(link, from, u64::MAX, options.compression).await?;
    let File { size, mode, modified, .. } = answer.file;
    let facts = Facts::default().with_size(size).with_mode(mode).with_modified(Some(modified));
    let sink = open(facts).await?;
    answer.land(sink, options).await
}

/// A server that is about to send a file.
struct Answer {
    receiver: ControlReceiver,
    file: File,
    data: RecvStream,
    most: u64,
}

impl Answer {
    /// The answer to a request for `from`. A file of more than `most` bytes is refused here.
    async fn to(link: &Link, from: &OsStr, most: u64, compression: Compression) -> Result<Answer, Fault> {
        let (receiver, file, data) = unbroken(ask_for(link.clone(), from.to_owned(), compression)).await?;
        let size = file.size.unwrap_or(UNANNOUNCED_FILE.min(most));
        if size > most {
            let what = format!("the file has {size} bytes, and at most {most} are wanted");
            return Err(Fault::user(Code::LimitExceeded, what));
        }
        Ok(Answer { receiver, file, data, most: size })
    }

    async fn land(mut self, sink: impl Sink, mut options: TransferOptions) -> Result<Tally, Fault> {
        let progress = options.reporter(self.file.size);
        let sent = outcome(&mut self.receiver);
        let landed = flow::receive(sink, (&mut self.data, &options.pace), self.most, progress, sent).await;
        let cut = if options.in_place { CUT_IN_PLACE } else { CUT_GET };
        landed.map_err(|error| match &error {
            ReceiveError::Stream(_) => advised(error.into(), cut),
            ReceiveError::Sender(sender) if sender.is_lost() => advised(error.into(), cut),
            _ => error.into(),
        })
    }
}

/// Sends the request and takes the stream that the answer names.
async fn ask_for(
    link: Link,
    from: OsString,
    compression: Compression,
) -> Result<(ControlReceiver, File, RecvStream), Fault> {
    let Control { sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    let (path, compress) = (from.as_os_str().into(), Compress::request(compression));
    sender.send_final(&Request::Get(Get { id: new_id(), path, compress, require: Vec::new() })).await?;
    match next(&mut receiver).await? {
        FromServer::File(file) => {
            let data = link.claim(file.data)?;
            Ok((receiver, file, data))
        }
        last => match concluded(last)? {
            Ok(_) => Err(Fault::peer(Code::BadMessage, "the server says that it sent a file which it never opened")),
            Err(error) => Err(error.into()),
        },
    }
}

/// Why a transfer has not ended well.
#[derive(Debug, thiserror::Error)]
enum OutcomeError {
    /// The server's outcome did not come, or makes no sense.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The server reports this.
    #[error("{0}")]
    Reported(Fault),
}

impl From<OutcomeError> for Fault {
    fn from(error: OutcomeError) -> Fault {
        match error {
            OutcomeError::Control(error) => error.into(),
            OutcomeError::Reported(fault) => fault,
        }
    }
}

impl OutcomeError {
    fn is_lost(&self) -> bool {
        matches!(self, OutcomeError::Control(ControlError::Stream(_)))
    }
}

async fn outcome(receiver: &mut ControlReceiver) -> Result<Tally, OutcomeError> {
    concluded(next(receiver).await?)?
}

/// The next message that this version knows.
async fn next(receiver: &mut ControlReceiver) -> Result<FromServer, ControlError> {
    loop {
        match receiver.expect().await? {
            FromServer::Unknown(unknown) => {
                tracing::debug!(kind = unknown.kind, "an event of a later version is ignored")
            }
            known => return Ok(known),
        }
    }
}

/// The server's final message: the outer error is one that breaks the protocol.
fn concluded(message: FromServer) -> Result<Result<Tally, OutcomeError>, ControlError> {
    let bad = |what: String| Err(ControlError::Message(Fault::peer(Code::BadMessage, what)));
    match message {
        FromServer::Outcome(Outcome::Done(tally)) => Ok(Ok(tally)),
        // Of the server's own, so that nobody looks for its path on this machine.
        FromServer::Outcome(Outcome::Failed(fault)) | FromServer::Refused(fault) => {
            Ok(Err(OutcomeError::Reported(fault.on(Side::Server))))
        }
        FromServer::Outcome(Outcome::Unknown(unknown)) => {
            let what = format!("the transfer ended as {:?}, which this version doesn't know", unknown.kind);
            Err(ControlError::Message(
                Fault::peer(Code::Unsupported, what)
                    .advise("whether the file is in place is not known: look, or copy it again"),
            ))
        }
        FromServer::File(_) => bad("the server opened a file a second time".into()),
        FromServer::Unknown(unknown) => bad(format!("an unknown message, {:?}", unknown.kind)),
    }
}

/// What holds where no outcome came, unless there is better advice.
fn advised(fault: Fault, advice: &str) -> Fault {
    match fault.advice.is_empty() {
        true => fault.advise(advice),
        false => fault,
    }
}
