//! The socket of a forwarded connection, and how one is opened.

use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use unglue_host::process::errno_name;
use unglue_proto::limits::CONNECT;
use unglue_proto::{Code, Fault};

use super::place::Place;
use super::resolve::Resolver;

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connects to a place within [`CONNECT`].
    ///
    /// # Errors
    /// [`Code::Unreachable`] or [`Code::TimedOut`].
    pub(super) async fn connect(place: &Place, resolver: &Resolver) -> Result<Socket, Fault> {
        let connecting = async {
            match place {
                Place::Tcp { host, port } => connect_tcp(host, *port, resolver).await,
                Place::Unix(path) => connect_unix(path).await,
            }
        };
        match timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(|error| failed(&format!("can't connect to {place}"), &error)),
            Err(_) => {
                let what = format!("can't connect to {place}: no answer within {} s", CONNECT.as_secs());
                Err(Fault::system(Code::TimedOut, what).errno("ETIMEDOUT"))
            }
        }
    }

    pub(super) fn tcp(tcp: TcpStream) -> Socket {
        // What is typed travels at once. A socket that is broken already fails at its first use.
        let _ = tcp.set_nodelay(true);
        Socket::Tcp(tcp)
    }

    async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Socket::Tcp(tcp) => tcp.ready(interest).await.map(drop),
            Socket::Unix(unix) => unix.ready(interest).await.map(drop),
        }
    }

    /// Waits until there is something to read, or the end.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await
    }

    /// Waits until the connection is reset; for a direction that neither reads nor writes.
    pub(super) async fn failed(&self) -> io::Error {
        if let Err(error) = self.ready(Interest::ERROR).await {
            return error;
        }
        let pending = SockRef::from(self).take_error();
        pending.ok().flatten().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
    }

    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.try_read_buf(buffer),
            Socket::Unix(unix) => unix.try_read_buf(buffer),
        }
    }

    pub(super) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.try_write(data),
            Socket::Unix(unix) => unix.try_write(data),
        }
    }

    /// Writes all of `data`. Cancelled, it has written some prefix of it.
    pub(super) async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match self.try_write(data) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => data = &data[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads exactly so many bytes, and no more. Cancelled, it may have read some.
    pub(super) async fn read_exact(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            self.readable().await?;
            let mut rest = BytesMut::with_capacity(length - filled);
            let mut limited = bytes::BufMut::limit(&mut rest, length - filled);
            let read = match self {
                Socket::Tcp(tcp) => tcp.try_read_buf(&mut limited),
                Socket::Unix(unix) => unix.try_read_buf(&mut limited),
            };
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    bytes[filled..filled + read].copy_from_slice(&rest);
                    filled += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    /// Ends the direction that is written.
    pub(super) fn finish(&self) -> io::Result<()> {
        match SockRef::from(self).shutdown(Shutdown::Write) {
            // The other end has gone already, with all that it was sent.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    /// Closes the connection so that the other end sees a reset, not an end: what it has is not all.
    pub(super) fn reset(self) {
        if let Socket::Tcp(tcp) = &self {
            // Where it fails, the connection just closes.
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }
}

impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Socket::Tcp(tcp) => tcp.as_fd(),
            Socket::Unix(unix) => unix.as_fd(),
        }
    }
}

/// Tries one address after the other. The error is the last one's.
async fn connect_tcp(host: &str, port: u16, resolver: &Resolver) -> io::Result<Socket> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in resolver.addresses(host, port).await? {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(Socket::tcp(tcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_unix(path: &Path) -> io::Result<Socket> {
    UnixStream::connect(path).await.map(Socket::Unix)
}

/// A refusal of the system.
pub(super) fn failed(what: &str, error: &io::Error) -> Fault {
    let fault = Fault::system(Code::Unreachable, format!("{what}: {error}"));
    match error.raw_os_error().and_then(errno_name) {
        Some(name) => fault.errno(name),
        None => fault,
    }
}
