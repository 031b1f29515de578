//! From one server to another through this machine.

use std::ffi::OsStr;
use std::path::PathBuf;

use tokio::task::JoinSet;
use unglue_host::store::tree::{Moving, TreeEvent};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::message::transfer::Have;
use unglue_proto::message::tree::{Summary, Tree, Way};
use unglue_proto::message::{Compress, Request};
use unglue_proto::mux::Compression;
use unglue_proto::tree::{Answer, Malformed, Record, Records, frame};
use unglue_proto::{Code, Fault, Side};

use super::client::{accepted, outcome, request, simpler};
use super::{Pace, TreeListener, TreeMove, TreeUpdate, read_some};
use crate::client::Client;
use crate::ops::Control;

/// Bytes that are passed on at once.
const READ: usize = 256 * 1024;

/// Copies the `sources` of one server to the path `to` of another. The bytes go through this machine, which stores none of them;
/// the servers compare digests with each other. Dropped, both ends break off.
///
/// # Errors
/// It broke off. What is in place by then stays.
pub async fn relay(
    (from, sources): (&Client, &[PathBuf]),
    (to, path): (&Client, &OsStr),
    tree: &TreeMove,
    mut listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    let mut tree = tree.clone();
    loop {
        match relay_once((from, sources), (to, path), &tree, Box::new(&mut listener)).await {
            Err(fault) => tree = simpler(fault, &tree)?,
            relayed => return relayed,
        }
    }
}

async fn relay_once(
    (from, sources): (&Client, &[PathBuf]),
    (to, path): (&Client, &OsStr),
    tree: &TreeMove,
    mut listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    let mut sink = Control::new(to.link().open_bidirectional().await?);
    let mut flow_out = to.link().open_unidirectional().await?;
    flow_out.compress(tree.compression);
    let asked = Tree { to: Some(path.into()), ..request(tree, Way::Push, flow_out.number()) };
    sink.sender.send(&Request::Tree(Box::new(asked))).await?;
    let accepted_there = accepted(&mut sink.receiver).await.map_err(|fault| fault.on(Side::Server))?;
    let answers_in = to.link().claim(accepted_there.data)?;

    let mut source = Control::new(from.link().open_bidirectional().await?);
    let answers_out = from.link().open_unidirectional().await?;
    let sources = sources.iter().map(|source| source.as_os_str().into()).collect();
    let compress = Compress::request(tree.compression);
    let asked = Tree { sources, compress, ..request(tree, Way::Pull, answers_out.number()) };
    source.sender.send(&Request::Tree(Box::new(asked))).await?;
    let accepted_here = accepted(&mut source.receiver).await.map_err(|fault| fault.on(Side::Server))?;
    let flow_in = from.link().claim(accepted_here.data)?;

    let unpaced = Pace::default();
    let (mut contents, mut sums) = (JoinSet::new(), JoinSet::new());
    let there = async {
        let streams = Streams::new((from.link(), to.link()), &tree.pace, tree.compression, &mut contents);
        let passed = pass_flow(flow_in, flow_out, streams, &tree.pace).await;
        passed.map_err(|broke| broke.between(End::Source, End::Sink))
    };
    let back = async {
        let streams = Streams::new((to.link(), from.link()), &unpaced, Compression::Off, &mut sums);
        let passed = pass_answers(answers_in, answers_out, streams, &mut listener).await;
        passed.map_err(|broke| broke.between(End::Sink, End::Source))
    };
    let passed = tokio::try_join!(there, back);
    // The end that broke off first says why; the other one has only seen a stream break off.
    let (sent, stored) = tokio::join!(outcome(&mut source.receiver), outcome(&mut sink.receiver));
    match passed {
        Ok(_) => sent.and(stored),
        Err((End::Here, fault)) => Err(fault),
        Err((End::Source, fault)) => Err(sent.and(stored).err().unwrap_or(fault)),
        Err((End::Sink, fault)) => Err(stored.and(sent).err().unwrap_or(fault)),
    }
}

/// Who broke off.
enum End {
    Source,
    Sink,
    Here,
}

/// Why a stream is passed on no further.
#[derive(Debug)]
enum Broke {
    /// It can't be read.
    Read(StreamError),
    /// It can't be written.
    Write(StreamError),
    /// What was read is wrong.
    Content(Fault),
}

impl Broke {
    /// With the end that broke off: the stream comes from `from`, and goes to `to`.
    fn between(self, from: End, to: End) -> (End, Fault) {
        match self {
            Broke::Read(error) => (from, error.into()),
            Broke::Write(error) => (to, error.into()),
            Broke::Content(fault) => (End::Here, fault),
        }
    }
}

async fn pass(mut from: RecvStream, mut to: SendStream, pace: &Pace) -> Result<(), Broke> {
    loop {
        let read = tokio::select! {
            read = read_some(&mut from, READ, pace) => read.map_err(Broke::Read)?,
            // Its reader wants no more, and its writer learns of it.
            error = to.stopped() => return Err(Broke::Write(error)),
        };
        match read {
            Some(bytes) => to.write_all(bytes).await.map_err(Broke::Write)?,
            None => break,
        }
    }
    to.finish();
    Ok(())
}

/// Further streams, which are announced on the way from one link to another.
struct Streams<'a> {
    from: Link,
    to: Link,
    pace: Pace,
    compression: Compression,
    /// Those under way. Dropped, they break off.
    passing: &'a mut JoinSet<()>,
}

impl<'a> Streams<'a> {
    fn new(
        (from, to): (&Link, &Link),
        pace: &Pace,
        compression: Compression,
        passing: &'a mut JoinSet<()>,
    ) -> Streams<'a> {
        Streams { from: from.clone(), to: to.clone(), pace: pace.clone(), compression, passing }
    }

    /// Passes on the stream that has this number on the first link. Gives its number on the second one.
    async fn pass(&mut self, number: u64) -> Result<u64, Broke> {
        let from = self.from.claim(number).map_err(Broke::Content)?;
        let mut to = self.to.open_unidirectional().await.map_err(Broke::Write)?;
        to.compress(self.compression);
        let (number, pace) = (to.number(), self.pace.clone());
        self.passing.spawn(async move {
            // Both ends see that it breaks off, and one of them knows why.
            if let Err(broke) = pass(from, to, &pace).await {
                tracing::debug!(?broke, "a large file's stream broke off");
            }
        });
        while self.passing.try_join_next().is_some() {}
        Ok(number)
    }
}

/// Passes the sender's records on. The numbers of streams are those of the other link then.
async fn pass_flow(
    mut from: RecvStream,
    mut to: SendStream,
    mut streams: Streams<'_>,
    pace: &Pace,
) -> Result<(), Broke> {
    let mut records = Records::default();
    while let Some(bytes) = read_some(&mut from, READ, pace).await.map_err(Broke::Read)? {
        let (mut bytes, mut out) = (&bytes[..], Vec::with_capacity(bytes.len()));
        while let Some((kind, body)) = records.next(&mut bytes).map_err(malformed)? {
            if !matches!(kind, Record::BESIDE | Record::LARGE) {
                put(kind, body, &mut out);
                continue;
            }
            let record = match Record::decode(kind, body).map_err(malformed)? {
                Record::Beside { entry, stream } => Record::Beside { entry, stream: streams.pass(stream).await? },
                Record::Large { entry, stream, parts } => {
                    let (stream, parts) = (streams.pass(stream).await?, streams.pass(parts).await?);
                    Record::Large { entry, stream, parts }
                }
                other => other,
            };
            record.encode(&mut out);
        }
        to.write_all(out.into()).await.map_err(Broke::Write)?;
    }
    to.finish();
    Ok(())
}

fn malformed(error: Malformed) -> Broke {
    Broke::Content(Fault::peer(Code::BadMessage, format!("a server sent {error}")))
}

/// A record as it came.
fn put(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    let (head, length) = frame(kind, body.len());
    out.extend_from_slice(&head[..length]);
    out.extend_from_slice(body);
}

/// Passes the receiver's answers on, and looks at them.
async fn pass_answers(
    mut from: RecvStream,
    mut to: SendStream,
    mut streams: Streams<'_>,
    listener: &mut TreeListener<'_>,
) -> Result<(), Broke> {
    let mut records = Records::default();
    while let Some(bytes) = read_some(&mut from, READ, &Pace::default()).await.map_err(Broke::Read)? {
        let (mut bytes, mut out) = (&bytes[..], Vec::with_capacity(bytes.len()));
        while let Some((kind, body)) = records.next(&mut bytes).map_err(malformed)? {
            match Answer::decode(kind, body).map_err(malformed)? {
                Answer::Have { entry, have } => {
                    let mut have: Have = parsed(have)?;
                    if let Some(digests) = &mut have.digests {
                        *digests = streams.pass(*digests).await?;
                    }
                    if let Some(old) = &mut have.old {
                        old.sums = streams.pass(old.sums).await?;
                    }
                    let json = serde_json::to_vec(&have).unwrap_or_default();
                    Answer::Have { entry, have: &json }.encode(&mut out);
                    continue;
                }
                Answer::Problem { fault } => listener(TreeUpdate::Event(TreeEvent::Problem(parsed(fault)?))),
                Answer::Stored { files, bytes } => {
                    let mut moving = Moving::default();
                    (moving.files, moving.moved) = (files, bytes);
                    listener(TreeUpdate::Moving(&moving));
                }
                _ => {}
            }
            put(kind, body, &mut out);
        }
        to.write_all(out.into()).await.map_err(Broke::Write)?;
    }
    to.finish();
    Ok(())
}

fn parsed<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Broke> {
    let wrong = |error| Fault::peer(Code::BadMessage, format!("an answer is not understood: {error}"));
    serde_json::from_slice(json).map_err(|error| Broke::Content(wrong(error)))
}
