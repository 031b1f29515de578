//! Commands that outlive the link of their client: holding and watching them, listing them, ending them.
//!
//! | module | what it is for |
//! |---|---|
//! | `serve` | the server's half: a client that holds or watches a job |
//! | `spooled` | one output on its way from a file to a client |
//! | `terminal` | what a client of a terminal sees first |
//! | `client` | the client's half of the requests |
//! | `follow` | the client's half of a command that outlives the link: goes on over the next link |
//! | `replay` | its input, to be sent again |
//! | `requests` | the server's half of the requests that are answered at once |

mod client;
mod follow;
mod replay;
mod requests;
mod serve;
mod spooled;
mod terminal;

pub use client::AttachOptions;
pub(crate) use client::{attach, list, remove, signal, start_kept};
pub use follow::LinkState;
pub(crate) use follow::{Followed, Piece, pause};
pub(crate) use replay::{End, Replay};

pub(crate) use requests::{serve_attach, serve_jobs, serve_remove, serve_signal};
pub(crate) use serve::{Beginning, Jobs, Wants, attend, not_kept, without_output};
