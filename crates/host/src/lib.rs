//! What touches the machine: processes and stores.

pub mod process;
pub mod store;
