//! What a server forwards for one of its clients: the policy of its key, the places that are left, and the way to both ends.

use std::path::{Path, PathBuf};

use unglue_identity::Forwarding;
use unglue_proto::message::forward as message;
use unglue_proto::{Code, Fault};

use super::listener::Listener;
use super::place::Place;
use super::resolve::Resolver;
use super::socket::Socket;
use crate::ops::slots::{Slot, Slots};

/// What a server forwards.
#[derive(Clone)]
pub(crate) struct Ports {
    allowed: Forwarding,
    /// The directory that paths of unix sockets are relative to; `None` where there are none for the client.
    sockets: Option<PathBuf>,
    /// Whether addresses other than loopback may be listened on.
    gateway: bool,
    connections: Slots,
    listeners: Slots,
    resolver: Resolver,
}

impl Ports {
    /// Those of a server. `gateway` lets clients listen on other addresses than loopback.
    pub(crate) fn of_server(gateway: bool) -> Ports {
        Ports {
            allowed: Forwarding::default(),
            sockets: None,
            gateway,
            connections: Slots::connections(),
            listeners: Slots::listeners(),
            resolver: Resolver::default(),
        }
    }

    /// Those of one link. `sockets` is the directory that paths of unix sockets are relative to: a client that may use them
    /// can run commands as the server's user, so it gets them only if it may do that anyway.
    pub(crate) fn of_link(&self, allowed: Forwarding, sockets: Option<&Path>) -> Ports {
        Ports {
            allowed,
            sockets: sockets.map(Path::to_owned),
            connections: self.connections.of_link(),
            listeners: self.listeners.of_link(),
            ..self.clone()
        }
    }

    /// Whether anything may be forwarded.
    pub(crate) fn is_allowed(&self) -> bool {
        self.allowed.is_allowed()
    }

    /// A place among the connections.
    pub(super) fn connection(&self) -> Result<Slot, Fault> {
        self.connections.take()
    }

    /// Connects to a place, if the client may.
    pub(super) async fn connect(&self, to: message::Place) -> Result<Socket, Fault> {
        let to = self.permitted(Place::from_message(to)?, "connect to")?;
        let permitted = match &to {
            Place::Tcp { host, port } => self.allowed.may_open(host, *port),
            Place::Unix(_) => self.allowed.may_open_socket(),
        };
        if !permitted {
            return Err(not_permitted("connect to", &to, "permitopen"));
        }
        Socket::connect(&to, &self.resolver).await
    }

    /// Listens at a place, if the client may.
    pub(super) async fn listen(&self, at: message::Place) -> Result<(Slot, Listener), Fault> {
        let at = self.permitted(Place::from_message(at)?, "listen on")?;
        let permitted = match &at {
            Place::Tcp { host, port } => self.allowed.may_listen(host, *port),
            Place::Unix(_) => self.allowed.may_listen_socket(),
        };
        if !permitted {
            return Err(not_permitted("listen on", &at, "permitlisten"));
        }
        let slot = self.listeners.take()?;
        Ok((slot, Listener::bind(&at, &self.resolver, !self.gateway).await?))
    }

    /// A unix socket's path, made absolute.
    fn permitted(&self, place: Place, verb: &str) -> Result<Place, Fault> {
        match (place, &self.sockets) {
            (Place::Unix(path), Some(top)) => Ok(Place::Unix(top.join(path))),
            (place @ Place::Unix(_), None) => {
                let what = format!(
                    "this server doesn't {verb} {place} for you: unix sockets are for clients that may run commands"
                );
                Err(Fault::user(Code::NotAllowed, what).advise("its owner can start it with --allow exec,forward"))
            }
            (place, _) => Ok(place),
        }
    }
}

fn not_permitted(verb: &str, place: &Place, option: &str) -> Fault {
    let advice = format!(
        "the options {option}=, restrict and no-port-forwarding of your key in authorized_keys decide about it"
    );
    Fault::user(Code::NotAllowed, format!("your key may not have this server {verb} {place}")).advise(advice)
}
