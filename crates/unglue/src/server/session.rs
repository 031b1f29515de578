//! One authenticated connection: its operations, and its end.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::field::display;
use unglue_host::store::Store;
use unglue_identity::{Denial, Login, Principal};
use unglue_jobs::{Asking, Transfer};
use unglue_link::{Link, Peer};
use unglue_proto::message::{Request, Tally, exec, files, forward, transfer, tree};
use unglue_proto::{Code, Fault, Octets};

use super::connections::log_panic;
use super::grant::Grant;
use super::realm::Realm;
use super::{Leaving, Shared, Stage};
use crate::ops::exec::Runner;
use crate::ops::job::Jobs;
use crate::ops::{
    Control, ControlError, exec as running, files as looking, forward as forwarding, job as jobs, refuse,
    transfer as moving, tree as trees, turn_down, watch as watching,
};
use running::grant;

/// A connection's operations. Dropped, it ends them all.
pub(super) struct Session {
    context: Context,
    stage: watch::Receiver<Stage>,
    operations: JoinSet<()>,
    login: Option<Arc<Login>>,
}

/// What an operation needs.
#[derive(Clone)]
struct Context {
    link: Link,
    peer: Peer,
    principal: Arc<Principal>,
    shared: Arc<Shared>,
    grant: Arc<Grant>,
    leaving: Leaving,
    /// The fingerprint of a key that may run one command only.
    restricted: Option<Arc<str>>,
}

impl Session {
    pub(super) fn new(
        link: Link,
        peer: Peer,
        (principal, login): (Principal, Option<Login>),
        shared: Arc<Shared>,
        (realm, runner): (&Realm, Option<Runner>),
        stage: watch::Receiver<Stage>,
    ) -> Session {
        let grant = Arc::new(Grant::of(&principal, realm, runner));
        let principal = Arc::new(principal);
        let restricted = principal.policy.command.as_ref().and(principal.key.as_ref());
        let restricted = restricted.map(|key| key.fingerprint().to_string().into());
        let leaving = Leaving::new(stage.clone());
        let context = Context { link, peer, principal, shared, grant, leaving, restricted };
        Session { context, stage, operations: JoinSet::new(), login: login.map(Arc::new) }
    }

    /// Takes operations until the link ends, or the server does and they are done.
    pub(super) async fn run(mut self) {
        let link = self.context.link.clone();
        let mut stage = self.stage.clone();
        let mut leaving = false;
        let mut expelled = pin!(self.context.clone().expelled(self.login.take()));
        loop {
            tokio::select! {
                // What has arrived is taken before the end is looked at.
                biased;
                accepted = link.accept() => match accepted {
                    Ok(streams) => {
                        let context = self.context.clone();
                        self.operations.spawn(async move { context.operate(Control::new(streams)).await });
                    }
                    Err(_) => break,
                },
                Some(ended) = self.operations.join_next() => if let Err(error) = ended {
                    log_panic("operation", self.context.peer, error);
                    break;
                },
                denial = &mut expelled => {
                    tracing::warn!(event = "expelled", peer = %self.context.peer, why = %denial);
                    link.go_away(Code::Denied, "the server no longer accepts your key: it was removed or changed, or has expired");
                    break;
                }
                _ = stage.wait_for(|stage| *stage > Stage::Serving), if !leaving => {
                    leaving = true;
                    link.go_away(Code::GoingAway, "the server is stopping");
                }
            }
            if leaving && self.operations.is_empty() {
                break;
            }
        }
        // Whatever still runs loses its holder here, and its tree with it.
        self.operations.shutdown().await;
        // Slow clients get what operations left behind, as long as a leaving server waits at all.
        link.flushed().await;
        link.close();
        let ended = link.ended().await;
        tracing::info!(event = "closed", peer = %self.context.peer, why = %ended);
    }
}

impl Context {
    /// Waits until the principal may not stay; where the transport has authenticated it, for ever.
    async fn expelled(self, login: Option<Arc<Login>>) -> Denial {
        match login {
            Some(login) => self.shared.acceptor.expelled(self.peer, login, self.principal).await,
            None => std::future::pending().await,
        }
    }

    /// One operation, from its request to its last message.
    async fn operate(self, mut control: Control) {
        let request = match control.receiver.expect::<Request>().await {
            Ok(request) => request,
            Err(ControlError::Message(fault)) => return self.refuse("bad_request", fault, control).await,
            // The client has gone, or has cancelled the operation.
            Err(ControlError::Stream(why)) => return tracing::info!(event = "no_request", peer = %self.peer, %why),
        };
        let known = request.check_required();
        match request {
            Request::Exec(exec) => self.exec(*exec, known, control).await,
            Request::Put(put) => self.put(put, known, control).await,
            Request::Get(get) => self.get(get, known, control).await,
            Request::Tree(tree) => self.tree(*tree, known, control).await,
            Request::Files(files) => self.files(files, known, control).await,
            Request::Attach(_) | Request::Jobs(_) | Request::Signal(_) | Request::Remove(_) => {
                self.on_jobs(request, known, control).await;
            }
            Request::Connect(connect) => self.connect(connect, known, control).await,
            Request::Listen(listen) => self.listen(listen, known, control).await,
            Request::Waits(_) => self.waits(known, control).await,
            Request::Unknown(_) => {
                let fault = known.err().unwrap_or_else(|| Fault::us("an unknown request is known"));
                self.refuse("unknown_request", fault, control).await;
            }
        }
    }

    /// Answers a request that lacks what an operation needs.
    async fn refuse(&self, event: &str, fault: Fault, control: Control) {
        tracing::warn!(event, peer = %self.peer, why = %fault.what);
        // The client may have gone.
        let _ = refuse(control.sender, fault).await;
    }

    async fn exec(&self, exec: exec::Exec, known: Result<(), Fault>, control: Control) {
        let (id, program) = (exec.id.clone(), exec.argv.first().cloned().unwrap_or_default());
        let stdin = exec.stdin;
        tracing::info!(event = "exec", peer = %self.peer, user = %self.principal.user, id = %safe(&id), %program, arguments = exec.argv.len());
        // A command that outlives its link goes on without its client.
        let abandoned = if exec.lease.is_kill() { "exec_abandoned" } else { "exec_left" };
        let unfinished = Unfinished::new(abandoned, self.peer, &id);
        let granted =
            known.and_then(|()| Ok((self.grant.runner()?, grant(&self.principal.policy, &self.shared.shell, exec)?)));
        let result = match granted {
            Ok((runner, exec)) => running::serve(&self.link, runner, self.jobs(), exec, control).await,
            Err(fault) => {
                self.refuse_data(stdin);
                running::refuse(control.sender, fault).await
            }
        };
        unfinished.finish();
        match result {
            Ok(report) => {
                let outcome = serde_json::to_string(&report.outcome).unwrap_or_default();
                tracing::info!(event = "exec_ended", peer = %self.peer, id = %safe(&id), %outcome, wall_us = report.wall_us);
            }
            Err(fault) => {
                tracing::info!(event = abandoned, peer = %self.peer, id = %safe(&id), why = %fault.what);
            }
        }
    }

    async fn put(&self, put: transfer::Put, known: Result<(), Fault>, control: Control) {
        let (id, path, name) = (put.id.clone(), put.path.clone(), put.name.clone());
        let unfinished = Unfinished::new("put_abandoned", self.peer, &id);
        let result = match known.and_then(|()| self.store(&id)) {
            Ok((store, _claim)) => moving::serve_put(&self.link, store, self.grant.slots(), put, control).await,
            Err(fault) => {
                self.refuse_data(Some(put.data));
                turn_down(control.sender, fault).await
            }
        };
        unfinished.finish();
        self.log_transfer("put", &id, &path, Some(&name), &result);
    }

    async fn get(&self, get: transfer::Get, known: Result<(), Fault>, control: Control) {
        let (id, path) = (get.id.clone(), get.path.clone());
        let unfinished = Unfinished::new("get_abandoned", self.peer, &id);
        let result = match known.and_then(|()| self.store(&id)) {
            Ok((store, _claim)) => moving::serve_get(&self.link, store, self.grant.slots(), get, control).await,
            Err(fault) => turn_down(control.sender, fault).await,
        };
        unfinished.finish();
        self.log_transfer("get", &id, &path, None, &result);
    }

    async fn tree(&self, tree: tree::Tree, known: Result<(), Fault>, control: Control) {
        let (id, way) = (tree.id.clone(), tree.way.name().to_owned());
        let path = tree.to.clone().or_else(|| tree.sources.first().cloned()).unwrap_or_default();
        let unfinished = Unfinished::new("tree_abandoned", self.peer, &id);
        let result = match known.and_then(|()| self.store(&id)) {
            Ok((store, _claim)) => trees::serve(&self.link, store, self.grant.slots(), tree, control).await,
            Err(fault) => {
                self.refuse_data(Some(tree.data));
                turn_down(control.sender, fault).await
            }
        };
        unfinished.finish();
        let (peer, user, id) = (self.peer, &self.principal.user, safe(&id));
        match result {
            Ok(done) => {
                let (entries, files, bytes, problems) = (done.entries, done.files, done.bytes, done.problems);
                let (deleted, blake3) = (done.deleted, done.blake3);
                tracing::info!(event = "tree", %peer, %user, %id, %way, %path, entries, files, bytes, deleted, problems, %blake3);
            }
            Err(fault) => {
                tracing::warn!(event = "tree", %peer, %user, %id, %way, %path, failed = %fault.what);
            }
        }
    }

    async fn files(&self, files: files::Files, known: Result<(), Fault>, control: Control) {
        let (id, verb) = (files.id.clone(), looking::described(&files.verb));
        let result = match known.and_then(|()| self.store(&id)) {
            Ok((store, _claim)) => looking::serve(store, files.verb, control).await,
            Err(fault) => turn_down(control.sender, fault).await,
        };
        let (peer, user, id) = (self.peer, &self.principal.user, safe(&id));
        let (verb, path) = verb;
        match result {
            Ok(done) => tracing::info!(event = "files", %peer, %user, %id, verb, %path, entries = done.entries),
            Err(fault) => tracing::warn!(event = "files", %peer, %user, %id, verb, %path, failed = %fault.what),
        }
    }

    /// What is asked about jobs: who may run commands may see to them.
    async fn on_jobs(&self, request: Request, known: Result<(), Fault>, control: Control) {
        let (event, about) = (request.kind().to_owned(), self.jobs());
        let (job, stdin) = match &request {
            Request::Attach(attach) => (Some(&attach.job), attach.stdin),
            Request::Signal(signal) => (Some(&signal.job), None),
            Request::Remove(remove) => (Some(&remove.job), None),
            _ => (None, None),
        };
        let job = job.map(|job| safe(job).to_string());
        let done = match known.and_then(|()| self.grant.runner().map(drop)) {
            Err(fault) => {
                self.refuse_data(stdin);
                turn_down(control.sender, fault).await
            }
            Ok(()) => match request {
                Request::Attach(attach) => jobs::serve_attach(&self.link, about, attach, control).await.map(drop),
                Request::Jobs(jobs) => jobs::serve_jobs(about, jobs, control).await,
                Request::Signal(signal) => jobs::serve_signal(about, signal, control).await,
                Request::Remove(remove) => jobs::serve_remove(about, remove, control).await,
                other => Err(Fault::us(format!("{:?} is not a request about jobs", other.kind()))),
            },
        };
        let why = done.err().map(|fault| fault.what);
        tracing::info!(event, peer = %self.peer, user = %self.principal.user, job, why);
    }

    async fn connect(&self, connect: forward::Connect, known: Result<(), Fault>, control: Control) {
        let (peer, user, to) = (self.peer, &self.principal.user, place(&connect.to));
        let result = match known.and_then(|()| self.grant.ports()) {
            Ok(ports) => forwarding::serve_connect(&self.link, ports, connect, control).await,
            Err(fault) => {
                self.refuse_data(Some(connect.data));
                turn_down(control.sender, fault).await
            }
        };
        match result {
            Ok(carried) => {
                tracing::info!(event = "connect", %peer, %user, %to, sent = carried.sent, received = carried.received)
            }
            Err(fault) => tracing::info!(event = "connect", %peer, %user, %to, why = %fault.what),
        }
    }

    async fn listen(&self, listen: forward::Listen, known: Result<(), Fault>, control: Control) {
        let (peer, user, at) = (self.peer, &self.principal.user, place(&listen.at));
        tracing::info!(event = "listen", %peer, %user, %at);
        let result = match known.and_then(|()| self.grant.ports()) {
            Ok(ports) => forwarding::serve_listen(&self.link, ports, listen, control).await,
            Err(fault) => turn_down(control.sender, fault).await,
        };
        match result {
            Ok(connections) => tracing::info!(event = "listen_ended", %peer, %user, %at, connections),
            Err(fault) => tracing::info!(event = "listen_ended", %peer, %user, %at, why = %fault.what),
        }
    }

    /// How long this link has waited: it is the client's own.
    async fn waits(&self, known: Result<(), Fault>, control: Control) {
        match known {
            // The client may have gone.
            Ok(()) => drop(watching::serve(&self.link, control).await),
            Err(fault) => self.refuse("waits", fault, control).await,
        }
    }

    /// A key that may run one command sees only the jobs that it has started itself.
    fn jobs(&self) -> Jobs<'_> {
        let asking = Asking { user: &self.principal.user, key: self.restricted.as_deref() };
        let pty = self.principal.policy.pty;
        Jobs { registry: &self.shared.registry, asking, leaving: self.leaving.clone(), pty }
    }

    /// The store, and a claim to the transfer's id.
    fn store(&self, id: &str) -> Result<(&Store, Transfer), Fault> {
        let store = self.grant.store()?;
        let claim = self.shared.registry.transfer(&self.principal.user, id);
        let claim = claim.map_err(|in_use| Fault::user(Code::IdInUse, in_use.to_string()))?;
        Ok((store, claim))
    }

    /// Tells the client that nobody reads the data that it is sending.
    fn refuse_data(&self, number: Option<u64>) {
        if let Some(number) = number {
            drop(self.link.claim(number));
        }
    }

    /// `name` is what the client calls the file: it lands under that where `path` is a directory.
    fn log_transfer(&self, event: &str, id: &str, path: &Octets, name: Option<&Octets>, result: &Result<Tally, Fault>) {
        let (peer, user, id, name) = (self.peer, &self.principal.user, safe(id), name.map(display));
        match result {
            Ok(tally) => {
                tracing::info!(event, %peer, %user, %id, %path, name, bytes = tally.bytes, blake3 = %tally.blake3)
            }
            Err(fault) => tracing::warn!(event, %peer, %user, %id, %path, name, failed = %fault.what),
        }
    }
}

/// An operation under way. Dropped before its end, as it is when its link is lost, it leaves a line in the log.
struct Unfinished {
    event: &'static str,
    peer: Peer,
    id: Octets,
    finished: bool,
}

impl Unfinished {
    fn new(event: &'static str, peer: Peer, id: &str) -> Unfinished {
        Unfinished { event, peer, id: safe(id), finished: false }
    }

    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let why = "the link ended before the operation did";
            tracing::info!(event = self.event, peer = %self.peer, id = %self.id, why);
        }
    }
}

/// A place that a client names, fit for a log line.
fn place(place: &forward::Place) -> Octets {
    match place {
        forward::Place::Tcp(port) => safe(&format!("{}:{}", port.host, port.port)),
        forward::Place::Unix(path) => path.clone(),
        forward::Place::Unknown(unknown) => safe(&unknown.kind),
    }
}

/// A client's own words, fit for a log line.
fn safe(text: &str) -> Octets {
    Octets::from(text)
}
