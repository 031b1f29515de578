//! The session protocol of unglue, sans-IO: the messages of a link, and how many streams share it.
//!
//! Nothing here opens a socket, reads a clock or draws a random number. Bytes, instants and identifiers are
//! arguments; bytes and events are results. `PROTOCOL.md` describes the same wire for other languages.
//!
//! | module | what it is for |
//! |---|---|
//! | [`mux`] | many streams, each with its own credit, over one ordered byte stream |
//! | [`control`] | JSON messages inside one stream: a `u32be` length, then that many bytes |
//! | [`message`] | the content of the messages: authentication, exec, put, get, outcomes |
//! | [`life`] | a job's life: what happened to a command, and what to do about it |
//! | [`fault`] | what went wrong, whose fault it was, and what to do about it |
//! | [`limits`] | a number for every buffer, count and deadline |
//! | [`octets`] | byte strings in JSON |
//! | [`signal`] | the names of signals |
//!
//! Two ends of a connection, joined by nothing but byte vectors:
//!
//! ```
//! use std::time::Instant;
//! use unglue_proto::mux::{Direction, Event, Mux, Read, Role};
//!
//! let now = Instant::now();
//! let mut client = Mux::new(Role::Client, now);
//! let mut server = Mux::new(Role::Server, now);
//!
//! let stream = client.open(Direction::Bidirectional).expect("the limit is far away");
//! client.write(stream, b"hello".as_slice().into()).unwrap();
//! client.finish(stream);
//!
//! let mut wire = Vec::new();
//! client.poll_output(&mut wire, usize::MAX, now);
//! server.handle_input(&wire, now).unwrap();
//!
//! assert_eq!(server.poll_event(), Some(Event::Opened(stream)));
//! assert_eq!(server.read(stream, usize::MAX), Read::Data("hello".into()));
//! ```

pub mod blocks;
pub mod control;
pub mod delta;
pub mod fault;
pub mod life;
pub mod limits;
pub mod message;
mod meter;
pub mod mux;
pub mod octets;
mod printable;
pub mod signal;
pub mod tree;

pub use fault::{Blame, Code, Fault, Side};
pub use meter::Meter;
pub use octets::Octets;
pub use printable::{Printable, is_deceptive};

/// The protocol's version: the ALPN name of a TLS link, and a field of the first message on every link.
pub const PROTOCOL: &str = "unglue/1";
