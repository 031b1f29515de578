//! Looking at the server's files and changing their names: `files`, both ends.

use std::ffi::OsString;
use std::path::PathBuf;

use unglue_host::store::{Store, StoreError};
use unglue_link::Link;
use unglue_proto::message::Request;
use unglue_proto::message::files::{Done, FileEntry, Files, FromServer, Outcome, Verb};
use unglue_proto::{Code, Fault, Octets, Side};

use crate::ops::{Control, ControlSender, new_id};

/// Entries that are looked at in one go.
const ENTRIES: usize = 512;

/// Asks a server.
pub(crate) async fn ask(link: &Link, verb: Verb, mut entry: impl FnMut(FileEntry) + Send) -> Result<Done, Fault> {
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    sender.send(&Request::Files(Files { id: new_id(), verb, require: Vec::new() })).await?;
    loop {
        match receiver.expect().await? {
            FromServer::Entry(found) => entry(found),
            FromServer::Outcome(Outcome::Done(done)) => return Ok(done),
            FromServer::Outcome(Outcome::Failed(fault)) | FromServer::Refused(fault) => {
                return Err(fault.on(Side::Server));
            }
            FromServer::Outcome(Outcome::Unknown(unknown)) => {
                let what = format!("the server reports an outcome that this version doesn't know: {}", unknown.kind);
                return Err(Fault::peer(Code::Unsupported, what));
            }
            FromServer::Unknown(unknown) => tracing::debug!(kind = unknown.kind, "an unknown event is ignored"),
        }
    }
}

/// A verb's name and path, for the log.
pub(crate) fn described(verb: &Verb) -> (&'static str, Octets) {
    match verb {
        Verb::List(at) => ("list", at.path.clone()),
        Verb::Stat(at) => ("stat", at.path.clone()),
        Verb::Make(make) => ("make", make.path.clone()),
        Verb::Move(move_) => ("move", move_.path.clone()),
        Verb::Remove(remove) => ("remove", remove.path.clone()),
        Verb::Hash(at) => ("hash", at.path.clone()),
        Verb::Unknown(_) => ("unknown", Octets::default()),
    }
}

/// Does what a client asks for.
pub(crate) async fn serve(store: &Store, verb: Verb, control: Control) -> Result<Done, Fault> {
    let Control { mut sender, receiver: _listener } = control;
    let result = act(store, verb, &mut sender).await;
    let outcome = match &result {
        Ok(done) => Outcome::Done(done.clone()),
        Err(fault) => Outcome::Failed(fault.clone()),
    };
    sender.send_final(&FromServer::Outcome(outcome)).await?;
    result
}

async fn act(store: &Store, verb: Verb, sender: &mut ControlSender) -> Result<Done, Fault> {
    let path = |octets: Octets| PathBuf::from(OsString::from(octets));
    let counted = |entries: Result<u64, StoreError>| Ok(Done { entries: entries?, ..Done::default() });
    let owned = store.clone();
    match verb {
        Verb::List(at) => return list(store, path(at.path), sender).await,
        Verb::Stat(at) => {
            let entry = store.work(move || owned.look_at(&path(at.path))).await?.map_err(Fault::from)?;
            sender.send(&FromServer::Entry(entry)).await?;
            Ok(Done { entries: 1, ..Done::default() })
        }
        Verb::Make(make) => counted(store.work(move || owned.make_directory(&path(make.path), make.parents)).await?),
        Verb::Move(names) => {
            let moved = store.work(move || owned.rename(&path(names.path), &path(names.to))).await?;
            counted(moved.map(|()| 1))
        }
        Verb::Remove(what) => counted(store.work(move || owned.remove(&path(what.path), what.recursive)).await?),
        Verb::Hash(at) => {
            let tally = store.work(move || owned.digest(&path(at.path))).await?.map_err(Fault::from)?;
            Ok(Done { entries: 1, blake3: Some(tally.blake3), bytes: Some(tally.bytes) })
        }
        Verb::Unknown(unknown) => {
            let what = format!("this version of unglue doesn't know how to {:?} a file", unknown.kind);
            Err(Fault::user(Code::Unsupported, what).advise("nothing was done; update the server"))
        }
    }
}

async fn list(store: &Store, path: PathBuf, sender: &mut ControlSender) -> Result<Done, Fault> {
    let owned = store.clone();
    let mut count = 0;
    let mut entries = match store.work(move || owned.entries(&path)).await?.map_err(Fault::from)? {
        Ok(entries) => entries,
        Err(entry) => {
            sender.send(&FromServer::Entry(entry)).await?;
            return Ok(Done { entries: 1, ..Done::default() });
        }
    };
    while !entries.is_empty() {
        let (rest, next) = store
            .work(move || {
                let next = entries.next(ENTRIES);
                (entries, next)
            })
            .await?;
        entries = rest;
        for entry in next.map_err(Fault::from)? {
            sender.send(&FromServer::Entry(entry)).await?;
            count += 1;
        }
    }
    Ok(Done { entries: count, ..Done::default() })
}
