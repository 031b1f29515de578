//! From one server to another through this machine.

use std::ffi::OsStr;
use std::path::PathBuf;

use unglue_host::store::tree::{Moving, TreeEvent};
use unglue_link::{RecvStream, SendStream};
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
    let passed = tokio::try_join!(
        pass(flow_in, flow_out, &tree.pace, |_| Ok(())),
        pass(answers_in, answers_out, &unpaced, |bytes| watch.look(bytes))
    );
    // Whoever failed reports the reason; the other end has only seen a stream break off.
    let (sent, stored) = tokio::join!(outcome(&mut source.receiver), outcome(&mut sink.receiver));
    match (sent, stored, passed) {
        (Ok(_), Ok(stored), Ok(_)) => Ok(stored),
        (Err(fault), _, _) if !is_echo(&fault) => Err(fault),
        (_, Err(fault), _) | (Err(fault), _, _) => Err(fault),
        (_, _, Err(fault)) => Err(fault),
    }
}

/// Whether a fault only says that the other end broke off.
fn is_echo(fault: &Fault) -> bool {
    fault.code == Code::Cancelled
}

async fn pass(
    mut from: RecvStream,
    mut to: SendStream,
    pace: &Pace,
    mut look: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    while let Some(bytes) = read_some(&mut from, READ, pace).await? {
        look(&bytes)?;
        to.write_all(bytes).await?;
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
