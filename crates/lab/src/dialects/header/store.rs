//! `put`, on the server: a file is whole under its name, or not there.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use super::Call;
use crate::LabError;
use crate::server::Event;

/// The longest name that a file can have (Linux, `NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// What a header announces.
struct Upload {
    name: String,
    bytes: u64,
    md5: Option<String>,
}

impl Upload {
    fn announced(call: &Call<'_, '_>) -> Result<Upload, LabError> {
        let (name, bytes) = match call.has("file_name") && !call.has("filename") {
            true => ("file_name", "file_size"),
            false => ("filename", "filesize"),
        };
        let md5 = match call.has("md5") {
            true => Some(digest_in(call.text("md5")?)?),
            false => None,
        };
        Ok(Upload { name: call.name(name)?.to_owned(), bytes: call.bytes(bytes)?, md5 })
    }
}

/// An MD5 digest in hexadecimal.
fn digest_in(text: &str) -> Result<String, LabError> {
    match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(LabError::malformed(
            format!("`{}` as md5 in a header", super::beginning(text)),
            "md5 must be 32 hexadecimal digits",
        )),
    }
}

/// The last part of a path, of Unix or of Windows, if it is the name of a file.
pub(super) fn last_part(path: &str) -> Option<&str> {
    let name = path.rsplit(['/', '\\']).next()?;
    let is_name = !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && !name.contains('\0');
    is_name.then_some(name)
}

/// Receives a file. It is written under another name beside its place, and renamed once it is whole.
pub(super) fn put(call: &mut Call<'_, '_>) -> Result<(), LabError> {
    let upload = Upload::announced(call)?;
    let directory = call.directory().to_owned();
    let path = directory.join(&upload.name);
    let mut file = temporary(&directory)?;
    let mut digest = Md5::new();
    let what = format!("the file `{}`", upload.name);
    let packet = call.session.settings().packet;
    call.session.connection.recv_each(upload.bytes, &what, packet, |piece| {
        digest.update(piece);
        file.write_all(piece).map_err(unstored(&path))
    })?;
    check(&upload, digest)?;
    keep(file, &path, &directory)?;
    call.session.tell(&Event::Stored { name: &upload.name, bytes: upload.bytes });
    Ok(())
}

/// What the name of a file that isn't whole yet begins and ends with.
const PART: (&str, &str) = (".unglue-", ".part");

/// A file that isn't whole yet. It is locked as long as this server lives, so that another one doesn't sweep it.
fn temporary(directory: &Path) -> Result<NamedTempFile, LabError> {
    fs::create_dir_all(directory).map_err(unstored(directory))?;
    // As open(2) does it: the umask takes its part.
    let mut named = tempfile::Builder::new();
    named.prefix(PART.0).suffix(PART.1).permissions(Permissions::from_mode(0o666));
    loop {
        let file = named.tempfile_in(directory).map_err(unstored(directory))?;
        // A server that has just started may sweep it before it is locked; then there is another.
        let locked = flock(file.as_file(), FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && file.as_file().metadata().is_ok_and(|file| file.nlink() > 0) {
            return Ok(file);
        }
    }
}

/// Removes what a server that was killed in the middle of uploads has left. What can't be removed stays: it hinders nobody.
pub(in crate::dialects) fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with(PART.0) && name.ends_with(PART.1));
        if !is_part || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // One that is locked belongs to a server that lives.
        let file = File::open(entry.path());
        if file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn check(upload: &Upload, digest: Md5) -> Result<(), LabError> {
    let found = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match &upload.md5 {
        Some(announced) if *announced != found => Err(LabError::malformed(
            format!("{} bytes for `{}` with the md5 {found}, and announced {announced}", upload.bytes, upload.name),
            "they are not stored; send the file again",
        )),
        _ => Ok(()),
    }
}

fn keep(file: NamedTempFile, path: &Path, directory: &Path) -> Result<(), LabError> {
    file.as_file().sync_all().map_err(unstored(path))?;
    file.persist(path).map_err(|error| unstored(path)(error.error))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unstored(directory))
}

fn unstored(path: &Path) -> impl Fn(std::io::Error) -> LabError + use<> {
    let path = PathBuf::from(path);
    move |error| LabError::File {
        path: path.clone(),
        what: format!("can't be stored: {error}"),
        advice: "see to that, or choose another directory, and send the file again".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_server_left_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let (left, file) = (directory.path().join(".unglue-abc123.part"), directory.path().join("a.part"));
        fs::write(&left, "half").expect("written");
        fs::write(&file, "a file of that name").expect("written");
        let lives = temporary(directory.path()).expect("made");
        sweep(directory.path());
        assert!(!left.exists() && file.exists() && lives.path().exists());
        sweep(&directory.path().join("nowhere"));
    }

    #[test]
    fn only_the_last_part_of_a_name_counts() {
        let parts = ["a.txt", "/a/b/c/d/e/a.txt", "../../etc/passwd", "C:\\Users\\a.txt", "文件.txt", ".bashrc"];
        assert_eq!(parts.map(last_part), ["a.txt", "a.txt", "passwd", "a.txt", "文件.txt", ".bashrc"].map(Some));
        let long = "x".repeat(256);
        for wrong in ["", "/", "a/", "..", "a/..", ".", "a\0b", &long] {
            assert_eq!(last_part(wrong), None, "{wrong:?}");
        }
    }
}
