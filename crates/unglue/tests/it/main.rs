//! unglue's promises, kept from one end of a connection to the other: real servers, real processes, bad networks.
//!
//! `UNGLUE_SOAK=1` runs what takes minutes.

mod compressed;
mod credentials;
mod crowds;
mod cuts;
mod daemon;
mod embedded;
mod exec;
mod explained;
mod flood;
mod forward;
mod hoard;
mod jobs;
mod key_options;
mod keys;
mod orphans;
mod own_stores;
mod pipelined;
mod raw;
mod refusals;
mod resumed;
mod site;
mod soak;
mod stalls;
mod stopped;
mod terminal;
mod transfers;
mod tree;
mod tree_parts;
mod tree_small;
mod tree_turns;
mod unauthenticated;
mod uploads;
mod versions;

/// Not a test of its own: what the servers of the others start.
#[test]
fn supervisor() {
    unglue::supervise_if_asked();
}

/// Whether there is time for every case.
fn soaking() -> bool {
    std::env::var_os("UNGLUE_SOAK").is_some_and(|value| value == "1")
}
