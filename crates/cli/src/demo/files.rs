//! The second act: a file there and back.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use unglue::{Client, Download, Store, TransferOptions, Upload};

use super::Stopped;
use super::screen::{Screen, Tone, count, short};
use super::stage::Stage;
use crate::complaint::Complaint;
use crate::progress::Bar;

/// How long the file is, in bytes.
const SIZE: u64 = 100_000_000;
/// Bytes made at once.
const PIECE: usize = 1 << 20;

/// Sends a file to the server, fetches it back, and compares.
pub(super) async fn act(client: &Client, stage: &Stage, screen: &mut Screen) -> Result<(), Stopped> {
    screen.title(2, "Files: complete and verified under their name, or not there at all")?;
    let directory = stage.directory().to_owned();
    let (made, back) = (directory.join("made.bin"), directory.join("back.bin"));
    let path = made.clone();
    let digest = blocking(move || make(&path)).await?;
    screen.remark(Tone::Faint, &format!("made a file of {} bytes, blake3 {}…", count(SIZE), short(&digest)))?;
    let store = Store::home(&directory).map_err(|error| Complaint::from(error.fault()))?;

    screen.prompt("put made.bin there.bin")?;
    let bar = Bar::of("there.bin");
    let options = TransferOptions::default().progress(bar.listener());
    let started = Instant::now();
    let tally = client.put(Upload::file(&store, &made), "there.bin", options).await?;
    bar.finish();
    moved(screen, "sent, synced on the server's disk, and verified", tally.bytes, started.elapsed())?;

    screen.prompt("get there.bin back.bin")?;
    let bar = Bar::of("back.bin");
    let options = TransferOptions::default().progress(bar.listener());
    let started = Instant::now();
    let tally = client.get("there.bin", Download::file(&store, &back), options).await?;
    bar.finish();
    moved(screen, "fetched, synced on this disk, and verified", tally.bytes, started.elapsed())?;

    let there = stage.served().join("there.bin");
    let digests = blocking(move || Ok([made, there, back].map(|path| reread_and_remove(&path)))).await?;
    compare(screen, &digest, digests)
}

fn moved(screen: &mut Screen, what: &str, bytes: u64, took: Duration) -> Result<(), Stopped> {
    let rate = bytes as f64 / took.as_secs_f64() / 1e6;
    let text = format!("{} bytes {what}, in {:.2} s: {rate:.0} MB/s", count(bytes), took.as_secs_f64());
    screen.remark(Tone::Good, &text)
}

/// Reads all three files once more: nothing is taken on trust.
fn compare(screen: &mut Screen, digest: &str, reread: [io::Result<String>; 3]) -> Result<(), Stopped> {
    for (name, found) in ["made.bin", "there.bin", "back.bin"].into_iter().zip(reread) {
        let found = found?;
        let (tone, verdict) = if found == digest { (Tone::Good, "the same") } else { (Tone::Bad, "another file!") };
        screen.remark(tone, &format!("{name:<9}  read again: blake3 {}…  {verdict}", short(&found)))?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Stopped> {
    Ok(spawn_blocking(work).await.map_err(io::Error::from)??)
}

/// Makes a file of bytes that no compression helps with, and gives its digest.
fn make(path: &Path) -> io::Result<String> {
    let mut noise = blake3::Hasher::new().update(b"unglue demo").finalize_xof();
    let (mut file, mut hasher) = (File::create(path)?, blake3::Hasher::new());
    let mut piece = vec![0; PIECE];
    let mut left = SIZE;
    while left > 0 {
        let len = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
        noise.fill(&mut piece[..len]);
        hasher.update(&piece[..len]);
        file.write_all(&piece[..len])?;
        left -= len as u64;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Gives a file's digest. It is not needed any more then, and the last act lists the same files as the first.
fn reread_and_remove(path: &PathBuf) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    std::fs::remove_file(path)?;
    Ok(hasher.finalize().to_hex().to_string())
}
