//! Making a key pair's two files, as `ssh-keygen` leaves them.

use super::error::IdentityError;
use super::key_file::Passphrase;
use super::private_key::PrivateKey;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use ssh_key::LineEnding;
use ssh_key::rand_core::{OsRng, RngCore as _};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Makes a new ed25519 key and writes it to `path` (mode 0600) with `path.pub` (0644) beside it, both durable
/// when this returns. Directories that are missing are made with mode 0700.
///
/// Each file appears whole or not at all, so two processes that make the same key at once end with one key, and a
/// crash leaves no half of one under the name.
///
/// # Errors
///
/// [`IdentityError::Exists`] if either file is there: nothing is ever overwritten. [`IdentityError::Io`] otherwise.
pub fn make_key_file(path: &Path, comment: &str, passphrase: Option<&Passphrase>) -> Result<PrivateKey, IdentityError> {
    let public_path = beside(path, ".pub");
    for taken in [path, &public_path] {
        if taken.symlink_metadata().is_ok() {
            return Err(IdentityError::Exists { path: taken.to_owned() });
        }
    }
    let key = PrivateKey::generate()?;
    let comment = one_line(comment);
    let text = private_text(&key, &comment, passphrase)?;
    let public_text = format!("{} {comment}", key.public_key());
    let public_line = format!("{}\n", public_text.trim_end());
    make_directory(path)?;
    write_new(path, text.as_bytes(), 0o600)?;
    write_new(&public_path, public_line.as_bytes(), 0o644).inspect_err(|_| {
        // Ours, made a moment ago, and nobody knows it yet.
        let _ = std::fs::remove_file(path);
    })?;
    Ok(key)
}

fn private_text(
    key: &PrivateKey,
    comment: &str,
    passphrase: Option<&Passphrase>,
) -> Result<Zeroizing<String>, IdentityError> {
    let plain = key.to_ssh_key(comment);
    let written = match passphrase {
        None => plain,
        Some(passphrase) => plain.and_then(|plain| plain.encrypt(&mut OsRng, passphrase.as_bytes())),
    };
    let text = written.and_then(|written| written.to_openssh(LineEnding::LF));
    text.map_err(|error| IdentityError::Randomness(error.to_string()))
}

/// A line break in a comment would end the public key's line.
fn one_line(comment: &str) -> String {
    comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

fn make_directory(path: &Path) -> Result<(), IdentityError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| IdentityError::io("make the directory", directory, source))
}

/// Writes a whole, durable file under a temporary name, and gives it its own unless that is taken.
fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), IdentityError> {
    let temporary = beside(path, &temporary_suffix()?);
    let made = write_durably(&temporary, contents, mode).and_then(|()| rename_new(&temporary, path));
    if made.is_err() {
        // It may never have been made; what counts is the first failure.
        let _ = std::fs::remove_file(&temporary);
    }
    made.and_then(|()| sync_directory(path)).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists { path: path.to_owned() },
        _ => IdentityError::io("write the key", path, source),
    })
}

/// Renames without overwriting. Some network file systems can't (`EINVAL`); a hard link fails likewise if the name is
/// taken.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        done => Ok(done?),
    }
}

fn temporary_suffix() -> Result<String, IdentityError> {
    let mut random = [0; 8];
    OsRng.try_fill_bytes(&mut random).map_err(|error| IdentityError::Randomness(error.to_string()))?;
    Ok(format!(".new-{:016x}", u64::from_be_bytes(random)))
}

fn write_durably(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
