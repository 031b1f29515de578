//! The client's half: what listens, and the link that it needs.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::limits::{CONNECT, TAKE};
use unglue_proto::message::Request;
use unglue_proto::message::forward::{Connect, FromServer};
use unglue_proto::{Code, Fault, Side};

use super::listener::Listener;
use super::local::serve_local;
use super::place::{Forward, Listening, Place};
use super::remote::{self, serve_remote};
use super::resolve::Resolver;
use crate::client::{Dialler, Failed};
use crate::ops::job::pause;
use crate::ops::slots::Slots;
use crate::ops::{Control, ControlReceiver};

/// Notices that wait for the caller; more are dropped.
const NOTICES: usize = 64;

/// Forwarding under way. Dropped, it closes every listener and resets every connection.
pub struct Forwarded {
    listening: Vec<Listening>,
    notices: mpsc::Receiver<Notice>,
    _tasks: JoinSet<()>,
}

/// What happens while ports are forwarded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A connection came to nothing, for this reason. The others go on.
    Refused(Fault),
    /// The link was lost, and every connection with it; another is being tried for.
    Lost(Fault),
    /// There is a link again, and everything listens.
    Restored,
    /// There is no link any more: nothing is forwarded.
    Ended(Fault),
}

impl Forwarded {
    /// Where connections are accepted, in the order in which it was asked for.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// What happens next; waits for it. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Notice {
        match self.notices.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        }
    }
}

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Hub {
    links: watch::Receiver<Option<Link>>,
    notices: mpsc::Sender<Notice>,
    pub(super) resolver: Resolver,
    pub(super) connections: Slots,
}

impl Hub {
    /// The link; waits a while for another where it was lost.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn link(&mut self) -> Result<Link, Fault> {
        let none = || Fault::system(Code::LinkLost, "there is no connection to the server at the moment");
        timeout(CONNECT, self.next_link()).await.map_err(|_| none())
    }

    /// The link; waits for another where it was lost.
    pub(super) async fn next_link(&mut self) -> Link {
        let lives = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.is_ended().is_none());
        let found = self.links.wait_for(lives).await.ok().and_then(|link| link.clone());
        match found {
            Some(link) => link,
            // It has ended for good.
            None => std::future::pending().await,
        }
    }

    /// Tells the caller that a connection came to nothing. That the link is lost is told once, and not for each connection; and
    /// a caller that doesn't listen misses what there is no room for.
    pub(super) fn refused(&self, fault: Fault) {
        match fault.code {
            Code::LinkLost => tracing::debug!(event = "connection_refused", why = %fault.what),
            _ => drop(self.notices.try_send(Notice::Refused(fault))),
        }
    }
}

/// Listens at every place, and forwards what comes. A link that was lost is replaced for up to `keep`.
///
/// # Errors
/// A place is taken, or the server refuses. Nothing listens then.
pub(crate) async fn start(dialler: Dialler, forwards: &[Forward], keep: Option<Duration>) -> Result<Forwarded, Fault> {
    let link = dialler.link(false).await?;
    let (to_notices, notices) = mpsc::channel(NOTICES);
    let (to_links, links) = watch::channel(Some(link.clone()));
    let hub =
        Hub { links, notices: to_notices.clone(), resolver: Resolver::default(), connections: Slots::connections() };
    let (mut tasks, mut listening) = (JoinSet::new(), Vec::new());
    for forward in forwards {
        match forward {
            Forward::Local { at, to } => {
                let listener =
                    Listener::bind(at, &hub.resolver, false).await.map_err(|fault| fault.on(Side::Client))?;
                listening.push(Listening { side: Side::Client, at: listener.places(), to: Some(to.clone()) });
                tasks.spawn(serve_local(hub.clone(), listener, Some(to.clone())));
            }
            Forward::Dynamic { at } => {
                let listener =
                    Listener::bind(at, &hub.resolver, false).await.map_err(|fault| fault.on(Side::Client))?;
                listening.push(Listening { side: Side::Client, at: listener.places(), to: None });
                tasks.spawn(serve_local(hub.clone(), listener, None));
            }
            Forward::Remote { at, to } => {
                let (control, at) = remote::open(&link, at).await?;
                listening.push(Listening { side: Side::Server, at: vec![at.clone()], to: Some(to.clone()) });
                tasks.spawn(serve_remote(hub.clone(), (link.clone(), control), at, to.clone()));
            }
        }
    }
    tasks.spawn(keep_link(dialler, keep, to_links, to_notices));
    Ok(Forwarded { listening, notices, _tasks: tasks })
}

/// Replaces the link whenever it is lost; without `keep`, only reports it.
async fn keep_link(
    dialler: Dialler,
    keep: Option<Duration>,
    links: watch::Sender<Option<Link>>,
    notices: mpsc::Sender<Notice>,
) {
    loop {
        let Some(link) = links.borrow().clone() else { return };
        let why = Fault::from(link.ended().await);
        drop(link);
        links.send_replace(None);
        let ended = match keep {
            None => Err(why),
            Some(patience) => {
                let _ = notices.send(Notice::Lost(why)).await;
                another(&dialler, patience).await
            }
        };
        match ended {
            Ok(link) => {
                links.send_replace(Some(link));
                let _ = notices.send(Notice::Restored).await;
            }
            Err(fault) => {
                let _ = notices.send(Notice::Ended(fault)).await;
                return;
            }
        }
    }
}

/// Another link, once the server has accepted the login.
async fn another(dialler: &Dialler, patience: Duration) -> Result<Link, Fault> {
    let since = Instant::now();
    loop {
        let dialled = async {
            let link = dialler.link(true).await?;
            dialler.journal().await?;
            Ok(link)
        };
        let failed: Failed = match dialled.await {
            Ok(link) => return Ok(link),
            Err(failed) => failed,
        };
        if !failed.is_passing() {
            return Err(failed.into());
        }
        if since.elapsed() >= patience {
            let (seconds, fault) = (patience.as_secs(), Fault::from(failed));
            return Err(Fault { what: format!("{}; no new link for {seconds} s", fault.what), ..fault });
        }
        sleep(pause(since.elapsed())).await;
    }
}

/// Asks the server to connect to `to`: the stream to it, which may be written at once, and the one from it, once there is a
/// connection.
///
/// # Errors
/// The link has ended, or takes no new operations.
pub(super) async fn ask(
    link: &Link,
    to: &Place,
) -> Result<(SendStream, impl Future<Output = Result<RecvStream, Fault>> + use<>), Fault> {
    let Control { sender, receiver } = Control::new(link.open_bidirectional().await?);
    let up = link.open_unidirectional().await?;
    let connect = Connect { to: to.to_message(), data: up.number(), require: Vec::new() };
    sender.send_final(&Request::Connect(connect)).await?;
    // Also if nobody waits for it any more: the stream that the answer names is taken and let go then.
    let answer = tokio::spawn(answer(link.clone(), receiver));
    let answered = async {
        answer.await.unwrap_or_else(|error| Err(Fault::us(format!("waiting for an answer ended badly: {error}"))))
    };
    Ok((up, answered))
}

async fn answer(link: Link, mut receiver: ControlReceiver) -> Result<RecvStream, Fault> {
    let silent = |_| Fault::peer(Code::TimedOut, format!("the server did not answer within {} s", TAKE.as_secs()));
    loop {
        match timeout(TAKE, receiver.expect::<FromServer>()).await.map_err(silent)?? {
            FromServer::Connected(connected) => {
                let down = link.claim(connected.data)?;
                // What follows says no more than the streams' ends.
                receiver.ignore();
                return Ok(down);
            }
            FromServer::Refused(fault) => return Err(fault.on(Side::Server)),
            FromServer::Outcome(_) => {
                return Err(Fault::peer(Code::BadMessage, "the server ended a connection that it never made"));
            }
            FromServer::Unknown(_) => {}
        }
    }
}
