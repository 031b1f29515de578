//! What a client sends and where it puts what it fetches: a file of a store, or anything that can be read or written.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use unglue_host::store::{Facts, Store};
use unglue_proto::message::Time;

/// What [`Client::put`](crate::Client::put) sends.
///
/// ```no_run
/// # async fn example(client: unglue::Client, store: unglue::Store) -> Result<(), unglue::Fault> {
/// use unglue::{TransferOptions, Upload};
///
/// client.put(Upload::file(&store, "notes.txt"), "backup/", TransferOptions::default()).await?;
/// client.put(Upload::bytes("one line\n").mode(0o600), "note", TransferOptions::default()).await?;
/// let socket = tokio::net::TcpStream::connect("192.0.2.1:9").await.unwrap();
/// client.put(Upload::reader(socket).named("stream.bin"), "backup/", TransferOptions::default()).await?;
/// # Ok(()) }
/// ```
pub struct Upload<'a> {
    pub(super) what: What<'a>,
    pub(super) name: OsString,
    size: Option<u64>,
    mode: Option<u32>,
    modified: Option<Time>,
}

pub(super) enum What<'a> {
    File(Store, PathBuf),
    Bytes(Bytes),
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
}

impl<'a> Upload<'a> {
    fn of(what: What<'a>, name: &OsStr) -> Upload<'a> {
        Upload { what, name: name.to_owned(), size: None, mode: None, modified: None }
    }

    /// A file of a store. Its name, mode and time are the file's, unless they are set.
    pub fn file(store: &Store, path: impl AsRef<Path>) -> Upload<'a> {
        let path = path.as_ref();
        Upload::of(What::File(store.clone(), path.to_owned()), path.file_name().unwrap_or_default())
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Upload<'a> {
        Upload::of(What::Bytes(bytes.into()), OsStr::new(""))
    }

    /// Everything that a reader gives.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'a) -> Upload<'a> {
        Upload::of(What::Reader(Box::new(reader)), OsStr::new(""))
    }

    /// The name that it gets where the destination is a directory.
    pub fn named(self, name: impl Into<OsString>) -> Upload<'a> {
        Upload { name: name.into(), ..self }
    }

    /// How many bytes a reader gives. The server refuses what can't fit before anything is sent; a reader that gives another
    /// number is an error. A file and bytes in memory know it themselves.
    pub fn size(self, size: u64) -> Upload<'a> {
        Upload { size: Some(size), ..self }
    }

    /// The permission bits. For bytes and a reader they are 0666 otherwise, before the umask.
    pub fn mode(self, mode: u32) -> Upload<'a> {
        Upload { mode: Some(mode), ..self }
    }

    /// The time of the last modification, which travels with [`preserve`](crate::TransferOptions::preserve).
    pub fn modified(self, time: Time) -> Upload<'a> {
        Upload { modified: Some(time), ..self }
    }

    /// What the source says of itself, with what was set here.
    pub(super) fn facts(&self, of_source: Facts) -> Facts {
        of_source
            .with_size(of_source.size.or(self.size))
            .with_mode(self.mode.unwrap_or(of_source.mode))
            .with_modified(self.modified.or(of_source.modified))
    }
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.what {
            What::File(_, path) => format!("file {}", path.display()),
            What::Bytes(bytes) => format!("{} bytes", bytes.len()),
            What::Reader(_) => "reader".to_owned(),
        };
        f.debug_struct("Upload").field("what", &what).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where [`Client::get`](crate::Client::get) puts what it fetches.
///
/// ```no_run
/// # async fn example(client: unglue::Client, store: unglue::Store) -> Result<(), unglue::Fault> {
/// use unglue::{Download, TransferOptions};
///
/// client.get("today.log", Download::file(&store, "logs/"), TransferOptions::default()).await?;
/// let mut bytes = Vec::new();
/// client.get("today.log", Download::writer(&mut bytes).at_most(1 << 20), TransferOptions::default()).await?;
/// # Ok(()) }
/// ```
pub struct Download<'a> {
    pub(super) to: Where<'a>,
    pub(super) most: u64,
}

pub(super) enum Where<'a> {
    File(Store, PathBuf),
    Writer(Box<dyn AsyncWrite + Send + Unpin + 'a>),
}

impl<'a> Download<'a> {
    /// A file of a store. A directory's path keeps the name.
    pub fn file(store: &Store, path: impl AsRef<Path>) -> Download<'a> {
        Download { to: Where::File(store.clone(), path.as_ref().to_owned()), most: u64::MAX }
    }

    /// A writer, as a `&mut Vec<u8>`, a socket or standard output. It gets the bytes before they are verified: they are the
    /// right ones once the transfer has ended well.
    pub fn writer(writer: impl AsyncWrite + Send + Unpin + 'a) -> Download<'a> {
        Download { to: Where::Writer(Box::new(writer)), most: u64::MAX }
    }

    /// A file that has more bytes is not fetched.
    pub fn at_most(self, bytes: u64) -> Download<'a> {
        Download { most: bytes, ..self }
    }
}

impl fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = match &self.to {
            Where::File(_, path) => format!("file {}", path.display()),
            Where::Writer(_) => "writer".to_owned(),
        };
        f.debug_struct("Download").field("to", &to).field("most", &self.most).finish()
    }
}
