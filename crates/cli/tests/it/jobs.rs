//! Commands that outlive their link, as a user meets them.

mod batch;
mod cut;
mod detached;
mod holding;
mod ids;
pub(crate) mod link;
