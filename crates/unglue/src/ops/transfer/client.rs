//! The client's halves.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use unglue_host::store::{
    BlockSource, BytesSource, Facts, ReaderSource, Sink, Source, Store, StoreError, WriteOptions, WriterSink,
};
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::blocks::Blocks;
use unglue_proto::limits::{AHEAD, UNANNOUNCED_FILE};
use unglue_proto::message::transfer::{File, FromClient, FromServer, Get, Have, Outcome, Put};
use unglue_proto::message::{Compress, Request, Tally};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault, Side};

use super::ends::{What, Where};
use super::offer::{DELTA_LEAST, Offer, Taken};
use super::rest::Rest;
use super::{Download, TransferOptions, Upload};
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::{Control, ControlError, ControlReceiver, ControlSender, new_id, unbroken};

/// At most this part of a file is sent ahead.
const AHEAD_SHARE: u64 = 64;

/// What holds at the destination when a link ended before the outcome came.
const UNKNOWN_PUT: &str =
    "the server holds the old file or the new one, whole, and it isn't known which: copy it again";
/// The same where the server had not yet said what it has of the file.
const UNSENT_PUT: &str = "the server has stored nothing, and what was there still is: copy it again";
/// The same, for a file that was overwritten where it is.
const UNKNOWN_IN_PLACE: &str = "the file on the server may hold a part of the new content: copy it again";
/// What holds here when a link ended before a file was whole.
const CUT_GET: &str = "nothing is in place here, and what was there still is: copy it again";
/// The same, for a file that was overwritten where it is.
const CUT_IN_PLACE: &str = "the file here may hold a part of the new content: copy it again";

/// Sends what `upload` names to the path `to` on the server.
pub(crate) async fn put(
    link: &Link,
    upload: Upload<'_>,
    to: &OsStr,
    mut options: TransferOptions,
) -> Result<Tally, Fault> {
    let bare = upload.facts(Facts::default());
    let name = upload.name.clone();
    match upload.what {
        What::Bytes(bytes) => put_source(link, BytesSource::new(bytes, bare), bare, &name, to, options).await,
        What::Reader(reader) => put_source(link, ReaderSource::new(reader, bare), bare, &name, to, options).await,
        What::File(ref store, ref path) => {
            let source = store.blocks(path).await.map_err(Fault::from)?;
            let facts = upload.facts(source.facts());
            let manner = Manner::of(&options).for_size(source.facts().size);
            if !manner.waits() {
                return put_source(link, source.into_source()?, facts, &name, to, options).await;
            }
            match put_offered(link, source, facts, (&name, to), (&mut options, manner)).await {
                Err(fault) if manner.delta && fault.code == Code::Mismatch => {
                    tracing::warn!(why = %fault.what, "the parts that were found are not the file's, so it is sent whole");
                    let source = store.source(path).await.map_err(Fault::from)?;
                    let facts = upload.facts(source.facts());
                    put_source(link, source, facts, &name, to, options).await
                }
                result => result,
            }
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
    let (sending, data) = Sending::ask(link, facts.with_size(size), (name, to), Manner::of(&options).plain()).await?;
    let sent = flow::send(source, data, &options.pace.clone(), options.reporter(size)).await;
    sending.conclude(sent).await
}

/// Sends what the server doesn't have of a file.
async fn put_offered(
    link: &Link,
    source: BlockSource,
    facts: Facts,
    (name, to): (&OsStr, &OsStr),
    (options, manner): (&mut TransferOptions, Manner),
) -> Result<Tally, Fault> {
    let size = source.facts().size;
    let facts = facts.with_size(size);
    let (mut sending, mut data) = Sending::ask(link, facts, (name, to), manner).await?;
    let (pace, mut progress) = (options.pace.clone(), options.reporter(size));
    // A server that refuses stops the stream; its answer has the reason.
    let ahead = source.bytes(0..manner.ahead).await?;
    let _ = flow::write(&mut data, ahead, &pace, |_| ()).await;
    let have = sending.have().await;
    let (sending, sent) = match have {
        Err(fault) if fault.code == Code::Unsupported => {
            tracing::debug!(why = %fault.what, "the file is sent whole");
            drop((sending, data));
            let (sending, data) = Sending::ask(link, facts, (name, to), manner.plain()).await?;
            (sending, flow::send(source.into_source()?, data, &pace, progress).await)
        }
        have => {
            let sent = match Taken::of(link, have?, size)? {
                Taken::Nothing => {
                    let rest = Rest::of(source.into_source()?, manner.ahead);
                    flow::send(rest, data, &pace, |bytes| progress(manner.ahead + bytes)).await
                }
                taken => taken.send(source, data, &pace, progress).await,
            };
            (sending, sent)
        }
    };
    sending.conclude(sent).await
}

/// What a request says of how the file is written.
#[derive(Debug, Clone, Copy)]
struct Manner {
    preserve: bool,
    in_place: bool,
    resume: bool,
    delta: bool,
    /// The file's first bytes that are sent before the server has said what it has.
    ahead: u64,
    compression: Compression,
}

impl Manner {
    fn of(options: &TransferOptions) -> Manner {
        let TransferOptions { preserve, in_place, resume, compression, .. } = *options;
        Manner { preserve, in_place, resume, delta: !options.whole_file, ahead: 0, compression }
    }

    /// What it may be for a file of this size: a small one is sent at once. Of a larger one, little is sent ahead, since it may be there.
    fn for_size(self, size: Option<u64>) -> Manner {
        let (replaced, size) = (!self.in_place, size.unwrap_or(0));
        // What one block holds would be sent whole in any case.
        let resume = self.resume && replaced && Blocks::of(size).is_some();
        let ahead = AHEAD.min(size / AHEAD_SHARE);
        Manner { resume, delta: self.delta && replaced && size >= DELTA_LEAST, ahead, ..self }
    }

    /// All bytes are sent at once.
    fn plain(self) -> Manner {
        Manner { resume: false, delta: false, ahead: 0, ..self }
    }

    /// Whether the sender waits for what the receiver has.
    fn waits(self) -> bool {
        self.resume || self.delta
    }
}

/// A file that the server is about to be sent.
struct Sending {
    sender: ControlSender,
    receiver: ControlReceiver,
    /// What holds if the link ends before the outcome has come.
    unknown: &'static str,
}

impl Sending {
    /// Sends the request; the data go to the stream.
    async fn ask(
        link: &Link,
        facts: Facts,
        (name, to): (&OsStr, &OsStr),
        Manner { preserve, in_place, resume, delta, ahead, compression }: Manner,
    ) -> Result<(Sending, SendStream), Fault> {
        let Control { mut sender, receiver } = Control::new(link.open_bidirectional().await?);
        let mut data = link.open_unidirectional().await?;
        data.compress(compression);
        let modified = facts.modified.filter(|_| preserve);
        let required = [
            ("modified", modified.is_some()),
            ("in_place", in_place),
            ("resume", resume),
            ("delta", delta),
            ("ahead", ahead > 0),
        ];
        let put = Put {
            id: new_id(),
            path: to.into(),
            name: name.into(),
            size: facts.size,
            mode: facts.mode,
            keep_mode: preserve,
            modified,
            in_place,
            resume,
            delta,
            ahead,
            data: data.number(),
            require: required.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect(),
        };
        sender.send(&Request::Put(put)).await?;
        let unknown = if in_place { UNKNOWN_IN_PLACE } else { UNKNOWN_PUT };
        Ok((Sending { sender, receiver, unknown }, data))
    }

    /// What the server has of the file.
    async fn have(&mut self) -> Result<Have, Fault> {
        let said = next(&mut self.receiver).await.map_err(|error| match error {
            ControlError::Stream(_) => advised(error.into(), UNSENT_PUT),
            ControlError::Message(fault) => fault,
        })?;
        match said {
            FromServer::Have(have) => Ok(have),
            last => match concluded(last)? {
                Ok(_) => Err(Fault::peer(Code::BadMessage, "the server says that it stored a file before it came")),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Reports what was sent, and waits for the outcome.
    async fn conclude(mut self, sent: Result<Tally, SendError>) -> Result<Tally, Fault> {
        let sent = match sent {
            Ok(tally) => {
                // A server that has failed already reads no more; its outcome has the reason.
                let _ = self.sender.send(&FromClient::Sent(tally.clone())).await;
                Some(tally)
            }
            // The server wants no more: it has sent the reason, or the link has ended.
            Err(SendError::Stream(_)) => None,
            Err(error @ (SendError::Source(_) | SendError::Receiver(_))) => {
                let fault = Fault::from(error);
                // Our own failure counts, whether the server learns of it or not.
                let _ = self.sender.send_final(&FromClient::Failed(fault.clone())).await;
                return Err(fault);
            }
        };
        self.sender.finish();
        let done = outcome(&mut self.receiver).await.map_err(|error| match error.is_lost() {
            true => advised(error.into(), self.unknown),
            false => error.into(),
        })?;
        stored(sent, &done)
    }
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
    mut options: TransferOptions,
) -> Result<Tally, Fault> {
    let name = Path::new(from).file_name().unwrap_or_default().to_owned();
    match download.to {
        Where::Writer(writer) => {
            let answer = Answer::to(link, from, download.most, Manner::of(&options).plain()).await?;
            answer.land(WriterSink::new(writer), options).await
        }
        Where::File(store, path) => {
            let manner = Manner::of(&options);
            let old = match manner.delta && !manner.in_place {
                true => store.replaced(&path, &name).await.filter(|old| old.facts().size >= Some(DELTA_LEAST)),
                false => None,
            };
            let manner = Manner { resume: manner.resume && !manner.in_place, delta: old.is_some(), ..manner };
            let place = (&store, &*path, &*name);
            match get_file(link, (from, download.most), place, old, (&mut options, manner)).await {
                Err(fault) if manner.delta && fault.code == Code::Mismatch => {
                    tracing::warn!(why = %fault.what, "the parts that were found are not the file's, so it is sent whole");
                    get_file(link, (from, download.most), place, None, (&mut options, manner.plain())).await
                }
                result => result,
            }
        }
    }
}

/// Fetches what is missing here of a file.
async fn get_file(
    link: &Link,
    (from, most): (&OsStr, u64),
    (store, path, name): (&Store, &Path, &OsStr),
    old: Option<BlockSource>,
    (options, manner): (&mut TransferOptions, Manner),
) -> Result<Tally, Fault> {
    let mut answer = match Answer::to(link, from, most, manner).await {
        Err(fault) if manner.waits() && fault.code == Code::Unsupported => {
            tracing::debug!(why = %fault.what, "the file is sent whole");
            Answer::to(link, from, most, manner.plain()).await?
        }
        answer => answer?,
    };
    let to = WriteOptions {
        mode: answer.file.mode,
        keep_mode: manner.preserve,
        modified: manner.preserve.then_some(answer.file.modified),
        in_place: manner.in_place,
        size: answer.file.size,
        resume: manner.resume,
        source: None,
    };
    let sink = store.sink(path, name, to).await.map_err(Fault::from)?;
    let offer = match answer.sender.take() {
        Some(sender) => {
            let (have, offer) = Offer::find(link, sink.kept(), answer.file.size, old).await?;
            sender.send_final(&FromClient::Have(have)).await?;
            offer
        }
        None => Offer::Nothing,
    };
    let (pace, progress) = (options.pace.clone(), options.reporter(answer.file.size));
    let sent = outcome(&mut answer.receiver);
    let landed = offer.receive(sink, answer.most, (&mut answer.data, &pace), progress, sent).await;
    landed.map_err(|error| explained(error, manner.in_place))
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
    let answer = Answer::to(link, from, u64::MAX, Manner::of(&options).plain()).await?;
    let File { size, mode, modified, .. } = answer.file;
    let facts = Facts::default().with_size(size).with_mode(mode).with_modified(Some(modified));
    let sink = open(facts).await?;
    answer.land(sink, options).await
}

/// A server that is about to send a file.
struct Answer {
    /// For what the client has already, where the server waits for that.
    sender: Option<ControlSender>,
    receiver: ControlReceiver,
    file: File,
    data: RecvStream,
    most: u64,
}

impl Answer {
    /// The answer to a request for `from`. A file of more than `most` bytes is refused here.
    async fn to(link: &Link, from: &OsStr, most: u64, manner: Manner) -> Result<Answer, Fault> {
        let answer = unbroken(ask_for(link.clone(), from.to_owned(), manner)).await?;
        let size = answer.file.size.unwrap_or(UNANNOUNCED_FILE.min(most));
        if size > most {
            let what = format!("the file has {size} bytes, and at most {most} are wanted");
            return Err(Fault::user(Code::LimitExceeded, what));
        }
        Ok(Answer { most: size, ..answer })
    }

    async fn land(mut self, sink: impl Sink, mut options: TransferOptions) -> Result<Tally, Fault> {
        let progress = options.reporter(self.file.size);
        let sent = outcome(&mut self.receiver);
        let landed = flow::receive(sink, (&mut self.data, &options.pace), self.most, progress, sent).await;
        landed.map_err(|error| explained(error, options.in_place))
    }
}

/// What a failed transfer leaves here.
fn explained(error: ReceiveError<OutcomeError>, in_place: bool) -> Fault {
    let cut = if in_place { CUT_IN_PLACE } else { CUT_GET };
    match &error {
        ReceiveError::Stream(_) => advised(error.into(), cut),
        ReceiveError::Sender(sender) if sender.is_lost() => advised(error.into(), cut),
        _ => error.into(),
    }
}

/// Sends the request and takes the stream that the answer names.
async fn ask_for(link: Link, from: OsString, manner: Manner) -> Result<Answer, Fault> {
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    let Manner { resume, delta, compression, .. } = manner;
    let required = [("resume", resume), ("delta", delta)];
    let require = required.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect();
    let (path, compress) = (from.as_os_str().into(), Compress::request(compression));
    sender.send(&Request::Get(Get { id: new_id(), path, compress, resume, delta, require })).await?;
    let sender = match manner.waits() {
        true => Some(sender),
        false => {
            sender.finish();
            None
        }
    };
    match next(&mut receiver).await? {
        FromServer::File(file) => {
            let data = link.claim(file.data)?;
            flow::widen(&data, file.size);
            Ok(Answer { sender, receiver, file, data, most: u64::MAX })
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
        FromServer::Have(_) => bad("the server says what it has of a file, and wasn't asked".into()),
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
