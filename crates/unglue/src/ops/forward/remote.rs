//! Listeners of the server: `-R`.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use unglue_link::{Link, RecvStream};
use unglue_proto::limits::TAKE;
use unglue_proto::message::Request;
use unglue_proto::message::forward::{Declined, FromClient, FromListener, Listen, Taken};
use unglue_proto::{Code, Fault, Side};

use super::carry::carry;
use super::client::Hub;
use super::local::finished;
use super::place::Place;
use super::socket::Socket;
use crate::ops::Control;

/// The pause before a port is asked for again: on a new link, the server may still hold it for the one that was lost.
const AGAIN: Duration = Duration::from_secs(1);

/// Answers that wait to be sent.
const ANSWERS: usize = 64;

/// Asks the server to listen at `at`: the operation, and the place with the port that it has got.
///
/// # Errors
/// The server refuses, or the link has ended.
pub(super) async fn open(link: &Link, at: &Place) -> Result<(Control, Place), Fault> {
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    sender.send(&Request::Listen(Listen { at: at.to_message(), require: Vec::new() })).await?;
    let silent = |_| Fault::peer(Code::TimedOut, format!("the server did not answer within {} s", TAKE.as_secs()));
    loop {
        match timeout(TAKE, receiver.expect::<FromListener>()).await.map_err(silent)?? {
            FromListener::Listening(listening) => {
                let at = match (at, listening.port) {
                    (Place::Tcp { host, .. }, Some(port)) => Place::Tcp { host: host.clone(), port },
                    (at, _) => at.clone(),
                };
                return Ok((Control { sender, receiver }, at));
            }
            FromListener::Refused(fault) => return Err(fault.on(Side::Server)),
            FromListener::Accepted(_) | FromListener::Outcome(_) => {
                return Err(Fault::peer(
                    Code::BadMessage,
                    "the server has connections of a port that it doesn't listen on",
                ));
            }
            FromListener::Unknown(_) => {}
        }
    }
}

/// Takes the server's connections to `to`; on a new link, it asks for the port again.
pub(super) async fn serve_remote(mut hub: Hub, first: (Link, Control), at: Place, to: Place) {
    let (mut listening, mut reported) = (Some(first), false);
    loop {
        if let Some((link, control)) = listening.take() {
            reported = false;
            let ended = take(&hub, &link, control, &to).await;
            if link.is_ended().is_none() {
                let what = format!("the server listens on {at} no more: {}", ended.what);
                hub.refused(Fault { what, ..ended });
                sleep(AGAIN).await;
            }
        }
        let link = hub.next_link().await;
        match open(&link, &at).await {
            Ok((control, _)) => listening = Some((link, control)),
            Err(fault) => {
                if !std::mem::replace(&mut reported, true) {
                    hub.refused(fault);
                }
                sleep(AGAIN).await;
            }
        }
    }
}

/// Returns why there are no more connections.
async fn take(hub: &Hub, link: &Link, control: Control, to: &Place) -> Fault {
    let Control { mut sender, mut receiver } = control;
    let (answers, mut outbox) = mpsc::channel(ANSWERS);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            message = receiver.expect::<FromListener>() => match message {
                Ok(FromListener::Accepted(accepted)) => match link.claim(accepted.data) {
                    Ok(down) => {
                        let (hub, link, to, answers) = (hub.clone(), link.clone(), to.clone(), answers.clone());
                        connections.spawn(connection(hub, link, (accepted.connection, down), to, answers));
                    }
                    Err(fault) => return fault,
                },
                Ok(FromListener::Outcome(fault)) => return fault.on(Side::Server),
                Ok(_) => {}
                Err(error) => return error.into(),
            },
            Some(answer) = outbox.recv() => if let Err(error) = sender.send(&answer).await {
                return error.into();
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    hub: Hub,
    link: Link,
    (connection, down): (u64, RecvStream),
    to: Place,
    answers: mpsc::Sender<FromClient>,
) {
    let connected = async {
        let slot = hub.connections.take()?;
        let socket = Socket::connect(&to, &hub.resolver).await?;
        Ok::<_, Fault>((slot, socket, link.open_unidirectional().await?))
    };
    match connected.await {
        Ok((_slot, socket, up)) => {
            // Where the link has gone, the streams end by themselves.
            let _ = answers.send(FromClient::Taken(Taken { connection, data: up.number() })).await;
            finished(&hub, carry(socket, up, async { Ok(down) }).await.map(drop));
        }
        Err(fault) => {
            let why = fault.on(Side::Client);
            let _ = answers.send(FromClient::Declined(Declined { connection, why: why.clone() })).await;
            hub.refused(why);
        }
    }
}
