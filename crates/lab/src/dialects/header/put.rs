//! `put`, on the client.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::LabError;
use crate::coding::Coding;
use crate::connection::{Connection, Finish};
use crate::dialects::len32;

/// How much of a file is read at once.
const PIECE: usize = 1 << 16;

#[derive(Serialize)]
struct Announcement<'a> {
    cmd: &'static str,
    filename: &'a str,
    filesize: u64,
}

/// Uploads files over one connection, one after the other.
#[derive(Debug)]
pub struct Uploader {
    connection: Connection,
    coding: Coding,
    /// A file was begun and not ended: what is sent next would be taken for its rest.
    broken: bool,
}

impl Uploader {
    /// Connects. No wait is longer than `wait`.
    ///
    /// # Errors
    /// [`LabError`]: no program listens there.
    pub fn connect(address: SocketAddr, wait: Duration, coding: Coding) -> Result<Uploader, LabError> {
        Ok(Uploader { connection: Connection::connect(address, wait)?, coding, broken: false })
    }

    /// Sends a file, and tells `progress` how many bytes of how many are sent. Gives how many there were: that is all that
    /// can be known, since no answer comes.
    ///
    /// # Errors
    /// [`LabError::File`] if it can't be read, in which case nothing was sent and the next may be; anything else breaks the
    /// connection off, and the server stores nothing.
    pub fn put(&mut self, path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, LabError> {
        if self.broken {
            return Err(LabError::misuse("the connection was broken off", "connect again"));
        }
        let (file, name, bytes) = open(path)?;
        self.refuse_closed()?;
        self.broken = true;
        self.send_file(file, path, name, bytes, progress).inspect_err(|_| self.connection.break_off())?;
        self.broken = false;
        Ok(bytes)
    }

    fn send_file(
        &mut self,
        mut file: File,
        path: &Path,
        name: &str,
        bytes: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), LabError> {
        let header = serde_json::to_string(&Announcement { cmd: "put", filename: name, filesize: bytes });
        let header = header.map_err(|error| LabError::misuse(error.to_string(), "give the file another name"))?;
        let header = self.coding.to_wire(header.as_bytes());
        self.send(&[len32::pack(header.len())?, header.into_owned()].concat(), 0, bytes)?;
        let mut buffer = vec![0; PIECE];
        let mut sent = 0;
        progress(sent, bytes);
        while sent < bytes {
            let room = usize::try_from(bytes - sent).unwrap_or(usize::MAX).min(PIECE);
            let read = file.read(&mut buffer[..room]).map_err(LabError::io(format!("read {}", path.display())))?;
            if read == 0 {
                return Err(shrunk(path, bytes, sent));
            }
            self.send(&buffer[..read], sent, bytes)?;
            sent += read as u64;
            progress(sent, bytes);
        }
        Ok(())
    }

    /// Closes, and waits for the server to have read everything.
    ///
    /// # Errors
    /// The server closed first: what it thinks of the last file, its log tells.
    pub fn leave(mut self) -> Result<(), LabError> {
        self.refuse_closed()?;
        // It may have a large file to sync.
        let patience = self.connection.patience().max(Duration::from_secs(60));
        match self.connection.finish(patience) {
            Ok(Finish { late: 0, closed: true }) => Ok(()),
            Ok(Finish { late: 0, .. }) => {
                Err(LabError::Deadline { what: "the server's close".into(), after: patience })
            }
            Ok(Finish { .. }) => Err(answered()),
            Err(LabError::Io { source, .. }) => Err(closed(&format!("with something unread ({source})"))),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, piece: &[u8], sent: u64, bytes: u64) -> Result<(), LabError> {
        let sending = self.connection.send_all(piece, "a file");
        sending.map_err(|error| match error {
            LabError::Io { source, .. } => closed(&format!("after {sent} of {bytes} bytes ({source})")),
            LabError::Deadline { after, .. } => {
                let what = format!("the server to take the rest of the file ({sent} of {bytes} bytes are sent)");
                LabError::Deadline { what, after }
            }
            error => error,
        })
    }

    /// This dialect's server never says a word: when something can be received, it is the connection's end.
    fn refuse_closed(&mut self) -> Result<(), LabError> {
        let mut byte = [0];
        match self.connection.recv(&mut byte, "nothing", Duration::ZERO) {
            Err(LabError::Deadline { .. }) => Ok(()),
            Ok(0) | Err(LabError::Io { .. }) => Err(closed("before it was asked to")),
            Ok(_) => Err(answered()),
            Err(error) => Err(error),
        }
    }
}

fn open(path: &Path) -> Result<(File, &str, u64), LabError> {
    let refused =
        |what: String, advice: &str| LabError::File { path: PathBuf::from(path), what, advice: advice.into() };
    let unreadable = |error: std::io::Error| refused(format!("can't be read: {error}"), "nothing was sent");
    // A FIFO without a writer would be waited for.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(refused("is not a regular file".into(), "nothing was sent; this dialect carries files only"));
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let name =
        name.ok_or_else(|| refused("has a name that is not text".into(), "a JSON header can't carry it; rename it"))?;
    Ok((file, name, metadata.len()))
}

fn answered() -> LabError {
    LabError::malformed("an answer", "this dialect has none; the peer speaks another")
}

fn closed(when: &str) -> LabError {
    LabError::Broken {
        what: format!("the server closed the connection {when}"),
        advice: "the last file is not stored, or only perhaps; the server's log says why".into(),
    }
}

fn shrunk(path: &Path, announced: u64, sent: u64) -> LabError {
    LabError::Io {
        action: format!("send {} whole: it had {announced} bytes and now has {sent}", path.display()),
        source: std::io::Error::other("the file shrank meanwhile, so the connection is closed and nothing is stored"),
    }
}
