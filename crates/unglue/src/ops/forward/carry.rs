//! One connection: both directions at the same time, each at its own pace, until both have ended or one has broken.

use std::io;

use bytes::BytesMut;
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::message::forward::Carried;
use unglue_proto::{Code, Fault};

use super::socket::Socket;

/// Bytes that are read from a socket at once, at first and at most: as many as its sender makes use of.
const READ: [usize; 2] = [16 * 1024, 256 * 1024];

/// Bytes that are taken from a stream at once.
const TAKE: usize = 256 * 1024;

/// Why a connection broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The socket on this machine.
    #[error("the connection was broken on this machine: {0}")]
    Socket(#[from] io::Error),
    /// The other machine broke it, or the link has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// There is no connection on the other machine.
    #[error("{0}")]
    Declined(Fault),
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Fault {
        match broken {
            Broken::Socket(_) => Fault::system(Code::System, broken.to_string()),
            Broken::Stream(StreamError::Reset(_)) => {
                Fault::system(Code::Cancelled, "the connection was reset on the other machine")
            }
            Broken::Stream(error) => error.into(),
            Broken::Declined(fault) => fault,
        }
    }
}

/// Carries what `socket` sends to `up`, and what `down` brings to the socket; `down` may come later, while the socket's bytes
/// travel already. The socket is closed at the end: in order if both directions ended in order, else with a reset. Dropped, it
/// resets all of it.
pub(super) async fn carry(
    socket: Socket,
    up: SendStream,
    down: impl Future<Output = Result<RecvStream, Fault>>,
) -> Result<Carried, Broken> {
    let guard = ResetOnDrop(Some(socket));
    let Some(socket) = &guard.0 else { return Ok(Carried::default()) };
    let downwards = async {
        let stream = down.await.map_err(Broken::Declined)?;
        to_socket(socket, stream).await
    };
    let (received, sent) = tokio::try_join!(from_socket(socket, up), downwards)?;
    guard.close();
    Ok(Carried { sent, received })
}

/// A socket that is reset unless it was closed.
struct ResetOnDrop(Option<Socket>);

impl ResetOnDrop {
    fn close(mut self) {
        drop(self.0.take());
    }
}

impl Drop for ResetOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            socket.reset();
        }
    }
}

/// Memory is taken once there is something to read: an idle connection has no buffer.
async fn from_socket(socket: &Socket, mut up: SendStream) -> Result<u64, Broken> {
    let [least, most] = READ;
    let (mut total, mut size) = (0, least);
    loop {
        tokio::select! {
            biased;
            readable = socket.readable() => readable?,
            why = up.stopped() => return Err(why.into()),
        }
        let mut buffer = BytesMut::with_capacity(size);
        match socket.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                total += read as u64;
                if read >= size {
                    size = most.min(2 * size);
                } else if read < size / 4 {
                    size = least.max(size / 2);
                }
                up.write_all(buffer.freeze()).await?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    up.finish();
    Ok(total)
}

async fn to_socket(socket: &Socket, mut down: RecvStream) -> Result<u64, Broken> {
    let mut total = 0;
    loop {
        let read = tokio::select! {
            biased;
            read = down.read(TAKE) => read?,
            // Also where the other direction has ended, and nobody reads the socket any more.
            error = socket.failed() => return Err(error.into()),
        };
        let Some(data) = read else { break };
        total += data.len() as u64;
        socket.write_all(&data).await?;
    }
    socket.finish()?;
    Ok(total)
}
