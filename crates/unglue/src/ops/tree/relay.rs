//! From one server to another through this machine.

use std::ffi::OsStr;
use std::path::PathBuf;

use unglue_host::store::tree::{Moving, TreeEvent};
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::message::tree::{Summary, Tree, Way};
use unglue_proto::message::{Compress, Request};
use unglue_proto::tree::{Answer, Records};
use unglue_proto::{Code, Fault, Side};

use super::client::{accepted, outcome, request};
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
    // Numbers of streams mean nothing on another link.
    tree.options.beside = false;
    let mut sink = Control::new(to.link().open_bidirectional().await?);
    let mut flow_out = to.link().open_unidirectional().await?;
    flow_out.compress(tree.compression);
    let asked = Tree { to: Some(path.into()), ..request(&tree, Way::Push, flow_out.number()) };
    sink.sender.send(&Request::Tree(Box::new(asked))).await?;
    let accepted_there = accepted(&mut sink.receiver).await.map_err(|fault| fault.on(Side::Server))?;
    let answers_in = to.link().claim(accepted_there.data)?;

    let mut source = Control::new(from.link().open_bidirectional().await?);
    let answers_out = from.link().open_unidirectional().await?;
    let sources = sources.iter().map(|source| source.as_os_str().into()).collect();
    let compress = Compress::request(tree.compression);
    let asked = Tree { sources, compress, ..request(&tree, Way::Pull, answers_out.number()) };
    source.sender.send(&Request::Tree(Box::new(asked))).await?;
    let accepted_here = accepted(&mut source.receiver).await.map_err(|fault| fault.on(Side::Server))?;
    let flow_in = from.link().claim(accepted_here.data)?;

    let mut watch = Watch { records: Records::default(), listener: &mut listener };
    let unpaced = Pace::default();
    let there = async {
        let passed = pass(flow_in, flow_out, &tree.pace, |_| Ok(())).await;
        passed.map_err(|broke| broke.between(End::Source, End::Sink))
    };
    let back = async {
        let passed = pass(answers_in, answers_out, &unpaced, |bytes| watch.look(bytes)).await;
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

async fn pass(
    mut from: RecvStream,
    mut to: SendStream,
    pace: &Pace,
    mut look: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Broke> {
    while let Some(bytes) = read_some(&mut from, READ, pace).await.map_err(Broke::Read)? {
        look(&bytes).map_err(Broke::Content)?;
        to.write_all(bytes).await.map_err(Broke::Write)?;
    }
    to.finish();
    Ok(())
}

/// Looks at the answers that go by.
struct Watch<'a, 'b> {
    records: Records,
    listener: &'a mut TreeListener<'b>,
}

impl Watch<'_, '_> {
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        let malformed = |error| Fault::peer(Code::BadMessage, format!("the receiver sent {error}"));
        while let Some((kind, body)) = self.records.next(&mut bytes).map_err(malformed)? {
            match Answer::decode(kind, body).map_err(malformed)? {
                Answer::Problem { fault } => {
                    let fault = serde_json::from_slice(fault).map_err(|error| {
                        Fault::peer(Code::BadMessage, format!("a problem is not understood: {error}"))
                    })?;
                    (self.listener)(TreeUpdate::Event(TreeEvent::Problem(fault)));
                }
                Answer::Stored { files, bytes } => {
                    let mut moving = Moving::default();
                    (moving.files, moving.moved) = (files, bytes);
                    (self.listener)(TreeUpdate::Moving(&moving));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
