//! Standard input, on its way to the command.

use std::io;
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;
use unglue::Input;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;
/// Pieces read ahead.
const PIECES: usize = 4;

/// Feeds standard input to the command until its end, or until the command reads no more.
///
/// # Errors
/// Standard input can't be read. The input is cut off then, which kills the command: a part must not pass for the whole.
pub(super) async fn feed(mut input: Input) -> io::Result<()> {
    let mut pieces = read_ahead();
    loop {
        let piece = tokio::select! {
            biased;
            () = input.stopped() => return Ok(()),
            piece = pieces.recv() => piece,
        };
        match piece {
            Some(Ok(data)) => {
                // That it reads no more is in the report.
                if input.write_all(data).await.is_err() {
                    return Ok(());
                }
            }
            Some(Err(error)) => return Err(error),
            None => {
                input.finish();
                return Ok(());
            }
        }
    }
}

/// Reads on a thread of its own, which may block in it for as long as this process lives.
fn read_ahead() -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, pieces) = mpsc::channel(PIECES);
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) => return,
                Ok(n) => Ok(Bytes::copy_from_slice(&buffer[..n])),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => match wait_readable() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(errno) => Err(errno.into()),
            };
            let failed = piece.is_err();
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    pieces
}

/// Somebody else has set the shared descriptor non-blocking.
fn wait_readable() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    poll(&mut [PollFd::new(&rustix::stdio::stdin(), PollFlags::IN)], None)?;
    Ok(())
}
