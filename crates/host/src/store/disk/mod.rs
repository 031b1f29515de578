//! The local disk as a [`Source`](super::Source) and a [`Sink`](super::Sink): blocking calls on threads of their own.

mod sink;
mod source;
mod threads;

pub use sink::DiskSink;
pub use source::DiskSource;
pub(super) use threads::Threads;
