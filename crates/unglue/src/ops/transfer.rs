//! Moving one file: `put` and `get`, both ends of both.
//!
//! The four halves are two functions seen twice: who has the source runs `flow::send_file`, who has the destination
//! runs a `flow::Landing`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use unglue_host::store::{Source, Store, StoreError, WriteOptions};
use unglue_link::{Link, RecvStream};
use unglue_proto::message::transfer::{File, FromClient, FromServer, Get, Outcome, Put};
use unglue_proto::message::{Request, Tally};
use unglue_proto::{Code, Fault, Side};

use super::flow::{self, Landing};
use super::{Control, Listener, Speaker, new_id, unbroken};

/// What holds at the destination when a link ended before the outcome came.
const UNKNOWN_PUT: &str =
    "the server holds the old file or the new one, whole, and it isn't known which: copy it again";
/// What holds here when a link ended before a file was whole.
const CUT_GET: &str = "nothing is in place here, and what was there still is: copy it again";

/// How a transfer goes on: called with the bytes moved so far and the size that the source had at the start.
pub type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// What a transfer keeps, and who hears of it.
#[derive(Default)]
pub struct TransferOptions {
    /// Keep the time of the last modification and the exact mode, as `scp -p` does.
    pub preserve: bool,
    /// Called as it goes on.
    pub progress: Option<Progress>,
}

/// Client: sends the file `from` of a local store to the path `to` on the server.
///
/// # Errors
/// Nothing is in place on the server, or (for [`Code::LinkLost`]) that isn't known.
pub(crate) async fn put(
    link: &Link,
    local: &Store,
    from: &Path,
    to: &OsStr,
    options: TransferOptions,
) -> Result<Tally, Fault> {
    let source = open(local, from).await?;
    let control = link.open_bidirectional().await?;
    let Control { mut speaker, mut listener } = Control::new(control);
    let data = link.open_unidirectional().await?;
    let size = source.size();
    let put = Put {
        id: new_id(),
        path: to.into(),
        name: from.file_name().unwrap_or_default().into(),
        size,
        mode: source.mode(),
        keep_mode: options.preserve,
        mtime_ns: options.preserve.then(|| source.mtime_ns()),
        data: data.number(),
        require: if options.preserve { vec!["mtime_ns".into()] } else { Vec::new() },
    };
    speaker.say(&Request::Put(put)).await?;
    let mut progress = reporter(options.progress, size);
    match flow::send_file(source, data, &mut progress).await {
        // A server that has failed already listens no more; its outcome says why.
        Ok(tally) => drop(speaker.say(&FromClient::Sent(tally)).await),
        // The server gave the data up: it has said why, or the link has ended.
        Err(fault) if fault.blame == unglue_proto::Blame::Peer || fault.code == Code::LinkLost => {}
        Err(fault) => {
            // Our own failure counts, whether the server hears of it or not.
            let _ = speaker.conclude(&FromClient::Failed(fault.clone())).await;
            return Err(fault);
        }
    }
    speaker.finish();
    outcome(&mut listener).await.map_err(|fault| advised(fault, UNKNOWN_PUT))
}

/// Server: receives a file.
pub(crate) async fn serve_put(link: &Link, store: &Store, put: Put, control: Control) -> Result<Tally, Fault> {
    let Control { speaker, mut listener } = control;
    let result = receive(link, store, put, &mut listener).await;
    conclude(speaker, result).await
}

async fn receive(link: &Link, store: &Store, put: Put, listener: &mut Listener) -> Result<Tally, Fault> {
    let mut data = link.claim(put.data)?;
    let store = store.clone();
    let landing = Landing::start(move || {
        let path = PathBuf::from(OsString::from(put.path));
        let path = store.destination(&path, &OsString::from(put.name))?;
        let options = WriteOptions {
            mode: put.mode,
            keep_mode: put.keep_mode,
            mtime_ns: put.mtime_ns,
            size: put.size,
            source: None,
        };
        Ok(store.write(&path, options)?)
    });
    land(landing, &mut data, |_| (), async {
        loop {
            match listener.expect().await? {
                FromClient::Sent(tally) => return Ok(tally),
                FromClient::Failed(fault) => return Err(fault),
                FromClient::Unknown(_) => {}
            }
        }
    })
    .await
}

/// Client: fetches the file `from` of the server to the path `to` in a local store.
///
/// # Errors
/// The destination is as it was.
pub(crate) async fn get(
    link: &Link,
    from: &OsStr,
    local: &Store,
    to: &Path,
    options: TransferOptions,
) -> Result<Tally, Fault> {
    let name = Path::new(from).file_name().unwrap_or_default().to_owned();
    let (mut listener, file, mut data) = unbroken(ask_for(link.clone(), from.to_owned())).await?;
    let (local, to, preserve) = (local.clone(), to.to_owned(), options.preserve);
    let mut progress = reporter(options.progress, file.size);
    let landing = Landing::start(move || {
        let path = local.destination(&to, &name)?;
        let mtime_ns = preserve.then_some(file.mtime_ns);
        let options = WriteOptions { mode: file.mode, keep_mode: preserve, mtime_ns, size: file.size, source: None };
        Ok(local.write(&path, options)?)
    });
    let landed = land(landing, &mut data, &mut progress, outcome(&mut listener)).await;
    landed.map_err(|fault| advised(fault, CUT_GET))
}

/// Sends the request and takes the stream that the answer names.
async fn ask_for(link: Link, from: OsString) -> Result<(Listener, File, RecvStream), Fault> {
    let Control { speaker, mut listener } = Control::new(link.open_bidirectional().await?);
    let path = from.as_os_str().into();
    speaker.conclude(&Request::Get(Get { id: new_id(), path, require: Vec::new() })).await?;
    match event(&mut listener).await? {
        FromServer::File(file) => {
            let data = link.claim(file.data)?;
            Ok((listener, file, data))
        }
        other => {
            ended(other)?;
            Err(Fault::peer(Code::BadMessage, "the server says that a file is sent which it never opened"))
        }
    }
}

/// Server: sends a file.
pub(crate) async fn serve_get(link: &Link, store: &Store, get: Get, control: Control) -> Result<Tally, Fault> {
    let Control { mut speaker, listener: _listener } = control;
    let result = send(link, store, get, &mut speaker).await;
    conclude(speaker, result).await
}

async fn send(link: &Link, store: &Store, get: Get, speaker: &mut Speaker) -> Result<Tally, Fault> {
    let source = open(store, &PathBuf::from(OsString::from(get.path))).await?;
    let data = link.open_unidirectional().await?;
    let file = File { data: data.number(), size: source.size(), mode: source.mode(), mtime_ns: source.mtime_ns() };
    speaker.say(&FromServer::File(file)).await?;
    flow::send_file(source, data, |_| ()).await
}

/// Receives the stream, then hears what the sender sent, then puts the file in place if both agree.
async fn land(
    landing: Landing,
    data: &mut RecvStream,
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, Fault>>,
) -> Result<Tally, Fault> {
    let received = landing.receive(data, progress).await;
    if landing.has_failed() {
        return Err(landing.discard().await.unwrap_or_else(|| Fault::us("a file was not written, for no reason")));
    }
    // A sender that gave up says why in its own words.
    let sent = match (received, sent.await) {
        (Ok(()), Ok(tally)) => Ok(tally),
        (_, Err(fault)) | (Err(fault), _) => Err(fault),
    };
    match sent {
        Ok(tally) => landing.settle(tally).await,
        Err(fault) => {
            landing.discard().await;
            Err(fault)
        }
    }
}

/// Says the last message of a server's half.
pub(crate) async fn conclude(speaker: Speaker, result: Result<Tally, Fault>) -> Result<Tally, Fault> {
    let outcome = match &result {
        Ok(tally) => Outcome::Done(tally.clone()),
        Err(fault) => Outcome::Failed(fault.clone()),
    };
    speaker.conclude(&FromServer::Outcome(outcome)).await?;
    result
}

async fn outcome(listener: &mut Listener) -> Result<Tally, Fault> {
    ended(event(listener).await?)
}

/// The next message that this version knows.
async fn event(listener: &mut Listener) -> Result<FromServer, Fault> {
    loop {
        match listener.expect().await? {
            FromServer::Unknown(_) => {}
            event => return Ok(event),
        }
    }
}

/// What a final message says.
fn ended(message: FromServer) -> Result<Tally, Fault> {
    match message {
        FromServer::Outcome(Outcome::Done(tally)) => Ok(tally),
        FromServer::Outcome(Outcome::Failed(fault)) | FromServer::Refused(fault) => Err(fault.on(Side::Server)),
        FromServer::Outcome(Outcome::Unknown(unknown)) => {
            let what = format!("the transfer ended as {:?}, which this version doesn't know", unknown.kind);
            Err(Fault::peer(Code::Unsupported, what)
                .advise("whether the file is in place is not known: look, or copy it again"))
        }
        FromServer::File(_) | FromServer::Unknown(_) => {
            Err(Fault::peer(Code::BadMessage, "the server opened a file a second time"))
        }
    }
}

/// What holds where no outcome came: the link was lost, or the server gave everything up because it ends.
fn advised(fault: Fault, advice: &str) -> Fault {
    match matches!(fault.code, Code::LinkLost | Code::Cancelled) && fault.advice.is_empty() {
        true => fault.advise(advice),
        false => fault,
    }
}

async fn open(store: &Store, path: &Path) -> Result<Source, Fault> {
    let (store, path) = (store.clone(), path.to_owned());
    let opened: Result<Result<Source, StoreError>, _> = spawn_blocking(move || store.read(&path)).await;
    Ok(opened.map_err(|error| Fault::us(format!("a file's thread ended badly: {error}")))??)
}

fn reporter(mut progress: Option<Progress>, total: u64) -> impl FnMut(u64) {
    move |done| {
        if let Some(progress) = &mut progress {
            progress(done, total);
        }
    }
}
