//! Listeners of the client: `-L` and `-D`.

use tokio::task::JoinSet;
use unglue_proto::Fault;

use super::carry::{Broken, carry};
use super::client::{Hub, ask};
use super::listener::Listener;
use super::place::Place;
use super::socket::Socket;
use super::socks;
use crate::ops::slots::Slot;

/// Accepts connections and has the server connect them to `to`, or where their client says by SOCKS.
pub(super) async fn serve_local(hub: Hub, listener: Listener, to: Option<Place>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (socket, _) = listener.accept() => match hub.connections.take() {
                Ok(slot) => drop(connections.spawn(connection(hub.clone(), slot, socket, to.clone()))),
                Err(fault) => refuse(&hub, socket, fault),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(hub: Hub, _slot: Slot, socket: Socket, to: Option<Place>) {
    match to {
        Some(to) => forward(hub, socket, &to).await,
        None => socks::serve(hub, socket).await,
    }
}

async fn forward(mut hub: Hub, socket: Socket, to: &Place) {
    let asked = async { ask(&hub.link().await?, to).await };
    match asked.await {
        Ok((up, down)) => finished(&hub, carry(socket, up, down).await.map(drop)),
        Err(fault) => refuse(&hub, socket, fault),
    }
}

fn refuse(hub: &Hub, socket: Socket, fault: Fault) {
    socket.reset();
    hub.refused(fault);
}

/// A connection has ended. One that was reset has told its own two ends.
pub(super) fn finished(hub: &Hub, result: Result<(), Broken>) {
    match result {
        Ok(()) => {}
        Err(Broken::Declined(fault)) => hub.refused(fault),
        Err(broken) => tracing::debug!(event = "connection_broken", why = %broken),
    }
}
