//! The standard input and output of this process as one connection: what an `ssh` process gives the program that it starts.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;

use rustix::fs::{FileType, fstat};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

type Reader = Pin<Box<dyn AsyncRead + Send>>;
type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// Standard input and output, which must be pipes or sockets. Must be called within a tokio runtime; nothing else may use them
/// afterwards.
///
/// # Errors
/// They are something else, such as a terminal or a file; or the system refuses.
pub fn stdio() -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>> {
    let input = reader(io::stdin().as_fd().try_clone_to_owned()?)?;
    let output = writer(io::stdout().as_fd().try_clone_to_owned()?)?;
    Ok(tokio::io::join(input, output))
}

fn reader(fd: OwnedFd) -> io::Result<Reader> {
    match kind(&fd)? {
        FileType::Socket => Ok(Box::pin(socket(fd)?)),
        _ => Ok(Box::pin(pipe::Receiver::from_owned_fd(fd)?)),
    }
}

fn writer(fd: OwnedFd) -> io::Result<Writer> {
    match kind(&fd)? {
        FileType::Socket => Ok(Box::pin(socket(fd)?)),
        _ => Ok(Box::pin(pipe::Sender::from_owned_fd(fd)?)),
    }
}

fn kind(fd: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn pipes_and_sockets_carry_bytes_and_files_are_refused() {
        let (input, output) = rustix::pipe::pipe().expect("a pipe");
        let (mut input, mut output) = (reader(input).expect("a reader"), writer(output).expect("a writer"));
        output.write_all(b"by a pipe").await.expect("written");
        let mut buffer = [0; 9];
        input.read_exact(&mut buffer).await.expect("read");
        assert_eq!(&buffer, b"by a pipe");

        let (a, b) = StdUnixStream::pair().expect("a pair");
        let (mut input, mut output) = (reader(a.into()).expect("a reader"), writer(b.into()).expect("a writer"));
        output.write_all(b"by socket").await.expect("written");
        input.read_exact(&mut buffer).await.expect("read");
        assert_eq!(&buffer, b"by socket");

        let file = std::fs::File::open("/dev/null").expect("a file");
        assert!(reader(file.into()).is_err());
    }
}
