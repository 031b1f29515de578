//! Large files on streams of their own, both ends: whole, or the parts that the receiver doesn't have.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use unglue_host::store::Store;
use unglue_host::store::tree::{self, Content, Ended, Landed, Large, Taken, Why};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::Have;
use unglue_proto::tree::{Answer, Record, Records};
use unglue_proto::{Code, Fault};

use super::{Pace, read_some, write_front};
use crate::ops::flow::{ReceiveError, SendError};
use crate::ops::transfer::offer::{self, Offer};
use crate::ops::transfer::resume::NOTHING;

/// Bytes of a large file that are read from the disk at once.
const PIECE: usize = 256 * 1024;
/// Bytes that are read from a stream at once.
const READ: usize = 256 * 1024;

/// What a large file that is sent needs of its transfer.
pub(super) struct Outgoing {
    pub(super) store: Store,
    pub(super) pace: Pace,
    pub(super) moved: mpsc::UnboundedSender<u64>,
    pub(super) turns: Arc<Semaphore>,
}

/// Sends a large file on a stream of its own. `None`: the receiver wants no more of it, and reports why.
pub(super) async fn send(
    outgoing: Outgoing,
    stream: SendStream,
    (entry, content): (u64, Box<Content>),
) -> Option<Ended> {
    let _turn = outgoing.turns.acquire().await.ok()?;
    let mut head = Vec::with_capacity(PIECE + PIECE / 2);
    content.begin(entry, &mut head);
    send_whole(&outgoing, stream, content, head).await
}

/// Sends the rest of a file after `head`, holes as holes.
async fn send_whole(
    outgoing: &Outgoing,
    mut stream: SendStream,
    content: Box<Content>,
    head: Vec<u8>,
) -> Option<Ended> {
    let Outgoing { store, pace, moved, .. } = outgoing;
    let fill = |mut content: Box<Content>, mut out: Vec<u8>| {
        let store = store.clone();
        async move {
            let filled = store.work(move || {
                let before = content.data();
                let ended = content.fill(PIECE, &mut out);
                let data = ended.as_ref().map_or(content.data(), |ended| ended.data) - before;
                (content, out, ended, data)
            });
            filled.await.ok()
        }
    };
    let mut next = fill(content, head).await?;
    loop {
        let (content, piece, ended, data) = next;
        let _ = moved.send(data);
        if let Some(ended) = ended {
            write_all(&mut stream, piece.into(), pace).await.ok()?;
            stream.finish();
            return Some(ended);
        }
        // The next bytes are read while these are sent.
        let (written, filled) = tokio::join!(
            write_all(&mut stream, piece.into(), pace),
            fill(content, Vec::with_capacity(PIECE + PIECE / 2))
        );
        written.ok()?;
        next = filled?;
    }
}

/// Sends what the receiver doesn't have of a large file. `None`: the receiver wants no more of it, and reports why.
///
/// # Errors
/// What the receiver says makes no sense.
pub(super) async fn send_parts(
    outgoing: Outgoing,
    link: Link,
    (mut stream, parts): (SendStream, SendStream),
    (entry, content): (u64, Box<Content>),
    mut haves: mpsc::Receiver<Have>,
) -> Result<Option<Ended>, Fault> {
    let mut head = Vec::new();
    content.begin(entry, &mut head);
    if stream.write_all(head.into()).await.is_err() {
        return Ok(None);
    }
    let Some(have) = next(&mut haves, &mut stream).await else { return Ok(None) };
    let taken = offer::Taken::of(&link, have, Some(content.size()))?;
    let Ok(turn) = outgoing.turns.acquire().await else { return Ok(None) };
    if let offer::Taken::Nothing = taken {
        parts.finish();
        return Ok(send_whole(&outgoing, stream, content, Vec::new()).await);
    }
    let Some(ended) = send_taken(&outgoing, taken, parts, &content).await? else { return Ok(None) };
    let mut close = Vec::new();
    Record::Close { digest: ended.digest.as_ref().ok().copied() }.encode(&mut close);
    if stream.write_all(close.into()).await.is_err() {
        return Ok(None);
    }
    if ended.digest.is_err() {
        stream.finish();
        return Ok(Some(ended));
    }
    drop(turn);
    match next(&mut haves, &mut stream).await {
        Some(have) if have.bytes == content.size() => {
            stream.finish();
            Ok(Some(ended))
        }
        Some(Have { bytes: 0, .. }) => {
            tracing::info!("the parts that were found of a file are not the file's, so it is sent whole");
            let Ok(_turn) = outgoing.turns.acquire().await else { return Ok(None) };
            Ok(send_whole(&outgoing, stream, content, Vec::new()).await)
        }
        Some(have) => {
            let what = format!("the receiver has {} bytes of a file that was sent", have.bytes);
            Err(Fault::peer(Code::BadMessage, what))
        }
        None => Ok(None),
    }
}

/// What the receiver has. `None`: it wants no more of the file.
async fn next(haves: &mut mpsc::Receiver<Have>, stream: &mut SendStream) -> Option<Have> {
    tokio::select! {
        biased;
        have = haves.recv() => have,
        _ = stream.stopped() => None,
    }
}

/// Sends the parts. `None`: the receiver wants no more of them.
async fn send_taken(
    outgoing: &Outgoing,
    taken: offer::Taken,
    parts: SendStream,
    content: &Content,
) -> Result<Option<Ended>, Fault> {
    let mut before = 0;
    let progress = |bytes: u64| {
        let _ = outgoing.moved.send(bytes.saturating_sub(before));
        before = before.max(bytes);
    };
    let source = match outgoing.store.parts(content) {
        Ok(source) => source,
        Err(error) => return Ok(Some(Ended::failed(error))),
    };
    match taken.send(source, parts, &outgoing.pace, progress).await {
        Ok(tally) => Ok(Some(Ended::parts(&tally))),
        Err(SendError::Source(error)) => Ok(Some(Ended::failed(error))),
        Err(SendError::Stream(_)) => Ok(None),
        Err(SendError::Receiver(fault)) => Err(fault),
    }
}

async fn write_all(stream: &mut SendStream, piece: Bytes, pace: &Pace) -> Result<(), StreamError> {
    let mut pieces = VecDeque::from([piece]);
    while pieces.front().is_some_and(|piece| !piece.is_empty()) {
        write_front(stream, &mut pieces, pace).await?;
    }
    Ok(())
}

/// What a large file that is received needs of its transfer.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) store: Store,
    pub(super) pace: Pace,
    pub(super) moved: mpsc::UnboundedSender<u64>,
}

/// The file, or its entry's number and why it was not taken.
pub(super) type Landing = Result<Landed, (u64, Why)>;

/// Receives a large file on its own stream.
pub(super) async fn land(incoming: Incoming, mut stream: RecvStream, mut landing: Box<tree::Landing>) -> Landing {
    let number = landing.number();
    loop {
        match land_some(&incoming, &mut stream, landing).await.map_err(|fault| (number, Why::broken(fault)))? {
            Taken::More(more) => landing = more,
            Taken::Whole(landed) => return Ok(*landed),
            Taken::Refused(number, why) => return Err((number, why)),
        }
    }
}

/// Takes what comes next.
async fn land_some(
    Incoming { store, pace, moved }: &Incoming,
    stream: &mut RecvStream,
    landing: Box<tree::Landing>,
) -> Result<Taken, Fault> {
    let mut pieces = match read_some(stream, READ, pace).await? {
        Some(bytes) => vec![bytes],
        None => return Err(ended_early()),
    };
    // What has come already is written in one go.
    let mut length = pieces[0].len();
    while length < READ
        && pace.rate().is_none()
        && let Some(Ok(Some(more))) = ready(stream)
    {
        length += more.len();
        pieces.push(more);
    }
    let taken = store.work(move || {
        let mut total = 0;
        let mut landing = landing;
        for piece in &pieces {
            match landing.take(piece) {
                (bytes, Taken::More(more)) => {
                    total += bytes;
                    landing = more;
                }
                (bytes, other) => return (total + bytes, other),
            }
        }
        (total, Taken::More(landing))
    });
    let (bytes, taken) = taken.await?;
    let _ = moved.send(bytes);
    Ok(taken)
}

fn ended_early() -> Fault {
    Fault::peer(Code::BadMessage, "a large file's stream ended within the file")
}

/// What can be read at once.
fn ready(stream: &mut RecvStream) -> Option<Result<Option<Bytes>, StreamError>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match stream.poll_read(&mut context, READ) {
        std::task::Poll::Ready(read) => Some(read),
        std::task::Poll::Pending => None,
    }
}

/// Receives a large file of which there may be something here, after the sender was sent what that is.
pub(super) async fn land_parts(
    incoming: Incoming,
    link: Link,
    (mut stream, mut parts): (RecvStream, RecvStream),
    Large { mut landing, old, .. }: Large,
    haves: mpsc::UnboundedSender<Bytes>,
) -> Landing {
    let number = landing.number();
    let broken = |fault: Fault| (number, Why::broken(fault));
    let size = loop {
        landing = match land_some(&incoming, &mut stream, landing).await.map_err(broken)? {
            Taken::More(more) => more,
            Taken::Whole(_) => return Err((number, Why::early())),
            Taken::Refused(number, why) => return Err((number, why)),
        };
        match landing.opened() {
            Some(size) => break size,
            None if landing.has_begun() => return Err((number, Why::early())),
            None => {}
        }
    };
    let old = old.map(|old| incoming.store.old(old));
    let found = Offer::find(&link, landing.kept(), Some(size), old).await;
    let (have, offer) = found.map_err(|error| broken(error.into()))?;
    let _ = haves.send(answer(number, &have));
    if let Offer::Nothing = offer {
        drop(parts);
        let restarted = incoming.store.work(move || landing.restart().map(|()| landing)).await.map_err(broken)?;
        let landing = restarted.map_err(|why| (number, why))?;
        return land(incoming, stream, landing).await;
    }
    let (sink, assembly) = incoming.store.assemble(landing);
    let mut before = 0;
    let progress = |bytes: u64| {
        let _ = incoming.moved.send(bytes.saturating_sub(before));
        before = before.max(bytes);
    };
    match offer.receive(sink, size, (&mut parts, &incoming.pace), progress, closed(&mut stream, size)).await {
        Ok(tally) => {
            let landed = assembly.landed(&tally).map_err(|why| (number, why))?;
            let _ = haves.send(answer(number, &Have { bytes: size, ..NOTHING }));
            // A sender that has not read this yet must not see its stream stopped.
            let _ = stream.read(1).await;
            Ok(*landed)
        }
        // What the parts were found in has changed meanwhile, or was never the right thing.
        Err(ReceiveError::Mismatch(fault)) => match assembly.emptied() {
            Some(landing) => {
                let _ = haves.send(answer(number, &NOTHING));
                land(incoming, stream, landing).await
            }
            None => Err(broken(fault)),
        },
        Err(ReceiveError::Sink(error)) => Err((number, Why::store(error))),
        Err(ReceiveError::Sender(Unsent::Unread)) => Err((number, Why::unread())),
        Err(ReceiveError::Sender(Unsent::Broken(fault))) => Err(broken(fault)),
        Err(ReceiveError::Stream(error)) => Err(broken(error.into())),
        Err(error) => Err(broken(Fault::peer(Code::BadMessage, error.to_string()))),
    }
}

fn answer(entry: u64, have: &Have) -> Bytes {
    let (json, mut out) = (serde_json::to_vec(have).unwrap_or_default(), Vec::new());
    Answer::Have { entry, have: &json }.encode(&mut out);
    out.into()
}

/// Why a sender gives no figures.
#[derive(Debug)]
enum Unsent {
    /// It could not read the file, which it reports itself.
    Unread,
    /// It broke off, or makes no sense.
    Broken(Fault),
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsent::Unread => f.write_str("the sender could not read the file"),
            Unsent::Broken(fault) => fault.fmt(f),
        }
    }
}

/// The sender's figures, once it has sent all parts: the digest closes the file's own stream.
async fn closed(stream: &mut RecvStream, size: u64) -> Result<Tally, Unsent> {
    let broken = |what: &str| Unsent::Broken(Fault::peer(Code::BadMessage, what));
    let mut records = Records::default();
    loop {
        let bytes = match stream.read(READ).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(Unsent::Broken(ended_early())),
            Err(error) => return Err(Unsent::Broken(error.into())),
        };
        let mut bytes = &bytes[..];
        let next = records.next(&mut bytes).map_err(|why| broken(why.0))?;
        let Some((kind, body)) = next else { continue };
        match Record::decode(kind, body).map_err(|why| broken(why.0))? {
            Record::Close { digest: Some(digest) } => {
                return Ok(Tally { bytes: size, blake3: blake3::Hash::from_bytes(digest).to_hex().to_string() });
            }
            Record::Close { digest: None } => return Err(Unsent::Unread),
            _ => return Err(broken("a large file's stream holds something else than its end")),
        }
    }
}
