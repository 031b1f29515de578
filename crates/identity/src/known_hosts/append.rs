//! Remembering a host's key.

use super::host_name;
use crate::error::IdentityError;
use crate::key::PublicKey;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Appends a line that says that `host` has `key` at `port`, as ssh writes it: `[host]:port ssh-ed25519 …`, or
/// plain `host` for port 22, which has no other form. A missing file is made with mode 0600, missing directories with
/// mode 0700. The line goes out in one write at the end of the file, so two clients that append at once both succeed.
///
/// # Errors
///
/// [`IdentityError::HostName`] if `host` would mean something else in the file, [`IdentityError::Io`] if the file
/// can't be written.
pub(super) fn append(file: &Path, host: &str, port: u16, key: &PublicKey) -> Result<(), IdentityError> {
    if !is_plain_name(host) {
        return Err(IdentityError::HostName { host: host.to_owned() });
    }
    let line = format!("{} {key}\n", host_name(host, port));
    write_line(file, &line).map_err(|source| IdentityError::io("remember the host's key in", file, source))
}

fn write_line(path: &Path, line: &str) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    // An editor may have left the last line open; our line must not become a part of it.
    let line = if ends_open(&file)? { format!("\n{line}") } else { line.to_owned() };
    file.write_all(line.as_bytes())
}

fn ends_open(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// A name or address without anything that `known_hosts` gives a meaning: white space, commas, wildcards,
/// negation, brackets, hashes and comments.
fn is_plain_name(host: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !",*?![]|#@".contains(c);
    !host.is_empty() && host.len() <= 1000 && host.chars().all(plain)
}
