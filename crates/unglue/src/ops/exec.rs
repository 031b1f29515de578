//! Running a command: the client's half and the server's half.
//!
//! Both outputs and the input are streams of their own, so a stream that nobody reads holds up nothing else. Every stream is
//! counted and digested at both ends; the [`Report`](crate::Report) that ends the operation holds the sender's figures, and
//! the client compares them with its own before it reports a success.
//!
//! | module | what it is for |
//! |---|---|
//! | `request` | what to run |
//! | `running` | the client's hold on a command: its streams, its exit, its outcome |
//! | `streams` | one output, one input |
//! | `check` | the client's figures against the server's |
//! | `grant` | what a key makes of a command |
//! | `server` | the server's half |

mod check;
mod grant;
mod request;
mod running;
mod server;
#[cfg(test)]
mod silence;
mod streams;
mod talk;
#[cfg(test)]
mod versions;

pub(crate) use grant::{grant, no_terminal};
pub use request::{Exec, Lease};
pub(crate) use running::start;
pub use running::{Collected, Running};
pub(in crate::ops) use running::{Seen, followed};
pub(crate) use server::{Runner, refuse, serve};
pub use streams::{Input, Output};
