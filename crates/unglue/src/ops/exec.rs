//! Running a command: the client's half and the server's half.
//!
//! Both outputs and the input are streams of their own, so that whoever doesn't read one holds up nothing else. Every
//! stream is counted and digested at both ends; the [`Report`](crate::Report) that ends the operation holds the sender's figures, and the
//! client compares them with its own before anybody sees a success.

mod client;
mod pump;
mod server;

pub(crate) use client::start;
pub use client::{Collected, Exec, Input, Output, Running};
pub(crate) use server::{Host, refused, serve};
