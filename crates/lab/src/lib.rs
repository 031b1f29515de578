//! The sticky-packet problem, alive: the tutorial's programs, and scenes that show why messages stick.
//!
//! - [`dialects`]: the wire formats as they are taught, each with a server and a client that talk to Python's.
//! - [`server`]: a TCP and a UDP server in steps, to which you give your own service.
//! - [`scenes`]: small plays on real sockets. Each gives a report: what was called, what it gave, what that shows.
//! - [`relay`]: a TCP relay with a delay, so that round trips can be felt.
//! - [`tap`]: a proxy that tells what each of its reads gave, and which messages that were.
//! - [`torture`]: a client and a server, and a proxy between them that cuts and joins what they send.
//! - [`capture`], [`infer`], [`dissect`], [`explain`]: what your own bytes say: which framing they have, which messages they hold,
//!   and what an absurd length really is.
//! - [`network`]: two hosts and a wire between them, on which packets can be held and counted.
//!
//! Nothing here prints: scenes yield values, and `unglue lab` draws them.

pub mod capture;
pub mod coding;
pub mod connection;
pub mod dialects;
pub mod dissect;
mod error;
pub mod explain;
pub mod infer;
pub mod kernel;
pub mod network;
pub mod record;
pub mod relay;
pub mod scenes;
pub mod server;
pub mod shell;
mod stop;
pub mod tap;
pub mod torture;

pub use error::LabError;
pub use stop::Stopper;
