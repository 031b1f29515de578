//! Two descriptors as one connection, such as what an `ssh` process gives the program that it starts: its standard input and
//! output.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::{FileType, fstat};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::room::widen;

/// An input and an output, each a pipe or a socket, as one connection. Shut down, it closes the output.
pub struct Descriptors {
    input: Pin<Box<dyn AsyncRead + Send>>,
    output: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

/// Standard input and output, which must be pipes or sockets. Must be called within a tokio runtime; nothing else may use them
/// afterwards.
///
/// # Errors
/// They are something else, such as a terminal or a file; or the system refuses.
pub fn stdio() -> io::Result<Descriptors> {
    Descriptors::new(io::stdin().as_fd().try_clone_to_owned()?, io::stdout().as_fd().try_clone_to_owned()?)
}

impl Descriptors {
    /// Must be called within a tokio runtime. Both descriptors become non-blocking, for each process that shares them.
    ///
    /// # Errors
    /// One is neither a pipe nor a socket, or is the wrong end of a pipe; or the system refuses.
    pub fn new(input: OwnedFd, output: OwnedFd) -> io::Result<Descriptors> {
        Ok(Descriptors { input: reader(input)?, output: Some(writer(output)?) })
    }
}

fn reader(fd: OwnedFd) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
    Ok(match kind(&fd)? {
        FileType::Socket => Box::pin(socket(fd)?),
        _ => {
            widen(&fd);
            Box::pin(pipe::Receiver::from_owned_fd(fd)?)
        }
    })
}

fn writer(fd: OwnedFd) -> io::Result<Pin<Box<dyn AsyncWrite + Send>>> {
    Ok(match kind(&fd)? {
        FileType::Socket => Box::pin(socket(fd)?),
        _ => {
            widen(&fd);
            Box::pin(pipe::Sender::from_owned_fd(fd)?)
        }
    })
}

fn kind(fd: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

impl AsyncRead for Descriptors {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Descriptors {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.output {
            Some(output) => output.as_mut().poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.output {
            Some(output) => output.as_mut().poll_write_vectored(cx, pieces),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(output) = &mut self.output else { return Poll::Ready(Ok(())) };
        let shut = output.as_mut().poll_shutdown(cx);
        if shut.is_ready() {
            self.output = None;
        }
        shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn pipes_and_sockets_carry_bytes_and_files_are_refused() {
        let (input, output) = rustix::pipe::pipe().expect("a pipe");
        let mut both = Descriptors::new(input, output).expect("pipes");
        both.write_all(b"by a pipe").await.expect("written");
        both.shutdown().await.expect("closed");
        let mut read = Vec::new();
        both.read_to_end(&mut read).await.expect("read");
        assert_eq!(read, b"by a pipe");
        assert!(both.write_all(b"x").await.is_err(), "its output is closed");

        let (a, b) = StdUnixStream::pair().expect("a pair");
        let mut both = Descriptors::new(a.into(), b.into()).expect("sockets");
        both.write_all(b"by socket").await.expect("written");
        both.shutdown().await.expect("closed");
        let mut read = Vec::new();
        both.read_to_end(&mut read).await.expect("read");
        assert_eq!(read, b"by socket");

        let file = || std::fs::File::open("/dev/null").expect("a file").into();
        let (input, output) = rustix::pipe::pipe().expect("a pipe");
        assert!(Descriptors::new(file(), output).is_err());
        assert!(Descriptors::new(input, file()).is_err());
        let (input, output) = rustix::pipe::pipe().expect("a pipe");
        assert!(Descriptors::new(output, input).is_err(), "the wrong ends");
    }
}
