//! The local disk as a [`Source`](super::Source) and a [`Sink`](super::Sink): blocking calls on threads of their own.

mod behind;
mod blocks;
mod pool;
mod sink;
mod source;
mod threads;

pub use blocks::{BlockSink, BlockSource, Part, Prover, Summed};
pub use sink::DiskSink;
pub use source::DiskSource;
pub(super) use threads::Threads;
pub use threads::Working;
