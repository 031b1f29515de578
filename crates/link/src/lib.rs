//! How bytes travel: links with many streams, over connections that are encrypted and authenticated.
//!
//! # The caller's contract
//!
//! - A client gets a [`Link`] from [`connect`] (TCP with TLS and the user's SSH keys) or [`connect_over`] (any connection
//!   that authenticates by itself: a unix socket, an `ssh` process). A server gets one from an [`Acceptor`].
//! - Each link comes with a [`Driver`], a future that the caller spawns; it moves the link's bytes until the link ends.
//! - [`Link::open_bidirectional`], [`Link::open_unidirectional`], [`Link::accept`] and [`Link::claim`] give streams;
//!   [`Link::ping`] reports whether the other end is alive; [`Link::close`] and [`Link::ended`] end the link and report how it ended.
//! - What runs over a link is the caller's, and doesn't see what the link runs over.
//!
//! # Where things are
//!
//! | module | what it is for |
//! |---|---|
//! | `link` | the handle, its streams, and the one loop that moves the bytes |
//! | `transport` | TCP, TLS, unix sockets, standard input and output |
//! | `opening` | the messages before the streams |
//! | [`auth`] | who is asking, and may they |
//! | `trust` | whether the server is the right one |
//! | [`admission`] | where connections wait until they have authenticated |
//! | [`threads`] | blocking work, where there may be no thread |
//!
//! **QUIC** would be a second kind of [`Link`]: a QUIC connection has streams, credit and a heartbeat of its own, so it would stand
//! beside the multiplexer behind the handle, and [`SendStream`] and [`RecvStream`] would wrap its streams. Opening, authentication (over
//! its exporter) and admission would stay as they are, and no operation would change.

/// The target of the [`tracing`] events that report the steps of a client's login, one sentence each.
pub const LOGIN_STEPS: &str = "unglue::login";

mod accept;
pub mod admission;
pub mod auth;
mod config;
mod connect;
mod error;
mod link;
mod opening;
pub mod threads;
mod transport;
mod trust;

pub use accept::{Accepted, Acceptor, RECONSIDER, Refusal, ServerTls};
pub use config::LinkConfig;
pub use connect::{ConnectError, Connected, Reached, Target, connect, connect_over, connect_reached, reach};
pub use error::LinkError;
pub use link::{CountedApart, Driver, Held, Link, RecvStream, SendStream, StreamError, memory};
pub use transport::{BoxedIo, ChildProcess, Descriptors, Io, Peer, stdio};
pub use trust::{HostTrust, UnknownHost};
pub use unglue_proto::mux::{Config as MuxConfig, Memory, SharedMemory};
