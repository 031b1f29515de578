//! Power cuts while a file arrives whose transfer is resumed: the next run goes on, sends a bounded part again, and the file is right.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use unglue_host::store::{BlockSink, DiskSink, Partials, Sink as _, Store, StoreError, WriteOptions};
use unglue_proto::blocks::{BLOCK, Blocks, Hashing};

use super::store_full::{directory, try_child};
use super::store_power::{Numbers, cut_power, cuts, mount_again, on_ext4};

/// Fourteen blocks and a part.
const SIZE: u64 = 14 * BLOCK + 1_000_003;
/// Bytes that are written at once.
const PIECE: u64 = 1 << 20;
/// What may have to be written again after a cut: a block that is being synced, one that waits for that, the one that is
/// being written, and what waits to be written.
const LOST: u64 = 3 * BLOCK + (2 << 20);

#[test]
fn a_power_cut_takes_a_bounded_part_of_what_was_kept() {
    let rounds = rounds();
    let part = "store_power_kept::part_cuts";
    if let Some((passes, output)) = try_child(part, &on_ext4(420, ""), 90 + 15 * rounds) {
        assert!(passes, "{output}");
        let cuts = output.lines().filter(|line| line.contains("power cut")).collect::<Vec<_>>().join("\n");
        eprintln!("{cuts}");
    }
}

/// Each has two cuts.
fn rounds() -> u64 {
    cuts().div_ceil(4)
}

#[test]
fn part_cuts() {
    let Some(directory) = directory() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut numbers = Numbers(11);
    for round in 0..rounds() {
        let scene = Scene { directory: directory.clone(), round };
        let mut proved = 0;
        for cut in 0..2 {
            let at = proved + numbers.below((SIZE - proved).div_ceil(PIECE)) * PIECE;
            proved = runtime.block_on(scene.broken_off(proved, at));
            mount_again(&directory);
            proved = scene.proved(at.max(proved), cut, &runtime);
        }
        runtime.block_on(scene.completed(proved));
        mount_again(&directory);
        scene.is_complete();
    }
}

struct Scene {
    directory: PathBuf,
    round: u64,
}

impl Scene {
    fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    fn store(&self) -> Store {
        let partials = Partials::open(&self.disk().join("state")).expect("records");
        Store::confined(&self.disk()).expect("a store").with_partials(partials)
    }

    async fn sink(&self, store: &Store) -> DiskSink {
        let options = WriteOptions { mode: 0o644, resume: true, size: Some(SIZE), ..WriteOptions::default() };
        store.sink("file".as_ref(), "file".as_ref(), options).await.expect("a sink")
    }

    /// The bytes of the file from an offset on.
    fn bytes(&self, at: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        let mut digest = blake3::Hasher::new().update(&self.round.to_be_bytes()).finalize_xof();
        digest.set_position(at);
        digest.fill(&mut bytes);
        bytes
    }

    /// A transfer that goes on after the `proved` bytes that are there; the power is cut when it has come to `at`. Gives `proved`.
    async fn broken_off(&self, proved: u64, at: u64) -> u64 {
        let disk = rustix::fs::open(self.disk(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        let store = self.store();
        let sink = self.sink(&store).await;
        // What comes after the cut fails, or is lost.
        let _ = self.send(sink, proved, at, Some(&disk)).await;
        store.idle().await;
        proved
    }

    /// Sends what follows the `proved` bytes; the power is cut at `at`.
    async fn send(
        &self,
        mut sink: DiskSink,
        proved: u64,
        at: u64,
        disk: Option<&std::os::fd::OwnedFd>,
    ) -> Result<Option<BlockSink>, StoreError> {
        let cut = |from| {
            if let Some(disk) = disk.filter(|_| from == at) {
                cut_power(disk);
            }
        };
        if proved == 0 {
            for from in (0..SIZE).step_by(PIECE as usize) {
                cut(from);
                sink.write(Bytes::from(self.bytes(from, PIECE.min(SIZE - from)))).await?;
            }
            sink.written().await?;
            sink.commit().await?;
            return Ok(None);
        }
        let blocks = Blocks::of(SIZE).expect("blocks");
        let mut sink = sink.into_blocks(blocks)?;
        for block in (proved / BLOCK) as u32..blocks.count() {
            let range = blocks.range(block).expect("a block");
            sink.begin(block).await?;
            for from in range.clone().step_by(PIECE as usize) {
                cut(from);
                sink.write(Bytes::from(self.bytes(from, PIECE.min(range.end - from)))).await?;
            }
            sink.end().await?;
        }
        Ok(Some(sink))
    }

    /// The bytes of the blocks at the front that are right. `at` bytes had come when the power was cut.
    fn proved(&self, at: u64, cut: u64, runtime: &tokio::runtime::Runtime) -> u64 {
        let store = self.store();
        let swept = Partials::open(&self.disk().join("state")).and_then(|partials| partials.sweep()).expect("swept");
        let (kept, right) = runtime.block_on(async {
            let sink = self.sink(&store).await;
            let kept = sink.kept();
            let blocks = Blocks::of(SIZE).expect("blocks");
            let sink = sink.into_blocks(blocks).expect("blocks");
            let prover = sink.prover();
            let mut right = 0;
            for block in 0..blocks.within(kept) {
                let range = blocks.range(block).expect("a block");
                let mut hashing = Hashing::of(block);
                hashing.pass(&self.bytes(range.start, range.end - range.start));
                if prover.digest(block).await != Some(hashing.digest()) {
                    break;
                }
                right = range.end;
            }
            sink.set_aside().await;
            (kept, right)
        });
        let round = self.round;
        println!("power cut {cut} of round {round}: {at} bytes had come, {kept} were kept, {right} are right");
        assert!(right + LOST >= at, "cut {cut} of round {round}: {at} bytes had come, {right} are there");
        // A file without a record would stay for ever.
        assert!(kept < BLOCK || swept.kept == 1, "{kept} bytes are kept: {swept:?}");
        right
    }

    async fn completed(&self, proved: u64) {
        let store = self.store();
        let sink = self.sink(&store).await;
        if let Some(sink) = self.send(sink, proved, 0, None).await.expect("it is written") {
            sink.commit().await.expect("it is complete");
        }
        store.idle().await;
    }

    fn is_complete(&self) {
        let path = self.disk().join("file");
        let file = fs::File::open(&path).expect("the file");
        assert_eq!(file.metadata().expect("it is there").len(), SIZE);
        let mut piece = vec![0; PIECE as usize];
        for from in (0..SIZE).step_by(PIECE as usize) {
            let piece = &mut piece[..PIECE.min(SIZE - from) as usize];
            file.read_exact_at(piece, from).expect("it is read");
            assert!(*piece == self.bytes(from, piece.len() as u64), "round {}: other bytes from {from} on", self.round);
        }
        drop(file);
        assert_eq!(hidden(&self.disk()), 0);
        fs::remove_file(path).expect("removed");
        // Or the next power cut brings it back, and the disk is full.
        fs::File::open(self.disk()).and_then(|disk| disk.sync_all()).expect("synced");
    }
}

fn hidden(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    entries.filter(|name| name.as_encoded_bytes().starts_with(b".file")).count()
}
