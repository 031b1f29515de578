//! Who you are and how bytes travel: SSH keys, TLS 1.3, TCP, and the one loop that drives a link.
//!
//! [`tcp::connect`] and [`tcp::accept`] turn a TCP connection into a [`link::Link`]: TLS with the server's SSH host key,
//! then the client's SSH signature over this very connection ([`identity`]). What runs over a link is the caller's.

pub mod auth;
pub mod identity;
pub mod link;
pub mod tcp;
mod tls;
mod wire;
