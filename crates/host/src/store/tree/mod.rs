//! Trees: the two ends of a transfer of any number of files.
//!
//! [`TreeSource`] walks the source and gives the records of `unglue_proto::tree`; [`TreeSink`] takes them and makes the tree.
//! Each is a state machine whose calls block on the disk for a bounded time and never wait for the peer: run them with
//! [`Store::work`](super::Store::work).
//!
//! Both hold directories, not paths (`dirs`): every file is opened, made, renamed and removed by one name in an open directory,
//! and no symbolic link is followed below the top. So nothing that is swapped meanwhile leads outside.

mod attributes;
mod batch;
mod candidates;
mod content;
mod deletion;
mod dirs;
mod event;
mod expected;
mod guard;
mod ignores;
mod journal;
mod landing;
mod listxattrat;
mod olds;
mod only;
mod parts;
mod patch;
mod sink;
mod sink_content;
mod sink_entry;
mod sink_finish;
mod sink_report;
mod sink_staged;
mod source;
mod source_walk;
mod staging;

pub(in crate::store) use batch::sync_directory;
pub use batch::{Batch, Committed};
pub use content::{Content, Ended};
pub(in crate::store) use deletion::{list, remove_all};
pub(in crate::store) use dirs::open as open_directory;
pub use event::{Moving, TreeEvent};
pub(super) use guard::Guard;
pub(in crate::store) use journal::{Journal, Keeper, VERSION, sweep_journal};
pub use landing::{Landed, Landing, Taken, Why};
pub(in crate::store) use parts::Assembling;
pub use parts::{Assembly, Large};
pub use sink::{Step, TreeSink};
pub use source::{Produced, TreeRoot, TreeSource};
pub(in crate::store) use staging::{Staging, nameless};
