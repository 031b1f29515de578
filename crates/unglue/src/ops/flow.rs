//! Bytes between a file and a stream, with a count and a digest of what went by.
//!
//! Files are read and written on a thread that may block; a few pieces wait in between, so that reading, hashing,
//! encrypting and writing overlap.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use unglue_host::store::{Incoming, Source};
use unglue_link::{RecvStream, SendStream};
use unglue_proto::message::Tally;
use unglue_proto::{Code, Fault, Meter};

/// Bytes that are read from a file at once.
const PIECE: usize = 256 * 1024;
/// Pieces on their way between the file's thread and the link's.
const PIECES: usize = 4;

/// Sends a whole file, and finishes the stream. `progress` hears the bytes sent so far.
///
/// # Errors
/// The file can't be read, or changed meanwhile; or the reader gave up. The stream is reset then.
pub(crate) async fn send_file(
    source: Source,
    mut stream: SendStream,
    mut progress: impl FnMut(u64),
) -> Result<Tally, Fault> {
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let reading = spawn_blocking(move || read_pieces(source, &sender));
    let mut sent = 0;
    while let Some(piece) = pieces.recv().await {
        sent += Bytes::len(&piece) as u64;
        stream.write_all(piece).await?;
        progress(sent);
    }
    let tally = join(reading).await?;
    stream.finish();
    Ok(tally)
}

fn read_pieces(mut source: Source, pieces: &mpsc::Sender<Bytes>) -> Result<Tally, Fault> {
    let mut meter = Meter::default();
    let (home, returned) = std::sync::mpsc::channel();
    loop {
        let mut buffer = returned.try_recv().unwrap_or_else(|_| vec![0; PIECE].into_boxed_slice());
        let len = source.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        meter.pass(&buffer[..len]);
        let piece = Bytes::from_owner(Loan { buffer, len, home: home.clone() });
        if pieces.blocking_send(piece).is_err() {
            return Err(Fault::user(Code::Cancelled, "the transfer was given up"));
        }
    }
    source.finish()?;
    Ok(meter.tally())
}

/// A buffer that goes home to be read into again once its bytes are sent. Fresh memory would cost a fault for each page.
struct Loan {
    buffer: Box<[u8]>,
    len: usize,
    home: std::sync::mpsc::Sender<Box<[u8]>>,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The file may have been read to its end meanwhile.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// What the writing thread is given.
enum Piece {
    Data(Bytes),
    /// Everything has come, and this is what the sender sent.
    End(Tally),
}

/// A file that is being received on a thread of its own.
pub(crate) struct Landing {
    pieces: mpsc::Sender<Piece>,
    writing: JoinHandle<Result<Tally, Fault>>,
}

impl Landing {
    /// Starts the thread; `open` makes the file there.
    pub(crate) fn start(open: impl FnOnce() -> Result<Incoming, Fault> + Send + 'static) -> Landing {
        let (pieces, receiver) = mpsc::channel(PIECES);
        Landing { pieces, writing: spawn_blocking(move || write_pieces(open()?, receiver)) }
    }

    /// Takes the whole stream. `progress` hears the bytes received so far. Returns early, without an error, if the file
    /// can't be written: [`Landing::settle`] says why.
    ///
    /// # Errors
    /// The sender gave up, or the link ended.
    pub(crate) async fn receive(&self, stream: &mut RecvStream, mut progress: impl FnMut(u64)) -> Result<(), Fault> {
        let mut received = 0;
        while let Some(data) = stream.read(PIECE).await? {
            received += data.len() as u64;
            if self.pieces.send(Piece::Data(data)).await.is_err() {
                break;
            }
            progress(received);
        }
        Ok(())
    }

    /// Compares with what the sender sent, and puts the file in place.
    ///
    /// # Errors
    /// Count or digest differ, or the file could not be written. The destination is as it was then.
    pub(crate) async fn settle(self, sent: Tally) -> Result<Tally, Fault> {
        // If the writer has failed already, it says why.
        let _ = self.pieces.send(Piece::End(sent)).await;
        join(self.writing).await
    }

    /// Whether the writer has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.pieces.is_closed()
    }

    /// Throws away what came, and gives the writer's own reason if it had one.
    pub(crate) async fn discard(self) -> Option<Fault> {
        drop(self.pieces);
        join(self.writing).await.err().filter(|fault| fault.code != Code::Cancelled)
    }
}

fn write_pieces(mut incoming: Incoming, mut pieces: mpsc::Receiver<Piece>) -> Result<Tally, Fault> {
    let mut meter = Meter::default();
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Data(data)) => {
                meter.pass(&data);
                incoming.write_all(&data)?;
            }
            Some(Piece::End(sent)) => {
                let tally = meter.tally();
                tally.verify(&sent, "the file")?;
                incoming.commit()?;
                return Ok(tally);
            }
            None => return Err(Fault::user(Code::Cancelled, "the transfer was given up")),
        }
    }
}

async fn join<T>(task: JoinHandle<Result<T, Fault>>) -> Result<T, Fault> {
    task.await.unwrap_or_else(|error| Err(Fault::us(format!("a file's thread ended badly: {error}"))))
}
