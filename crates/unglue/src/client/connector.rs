//! Connections that authenticate both ends by themselves: a process that carries the bytes, or a unix socket.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;

use tokio::net::UnixStream;
use unglue_link::{BoxedIo, ChildProcess};
use unglue_proto::{Code, Fault};

/// Why a connector made no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NotConnected {
    /// Another attempt may make one.
    #[error("{}", .0.what)]
    Passing(Fault),
    /// Another attempt would fail in the same way.
    #[error("{}", .0.what)]
    Lasting(Fault),
}

impl From<NotConnected> for Fault {
    fn from(error: NotConnected) -> Fault {
        match error {
            NotConnected::Passing(fault) | NotConnected::Lasting(fault) => fault,
        }
    }
}

/// A connection that is being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<BoxedIo, NotConnected>> + Send + 'a>>;

/// Makes connections to one server that authenticate both ends by themselves: each call makes another one. A client uses it
/// again when a link is lost under a command that goes on.
///
/// ```
/// use unglue::client::{Connecting, Connector, NotConnected};
/// use unglue::{Code, Fault};
///
/// /// What a proxy on this machine listens on.
/// struct Proxy(std::path::PathBuf);
///
/// impl Connector for Proxy {
///     fn connect(&self) -> Connecting<'_> {
///         Box::pin(async move {
///             let stream = tokio::net::UnixStream::connect(&self.0).await;
///             let away = |error: std::io::Error| NotConnected::Passing(Fault::system(Code::Unreachable, error.to_string()));
///             Ok(Box::new(stream.map_err(away)?) as _)
///         })
///     }
/// }
/// ```
pub trait Connector: Send + Sync {
    /// Makes a connection on which a server waits for a hello. Dropped before that, it leaves nothing behind.
    fn connect(&self) -> Connecting<'_>;
}

/// A process whose standard input and output are the connection; started anew for each connection.
pub(super) struct Spawning<F>(pub(super) F);

impl<F: Fn() -> Command + Send + Sync> Connector for Spawning<F> {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let command = (self.0)();
            let name = command.get_program().to_owned();
            let process = ChildProcess::spawn(command).map_err(|error| {
                let what = format!("{} could not be started: {error}", name.display());
                let fault = Fault::system(Code::Unreachable, what);
                NotConnected::Passing(fault.advise("check that the program is there and may be executed"))
            })?;
            Ok(Box::new(process) as BoxedIo)
        })
    }
}

/// A unix socket that a server listens on.
pub(super) struct UnixSocket(pub(super) PathBuf);

impl Connector for UnixSocket {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let unreachable = |error: std::io::Error| unreachable(&self.0, &error);
            let stream = UnixStream::connect(&self.0).await.map_err(unreachable)?;
            trusted(&self.0, stream.peer_cred().map_err(unreachable)?.uid())?;
            Ok(Box::new(stream) as BoxedIo)
        })
    }
}

/// A server of another user could take what it is sent. Root may connect to any user's.
fn trusted(path: &Path, server: u32) -> Result<(), NotConnected> {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 || server == own || server == 0 {
        return Ok(());
    }
    let what = format!("the server at unix:{} is of the user with the number {server}, not yours", path.display());
    let fault = Fault::user(Code::UntrustedHost, what).advise("connect to a server of your own, or of root");
    Err(NotConnected::Lasting(fault))
}

fn unreachable(path: &Path, error: &std::io::Error) -> NotConnected {
    use std::io::ErrorKind::{ConnectionRefused, InvalidInput, NotFound, PermissionDenied};
    let advice = match error.kind() {
        NotFound => "check the path, and that unglue serve --listen unix:PATH runs there",
        ConnectionRefused => {
            "the server that made this socket is gone: start it again with unglue serve --listen unix:PATH"
        }
        PermissionDenied => {
            "only the server's own user and root are admitted: check the modes of the path's directories"
        }
        InvalidInput => "the path of a unix socket has 107 bytes at most: use a shorter one, or a symbolic link",
        _ => "check that unglue serve --listen unix:PATH runs there",
    };
    let what = format!("can't connect to unix:{}: {error}", path.display());
    NotConnected::Passing(Fault::system(Code::Unreachable, what).advise(advice))
}
