//! A mark that a program runs, which ends with the process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{PROGRAM, digest_in};

/// Marks this process's program as used for as long as the process lives, if it is one that was uploaded.
pub fn hold() {
    let Ok(path) = fs::read_link("/proc/self/exe") else { return };
    let name = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
    if path.file_name().is_none_or(|file| file != PROGRAM) || name.and_then(digest_in).is_none() {
        return;
    }
    if let Ok(file) = File::open(&path)
        && flock(&file, FlockOperation::NonBlockingLockShared).is_ok()
    {
        // Open until the process ends; a program that it executes doesn't inherit it.
        std::mem::forget(file);
    }
}
