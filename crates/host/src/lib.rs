//! What touches the machine: processes and stores.

mod errno;
pub mod process;
pub mod store;
