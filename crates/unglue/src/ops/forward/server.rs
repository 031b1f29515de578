//! The server's halves.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use unglue_link::{Link, RecvStream};
use unglue_proto::limits::TAKE;
use unglue_proto::message::forward::{
    Accepted, Carried, Connect, Connected, FromClient, FromListener, FromServer, Listen, Listening, Outcome,
};
use unglue_proto::{Code, Fault};

use super::Ports;
use super::carry::carry;
use super::listener::Listener;
use super::socket::Socket;
use crate::ops::slots::Slot;
use crate::ops::{Control, ControlReceiver, ControlSender, turn_down};

/// Connects to a place, and carries the connection to its end.
pub(crate) async fn serve_connect(
    link: &Link,
    ports: &Ports,
    connect: Connect,
    control: Control,
) -> Result<Carried, Fault> {
    let Control { mut sender, receiver: _held } = control;
    let connecting = async {
        // Where there is no connection, the client is sent a stop: its data is not read.
        let down = link.claim(connect.data)?;
        let slot = ports.connection()?;
        Ok((slot, down, ports.connect(connect.to).await?))
    };
    let (_slot, down, socket) = match connecting.await {
        Ok(ready) => ready,
        Err(fault) => return turn_down(sender, fault).await,
    };
    let up = link.open_unidirectional().await?;
    sender.send(&FromServer::Connected(Connected { data: up.number() })).await?;
    let carried = carry(socket, up, async { Ok(down) }).await.map_err(Fault::from);
    let outcome = match &carried {
        Ok(carried) => Outcome::Closed(*carried),
        Err(fault) => Outcome::Broken(fault.clone()),
    };
    sender.send_final(&FromServer::Outcome(outcome)).await?;
    carried
}

/// Listens at a place, and carries the connections that come, until the client has finished and they have ended. Returns how
/// many there were.
pub(crate) async fn serve_listen(link: &Link, ports: &Ports, listen: Listen, control: Control) -> Result<u64, Fault> {
    let Control { mut sender, receiver } = control;
    let (_slot, listener) = match ports.listen(listen.at).await {
        Ok(listening) => listening,
        Err(fault) => return turn_down(sender, fault).await,
    };
    sender.send(&FromListener::Listening(Listening { port: listener.port() })).await?;
    let accepting =
        Accepting { link, ports, receiver, sender, number: 0, waiting: HashMap::new(), connections: JoinSet::new() };
    accepting.run(listener).await
}

/// The client's answer about a connection.
type Answer = Result<RecvStream, Fault>;

struct Accepting<'a> {
    link: &'a Link,
    ports: &'a Ports,
    receiver: ControlReceiver,
    sender: ControlSender,
    number: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    connections: JoinSet<()>,
}

impl Accepting<'_> {
    async fn run(mut self, listener: Listener) -> Result<u64, Fault> {
        let mut listener = Some(listener);
        while listener.is_some() || !self.connections.is_empty() {
            tokio::select! {
                (socket, from) = accept(&listener) => self.accepted(socket, from).await?,
                message = self.receiver.next::<FromClient>(), if listener.is_some() => match message? {
                    Some(message) => self.answered(message)?,
                    None => listener = None,
                },
                Some(_) = self.connections.join_next() => self.waiting.retain(|_, waiter| !waiter.is_closed()),
            }
        }
        let fault = Fault::user(Code::Cancelled, "the client wants no more connections");
        self.sender.send_final(&FromListener::Outcome(fault)).await?;
        Ok(self.number)
    }

    async fn accepted(&mut self, socket: Socket, from: String) -> Result<(), Fault> {
        let slot = match self.ports.connection() {
            Ok(slot) => slot,
            Err(fault) => {
                tracing::warn!(event = "connection_refused", from, why = %fault.what);
                socket.reset();
                return Ok(());
            }
        };
        let up = self.link.open_unidirectional().await?;
        self.number += 1;
        let accepted = Accepted { connection: self.number, data: up.number(), from };
        self.sender.send(&FromListener::Accepted(accepted)).await?;
        let (answer, answered) = oneshot::channel();
        self.waiting.insert(self.number, answer);
        self.connections.spawn(connection(slot, socket, up, answered));
        Ok(())
    }

    fn answered(&mut self, message: FromClient) -> Result<(), Fault> {
        let (number, answer) = match message {
            // Taken in any case: one that nobody waits for any more is sent a stop.
            FromClient::Taken(taken) => (taken.connection, Ok(self.link.claim(taken.data)?)),
            FromClient::Declined(declined) => (declined.connection, Err(declined.why)),
            FromClient::Unknown(_) => return Ok(()),
        };
        if let Some(waiter) = self.waiting.remove(&number) {
            // The connection may have ended meanwhile.
            let _ = waiter.send(answer);
        }
        Ok(())
    }
}

async fn accept(listener: &Option<Listener>) -> (Socket, String) {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// One that was accepted. What it sends travels before the client has answered.
async fn connection(_slot: Slot, socket: Socket, up: unglue_link::SendStream, answered: oneshot::Receiver<Answer>) {
    let down = async {
        let silent = |limit: Duration| {
            Fault::peer(Code::TimedOut, format!("the client took no connection within {} s", limit.as_secs()))
        };
        match timeout(TAKE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Fault::system(Code::Cancelled, "the client has gone")),
            Err(_) => Err(silent(TAKE)),
        }
    };
    if let Err(error) = carry(socket, up, down).await {
        tracing::debug!(event = "connection_broken", why = %error);
    }
}
