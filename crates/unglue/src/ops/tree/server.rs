//! The server's half.

use std::ffi::OsString;
use std::path::PathBuf;

use unglue_host::store::Store;
use unglue_link::Link;
use unglue_proto::message::Compress;
use unglue_proto::message::tree::{Accepted, FromServer, Outcome, Summary, Tree, Way};
use unglue_proto::{Code, Fault};

use super::{Pace, receiver, sender};
use crate::ops::slots::Slots;
use crate::ops::{Control, ControlSender, turn_down};

/// Serves a transfer of a tree, to its end.
pub(crate) async fn serve(
    link: &Link,
    store: &Store,
    slots: &Slots,
    tree: Tree,
    control: Control,
) -> Result<Summary, Fault> {
    // The client may give the transfer up by ending its direction's stream, which the streams of data show as well.
    let Control { mut sender, receiver: _listener } = control;
    let _slot = match slots.take() {
        Ok(slot) => slot,
        Err(fault) => {
            drop(link.claim(tree.data));
            return turn_down(sender, fault).await;
        }
    };
    let result = match &tree.way {
        Way::Push => receive(link, store, tree, &mut sender).await,
        Way::Pull => send(link, store, tree, &mut sender).await,
        Way::Unknown(name) => Err(Fault::user(Code::Unsupported, format!("a tree can't be moved {name:?}"))),
    };
    let outcome = match &result {
        Ok(summary) => Outcome::Done(summary.clone()),
        Err(fault) => Outcome::Failed(fault.clone()),
    };
    sender.send_final(&FromServer::Outcome(outcome)).await?;
    result
}

async fn receive(link: &Link, store: &Store, tree: Tree, sender: &mut ControlSender) -> Result<Summary, Fault> {
    let flow = link.claim(tree.data)?;
    let to = tree.to.ok_or_else(|| Fault::peer(Code::BadMessage, "a tree is pushed, and no path says where to"))?;
    let (into, path) = (store.clone(), PathBuf::from(OsString::from(to)));
    let (layout, options) = (tree.layout, tree.options);
    let sink = store.work(move || into.tree_sink(&path, &layout, options)).await??;
    let answers = link.open_unidirectional().await?;
    sender.send(&FromServer::Accepted(Accepted { data: answers.number() })).await?;
    Ok(receiver::receive(link, store, sink.announcing(), (flow, answers, &Pace::default()), Box::new(|_| ())).await?)
}

async fn send(link: &Link, store: &Store, tree: Tree, sender: &mut ControlSender) -> Result<Summary, Fault> {
    let answers = link.claim(tree.data)?;
    let compression = Compress::asked(tree.compress.as_ref());
    let paths: Vec<PathBuf> = tree.sources.into_iter().map(|path| PathBuf::from(OsString::from(path))).collect();
    let (from, options) = (store.clone(), tree.options);
    let source = store.work(move || from.tree_source(&paths, options)).await??;
    let mut flow = link.open_unidirectional().await?;
    flow.compress(compression);
    sender.send(&FromServer::Accepted(Accepted { data: flow.number() })).await?;
    let answers = sender::Answers::Here(answers);
    Ok(sender::send(link, store, source, (flow, answers, &Pace::default()), true, Box::new(|_| ())).await?)
}
