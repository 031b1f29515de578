//! A unix socket that a server listens on, and who its clients are.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::unix::UCred;
use unglue_proto::{Code, Fault};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// The longest path of a unix socket (unix(7)), without the final NUL.
const LONGEST: usize = 107;

/// A listening socket, and its name.
pub(super) struct UnixSocket {
    listener: UnixListener,
    name: SocketName,
}

/// The name of a socket in the file system; dropped, it is removed.
pub(super) struct SocketName {
    path: PathBuf,
    /// Device and inode: another server may have taken the name over.
    identity: (u64, u64),
}

impl UnixSocket {
    pub(super) fn path(&self) -> &Path {
        &self.name.path
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketName) {
        (self.listener, self.name)
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket with mode 0600. A socket that a dead server left there is replaced.
///
/// # Errors
/// The path is too long, something else is there, others could replace the socket, or the system refuses.
pub(super) fn bind(path: &Path) -> Result<UnixSocket, Fault> {
    let path = std::path::absolute(path).map_err(|error| unusable(path, &error))?;
    let length = path.as_os_str().len();
    if length > LONGEST {
        let what = format!("can't listen on unix:{}: the path has {length} bytes", path.display());
        return Err(Fault::user(Code::System, what)
            .advise(format!("the path of a unix socket has {LONGEST} bytes at most: choose a shorter one")));
    }
    check_directory(&path)?;
    make_way(&path)?;
    let listener = listen(&path).map_err(|error| unusable(&path, &error))?;
    let there = fs::symlink_metadata(&path).map_err(|error| unusable(&path, &error))?;
    Ok(UnixSocket { listener, name: SocketName { identity: (there.dev(), there.ino()), path } })
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // What is bound gets this mode from its beginning.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Others must not be able to put a socket of their own in its place: clients would connect to them.
fn check_directory(path: &Path) -> Result<(), Fault> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let metadata = fs::metadata(directory).map_err(|error| unusable(path, &error))?;
    let own = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    let (writable, sticky) = (metadata.mode() & 0o022 != 0, metadata.mode() & 0o1000 != 0);
    if own && (!writable || sticky) {
        return Ok(());
    }
    let what = format!(
        "can't listen on unix:{}: others can replace files in {} (owner {}, mode {:04o})",
        path.display(),
        directory.display(),
        metadata.uid(),
        metadata.mode() & 0o7777
    );
    Err(Fault::user(Code::NotAllowed, what).advise("choose a directory of your own with mode 0755 or 0700"))
}

/// Removes a socket on which no process listens any more.
fn make_way(path: &Path) -> Result<(), Fault> {
    let taken = |what: &str, advice: &str| {
        Err(Fault::user(Code::System, format!("can't listen on unix:{}: {what}", path.display())).advise(advice))
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable(path, &error)),
        Ok(there) if !there.file_type().is_socket() => {
            taken("a file that is not a socket is there", "remove it, or choose another path")
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::debug!(event = "stale_socket", path = %path.display());
                fs::remove_file(path).map_err(|error| unusable(path, &error))
            }
            Err(error) => Err(unusable(path, &error)),
            Ok(_) => taken("another server listens there", "use that one, end it, or choose another path"),
        },
    }
}

fn unusable(path: &Path, error: &io::Error) -> Fault {
    Fault::system(Code::System, format!("can't listen on unix:{}: {error}", path.display()))
        .advise("give --listen unix:PATH in a directory that is there and that you can write into")
}

/// Whether the process at the other end may do what this process's user may: it is that user's, or root's. This very process
/// is not: it connects to itself only when a client has it forward a connection.
///
/// # Errors
/// It may not, for the reason given.
pub(super) fn admit(peer: &UCred) -> Result<(), Fault> {
    let own = rustix::process::geteuid().as_raw();
    let itself = peer.pid().is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id()));
    if itself {
        return Err(Fault::user(Code::Denied, "a server doesn't serve connections that it forwards to itself")
            .advise("connect to the socket from a process of your own"));
    }
    if peer.uid() == own || peer.uid() == 0 {
        return Ok(());
    }
    let what = format!("this server serves the user with the number {own}, and you are number {}", peer.uid());
    Err(Fault::user(Code::Denied, what).advise("connect as that user, or as root"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn refusal(path: &Path) -> String {
        bind(path).err().expect("it is refused").to_string()
    }

    #[test]
    fn a_socket_is_its_users_alone_and_goes_with_its_server() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let socket = bind(&path).expect("bound");
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert!(refusal(&path).contains("another server listens there"));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_server_left_is_replaced_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).expect("bound"));
        let first = bind(&path).expect("nobody listens there");
        fs::remove_file(&path).expect("removed");
        let second = bind(&path).expect("bound");
        drop(first);
        assert!(path.exists(), "it belongs to the second one");
        drop(second);
        fs::write(&path, "").expect("written");
        assert!(refusal(&path).contains("not a socket"));
        assert!(path.exists());
    }

    #[test]
    fn paths_that_are_too_long_or_others_can_replace_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let long = directory.path().join("x".repeat(120));
        let text = refusal(&long);
        assert!(text.contains("bytes") && text.contains("107 bytes at most"), "{text}");
        assert!(refusal(&directory.path().join("missing/socket")).contains("No such file"));
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("set");
        let text = refusal(&directory.path().join("socket"));
        assert!(text.contains("others can replace files") && text.contains("mode 0777"), "{text}");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).expect("set");
        bind(&directory.path().join("socket")).expect("as in /tmp");
    }
}
