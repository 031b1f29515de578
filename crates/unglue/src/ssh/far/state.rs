//! Where the state goes if the home can't hold it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// A directory beside the program, which can be written, where the home's own place for the state can't be. It isn't found by a server
/// that uses the home.
pub fn state_beside() -> Option<PathBuf> {
    let home = std::env::home_dir().unwrap_or_default();
    let usual = home.join(".local/state/unglue");
    // A home that isn't there is not made.
    let usable = home.is_dir() && fs::create_dir_all(&usual).is_ok() && access(&usual, Access::WRITE_OK).is_ok();
    if usable {
        return None;
    }
    let program = fs::read_link("/proc/self/exe").ok()?;
    program.parent().and_then(Path::parent).map(|base| base.join("state"))
}
