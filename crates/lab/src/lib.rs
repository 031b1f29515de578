//! The sticky-packet problem, shown: TCP carries bytes, not messages, and a program that takes one `recv` for one
//! reply mixes replies up.
//!
//! [`dialects`] holds the wire formats of the tutorials that teach the problem, as they are taught, small and blocking;
//! [`scene`] plays one of them over a loopback socket and says what happened to every byte. Nothing here prints: a scene yields
//! values.
//!
//! ```
//! use unglue_lab::scene::{Script, play};
//!
//! # fn main() -> Result<(), unglue_lab::LabError> {
//! let script = Script::new("/", ["seq 1000", "echo hello"]);
//! let scene = play(&script)?;
//! // The first reply has 3893 bytes. One recv(1024) took a part of them …
//! assert!(scene.exchanges[0].received.len() <= 1024);
//! // … and the answer to `echo hello` is more of the first reply.
//! assert_eq!(scene.exchanges[1].pieces[0].command, 0);
//! # Ok(())
//! # }
//! ```

pub mod dialects;
mod error;
pub mod scene;

pub use error::LabError;
