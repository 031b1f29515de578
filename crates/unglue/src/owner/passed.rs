//! A link on descriptors that another process has passed to the owner: no process copies its bytes.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use unglue_link::Descriptors;

/// The descriptors, and the connection to the process that passed them. The link ends with that process, and that process
/// with the link.
pub(crate) struct Passed {
    io: Descriptors,
    process: UnixStream,
}

impl Passed {
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There are not two descriptors, an input and an output, or they are neither pipes nor sockets.
    pub(crate) fn new(descriptors: Vec<OwnedFd>, process: UnixStream) -> Result<Passed, (io::Error, UnixStream)> {
        let io = match <[OwnedFd; 2]>::try_from(descriptors) {
            Ok([input, output]) => Descriptors::new(input, output),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "two descriptors are needed")),
        };
        match io {
            Ok(io) => Ok(Passed { io, process }),
            Err(error) => Err((error, process)),
        }
    }

    /// Answers the process. Dropped, it has sent the answer or nothing.
    pub(crate) async fn answer(&mut self, answer: u8) -> io::Result<()> {
        use tokio::io::AsyncWriteExt as _;
        self.process.write_all(&[answer]).await
    }

    /// Waits until the process has ended. It sends nothing.
    fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.process.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match self.process.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Passed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(cx, buffer) {
            Poll::Pending => self.poll_ended(cx).map(Ok),
            read => read,
        }
    }
}

impl AsyncWrite for Passed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// The process has the output open, too: it learns that it is to end.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        Pin::new(&mut self.process).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A link's connection, the feed of its input, what it puts out, and the process's end of the socket.
    fn passed() -> (Passed, OwnedFd, std::fs::File, UnixStream) {
        let (input, feed) = rustix::pipe::pipe().expect("a pipe");
        let (out, output) = rustix::pipe::pipe().expect("a pipe");
        let (owner, process) = UnixStream::pair().expect("a pair");
        let Ok(passed) = Passed::new(vec![input, output], owner) else { panic!("pipes are taken") };
        (passed, feed, out.into(), process)
    }

    #[tokio::test]
    async fn bytes_go_by_the_descriptors_and_the_process_learns_of_the_end() {
        let (mut passed, feed, mut out, mut process) = passed();
        rustix::io::write(&feed, b"in").expect("written");
        let mut read = [0; 2];
        passed.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"in");
        passed.write_all(b"out").await.expect("written");
        passed.shutdown().await.expect("shut");
        assert_eq!(process.read(&mut [0]).await.expect("an end"), 0);
        let mut text = String::new();
        io::Read::read_to_string(&mut out, &mut text).expect("an end");
        assert_eq!(text, "out");
    }

    #[tokio::test]
    async fn it_ends_with_the_process_though_the_descriptors_are_open() {
        let (mut passed, _feed, _out, process) = passed();
        let end = tokio::spawn(async move { passed.read(&mut [0]).await });
        tokio::task::yield_now().await;
        drop(process);
        assert_eq!(end.await.expect("no panic").expect("an end"), 0);
    }

    #[tokio::test]
    async fn other_descriptors_are_refused() {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("a file"));
        for descriptors in [vec![], vec![file()], vec![file(), file()]] {
            let (owner, _process) = UnixStream::pair().expect("a pair");
            assert!(Passed::new(descriptors, owner).is_err());
        }
    }
}
