//! How bytes travel: links with many streams, TLS 1.3 with SSH host keys, TCP, and the one loop that drives a link.
//!
//! [`tcp::connect`] and [`tcp::accept`] turn a TCP connection into a [`Link`]: TLS with the server's SSH host key, then
//! the client's SSH signature over this very connection ([`auth`]). What runs over a link is the caller's.

pub mod auth;
mod link;
pub mod tcp;
mod thread;
mod tls;
mod wire;

pub use link::{Driver, Link, RecvStream, SendStream, StreamError, memory};
pub use thread::in_a_thread;
