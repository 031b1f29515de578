//! Forwarding: connections between the client's machine and places that the server reaches, as `ssh -L`, `-R` and `-D` have
//! it.
//!
//! Each connection has two streams of its own, one for each direction, so a slow reader holds up its own connection and no
//! other one. The end of a direction travels by itself (a half-close), and a reset travels as a reset.

mod carry;
mod client;
mod listener;
mod local;
mod place;
mod ports;
mod remote;
mod resolve;
mod server;
mod socket;
mod socks;

pub(crate) use client::start;
pub use client::{Forwarded, Notice};
pub use place::{Forward, Listening, Place};
pub(crate) use ports::Ports;
pub(crate) use server::{serve_connect, serve_listen};
