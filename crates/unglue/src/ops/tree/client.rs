//! The client's halves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use unglue_host::store::Store;
use unglue_link::Link;
use unglue_proto::message::tree::{Accepted, FromServer, Outcome, Summary, Tree, Way};
use unglue_proto::message::{Compress, Request};
use unglue_proto::{Code, Fault, Side};

use super::{Broken, TreeListener, TreeMove, receiver, sender};
use crate::ops::{Control, ControlReceiver, new_id};

/// What holds when the link ended under way.
const CUT: &str = "what was stored by then is in place and whole; run it again to go on";

/// Sends the `sources` of a store to the path `to` on the server.
pub(crate) async fn push(
    link: &Link,
    from: (&Store, &[PathBuf]),
    to: &OsStr,
    tree: &TreeMove,
    mut listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    let mut tree = tree.clone();
    loop {
        match push_once(link, from, to, &tree, Box::new(&mut listener)).await {
            Err(fault) => tree = simpler(fault, &tree)?,
            pushed => return pushed,
        }
    }
}

/// The same transfer for a server that doesn't know what files may wait for. It has done nothing then.
///
/// # Errors
/// The fault, if it is another one.
pub(super) fn simpler(fault: Fault, tree: &TreeMove) -> Result<TreeMove, Fault> {
    let mut tree = tree.clone();
    match fault.code == Code::Unsupported {
        true if tree.options.delta_small => {
            tracing::debug!(why = %fault.what, "files that are not large are sent whole");
            tree.options.delta_small = false;
        }
        true if tree.options.waits() => {
            tracing::debug!(why = %fault.what, "large files are sent whole");
            (tree.options.delta, tree.options.resume) = (false, false);
        }
        _ => return Err(fault),
    }
    Ok(tree)
}

async fn push_once(
    link: &Link,
    (store, sources): (&Store, &[PathBuf]),
    to: &OsStr,
    tree: &TreeMove,
    listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    let (from, paths, options) = (store.clone(), sources.to_vec(), tree.options.clone());
    let source = store.work(move || from.tree_source(&paths, options)).await??;
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    let mut flow = link.open_unidirectional().await?;
    flow.compress(tree.compression);
    let request = Tree { to: Some(to.into()), ..request(tree, Way::Push, flow.number()) };
    sender.send(&Request::Tree(Box::new(request))).await?;
    // The records don't wait for the server's first message.
    let messages = &mut receiver;
    let answers = sender::Answers::Coming(Box::pin(async move {
        let accepted = accepted(messages).await.map_err(|fault| fault.on(Side::Server))?;
        link.claim(accepted.data)
    }));
    let sent = sender::send(link, store, source, (flow, answers, &tree.pace), false, listener).await;
    conclude(sent, &mut receiver).await
}

/// Fetches the `sources` of the server to the path `to` of a store.
pub(crate) async fn pull(
    link: &Link,
    sources: &[PathBuf],
    to: (&Store, &Path),
    tree: &TreeMove,
    mut listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    let mut tree = tree.clone();
    loop {
        match pull_once(link, sources, to, &tree, Box::new(&mut listener)).await {
            Err(fault) => tree = simpler(fault, &tree)?,
            pulled => return pulled,
        }
    }
}

async fn pull_once(
    link: &Link,
    sources: &[PathBuf],
    (store, to): (&Store, &Path),
    tree: &TreeMove,
    listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    let (into, path, layout, options) = (store.clone(), to.to_owned(), tree.layout.clone(), tree.options.clone());
    let sink = store.work(move || into.tree_sink(&path, &layout, options)).await??;
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    let answers = link.open_unidirectional().await?;
    let sources = sources.iter().map(|source| source.as_os_str().into()).collect();
    let compress = Compress::request(tree.compression);
    let request = Tree { sources, compress, ..request(tree, Way::Pull, answers.number()) };
    sender.send(&Request::Tree(Box::new(request))).await?;
    let accepted = accepted(&mut receiver).await.map_err(|fault| fault.on(Side::Server))?;
    let flow = link.claim(accepted.data)?;
    let received = receiver::receive(link, store, sink, (flow, answers, &tree.pace), listener).await;
    conclude(received, &mut receiver).await
}

/// A request, apart from its paths.
pub(super) fn request(tree: &TreeMove, way: Way, data: u64) -> Tree {
    let options = &tree.options;
    let required = [
        ("atomic", options.atomic),
        ("delta", options.delta),
        ("delta_small", options.delta_small),
        ("resume", options.resume),
    ];
    Tree {
        id: new_id(),
        way,
        sources: Vec::new(),
        to: None,
        layout: tree.layout.clone(),
        options: tree.options.clone(),
        data,
        compress: None,
        // A server of before would replace one file after the other, or never say what it has.
        require: required.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect(),
    }
}

/// The server's first message.
pub(super) async fn accepted(receiver: &mut ControlReceiver) -> Result<Accepted, Fault> {
    loop {
        match receiver.expect().await? {
            FromServer::Accepted(accepted) => return Ok(accepted),
            FromServer::Outcome(Outcome::Failed(fault)) | FromServer::Refused(fault) => return Err(fault),
            FromServer::Outcome(_) => {
                return Err(Fault::peer(Code::BadMessage, "the server ended a transfer that it didn't begin"));
            }
            FromServer::Unknown(unknown) => tracing::debug!(kind = unknown.kind, "an unknown event is ignored"),
        }
    }
}

/// The server's last message.
pub(super) async fn outcome(receiver: &mut ControlReceiver) -> Result<Summary, Fault> {
    loop {
        match receiver.expect().await? {
            FromServer::Outcome(Outcome::Done(summary)) => return Ok(summary),
            FromServer::Outcome(Outcome::Failed(fault)) | FromServer::Refused(fault) => {
                return Err(fault.on(Side::Server));
            }
            FromServer::Outcome(Outcome::Unknown(unknown)) => {
                let what = format!("the server reports an outcome that this version doesn't know: {}", unknown.kind);
                return Err(Fault::peer(Code::Unsupported, what));
            }
            FromServer::Accepted(_) => {
                return Err(Fault::peer(Code::BadMessage, "the server accepted a transfer twice"));
            }
            FromServer::Unknown(unknown) => tracing::debug!(kind = unknown.kind, "an unknown event is ignored"),
        }
    }
}

/// Joins what this end has seen with what the server reports.
async fn conclude(ours: Result<Summary, Broken>, receiver: &mut ControlReceiver) -> Result<Summary, Fault> {
    let advised = |fault: Fault| match fault.code {
        Code::LinkLost if fault.advice.is_empty() => fault.advise(CUT),
        Code::LinkLost => Fault { advice: format!("{}; {CUT}", fault.advice), ..fault },
        _ => fault,
    };
    match ours {
        Ok(ours) => {
            let theirs = outcome(receiver).await.map_err(advised)?;
            match ours.blake3 == theirs.blake3 {
                true => Ok(ours),
                false => Err(Fault::peer(
                    Code::Mismatch,
                    format!("this end has the digest {}, and the server {}", ours.blake3, theirs.blake3),
                )
                .advise("run it again: what arrived can't be trusted")),
            }
        }
        Err(Broken::Here(fault)) => Err(fault),
        // The server has sent the reason, or the link has ended.
        Err(Broken::Stream(error)) => match outcome(receiver).await {
            Err(fault) => Err(advised(fault)),
            Ok(_) => Err(advised(error.into())),
        },
    }
}
