//! Standard input, on its way to the command.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use unglue::{Flow, Input};

use crate::blocking;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;
/// Pieces read ahead.
const PIECES: usize = 4;

/// What was read.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    /// The end of standard input. Only this is the end: a reader that has gone is a failure.
    End,
}

/// Feeds standard input to the command until its end, or until the command reads no more.
///
/// # Errors
/// Standard input can't be read. The input is broken off then, which kills the command: a part must not pass for the whole.
pub(super) async fn feed(mut input: Input) -> io::Result<()> {
    match feed_all(&mut input).await {
        Ok(true) => input.finish(),
        // The command reads no more.
        Ok(false) => {}
        Err(error) => {
            // A drop would leave the input of a command that outlives its link open, for the next client.
            input.abort();
            return Err(error);
        }
    }
    Ok(())
}

/// Whether the end of standard input was reached; otherwise the command reads no more.
async fn feed_all(input: &mut Input) -> io::Result<bool> {
    let mut pieces = read_ahead(standard_input())?;
    loop {
        let piece = tokio::select! {
            biased;
            () = input.stopped() => return Ok(false),
            piece = next(&mut pieces) => piece?,
        };
        match piece {
            Piece::Data(data) => {
                // That it reads no more is in the report.
                if input.write_all(data).await.is_err() {
                    return Ok(false);
                }
            }
            Piece::End => return Ok(true),
        }
    }
}

async fn next(pieces: &mut mpsc::Receiver<io::Result<Piece>>) -> io::Result<Piece> {
    let gone = || Err(io::Error::other("the thread that reads it ended before its end"));
    pieces.recv().await.unwrap_or_else(gone)
}

/// Reads standard input: a pipe in full flow from time to time only, when it holds many bytes.
fn standard_input() -> impl FnMut(&mut [u8]) -> rustix::io::Result<usize> + Send + 'static {
    let (mut flow, mut wide, mut pauses) = (Flow::new(Instant::now()), None, false);
    move |buffer| {
        if std::mem::take(&mut pauses) {
            std::thread::sleep(Flow::TICK);
        }
        let stdin = rustix::stdio::stdin();
        let read = rustix::io::read(stdin, &mut *buffer)?;
        flow.count(read, Instant::now());
        pauses = flow.is_full() && read < buffer.len() && *wide.get_or_insert_with(|| unglue::widen(stdin));
        Ok(read)
    }
}

/// Reads on a thread of its own, which may block in it for as long as this process lives.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn read_ahead(
    mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize> + Send + 'static,
) -> io::Result<mpsc::Receiver<io::Result<Piece>>> {
    let (sender, pieces) = mpsc::channel(PIECES);
    blocking::spawn("unglue-stdin", move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match read(&mut buffer) {
                Ok(0) => Ok(Piece::End),
                Ok(n) => Ok(Piece::Data(Bytes::copy_from_slice(&buffer[..n]))),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => match wait_readable() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(errno) => Err(errno.into()),
            };
            let last = !matches!(piece, Ok(Piece::Data(_)));
            if sender.blocking_send(piece).is_err() || last {
                return;
            }
        }
    })?;
    Ok(pieces)
}

/// Somebody else has set the shared descriptor non-blocking.
fn wait_readable() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    poll(&mut [PollFd::new(&rustix::stdio::stdin(), PollFlags::IN)], None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Reads all there is, on a runtime of its own.
    fn all(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize> + Send + 'static) -> (usize, io::Result<Piece>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut pieces = read_ahead(read).expect("a thread");
            let mut bytes = 0;
            loop {
                match next(&mut pieces).await {
                    Ok(Piece::Data(data)) => bytes += data.len(),
                    last => return (bytes, last),
                }
            }
        })
    }

    #[test]
    fn only_the_end_is_the_end() {
        let reads = AtomicUsize::new(0);
        let (bytes, last) = all(move |_| Ok([5, 0][reads.fetch_add(1, Ordering::Relaxed)]));
        assert!(bytes == 5 && matches!(last, Ok(Piece::End)), "{last:?}");
        let (_, last) = all(|_| Err(rustix::io::Errno::IO));
        assert_eq!(last.expect_err("an error").raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    }

    #[test]
    fn a_reader_that_panics_is_not_the_end_of_the_input() {
        let reads = AtomicUsize::new(0);
        let (bytes, last) = all(move |_| match reads.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(5),
            _ => panic!("on purpose"),
        });
        assert_eq!(bytes, 5);
        assert!(last.expect_err("an error").to_string().contains("ended before its end"));
    }
}
