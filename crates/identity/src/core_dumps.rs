//! Private keys stay out of core dumps.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Has the system write no core dump of this process, neither to a file nor to a collector (prctl(2),
/// `PR_SET_DUMPABLE`), so that no private key is in one. Call it before a key is loaded.
///
/// It also keeps other processes of the same user from attaching to this one, or from reading its memory, descriptors and
/// environment under `/proc`; debuggers need root, or to start the program themselves. Programs that this process
/// executes are not affected: their core dumps and their limits (`RLIMIT_CORE`) are their own.
///
/// This is for a program to decide, so no function of this crate does it by itself.
pub fn forbid_core_dumps() {
    // It fails on no Linux that has the call, which is all of them.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!("core dumps could not be forbidden: {error}");
    }
}
