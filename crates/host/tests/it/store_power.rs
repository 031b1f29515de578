//! Power cuts while trees arrive: ext4 on a loop device that stops writing at once (`FS_IOC_SHUTDOWN`, without flushing its log).
//! `UNGLUE_CUTS=200` is the long form.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use unglue_host::store::Store;
use unglue_proto::message::tree::{Layout, TreeOptions};

use super::store_full::{directory, in_child, try_child};
use super::tree_ends::pump;

/// `EXT4_IOC_SHUTDOWN`, which is `FS_IOC_SHUTDOWN` (linux/fs.h).
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// Without flushing the log, as when the power is cut.
const NO_LOG_FLUSH: u32 = 2;

/// ext4 is not to guess which files matter: by default it writes a file's data before a rename that replaces another one.
const OPTIONS: &str = "loop,noauto_da_alloc,commit=300";

pub(crate) fn cuts() -> u64 {
    std::env::var("UNGLUE_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// Mounts an ext4 of so many MiB at `$0/disk`, and runs the part under `tracer`.
pub(crate) fn on_ext4(mib: u32, tracer: &str) -> String {
    format!(
        "lacks() {{ echo \"$1\" >&2; exit 77; }}
        [ $(id -u) = 0 ] || lacks 'only root mounts file systems'
        command -v mkfs.ext4 >/dev/null || lacks 'no mkfs.ext4'
        {{ [ -z '{tracer}' ] || strace -o /dev/null true 2>/dev/null; }} || lacks 'strace does not work here'
        mkdir \"$0/disk\" && truncate -s {mib}M \"$0/disk.image\" && mkfs.ext4 -q \"$0/disk.image\" || lacks 'no ext4 image'
        unshare --mount true 2>/dev/null || lacks 'no mount namespaces'
        exec unshare --mount sh -c 'mount -o {OPTIONS} \"$0/disk.image\" \"$0/disk\" || exit 77; exec {tracer} \"$@\"' \"$0\" \"$@\""
    )
}

/// Cuts the power of the file system on which an open directory is.
pub(crate) fn cut_power(disk: &OwnedFd) {
    // SAFETY: the operation reads a u32 from the pointer that it is given, and `Setter` gives it one.
    #[allow(unsafe_code)]
    unsafe { ioctl(disk, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.expect("the power is cut");
}

/// Runs a program until it succeeds, twenty times at most.
pub(crate) fn run_soon(program: &str, arguments: &[&str]) {
    for tries in 1.. {
        let output = Command::new(program).args(arguments).output().expect("it runs");
        if output.status.success() {
            return;
        }
        assert!(tries < 20, "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts the machine again, as far as the disk is concerned.
pub(crate) fn mount_again(directory: &Path) {
    let (disk, image) = (directory.join("disk"), directory.join("disk.image"));
    // A program that looks at each new device (udev's) may have it open for a moment.
    run_soon("umount", &[disk.to_str().expect("text")]);
    run_soon("mount", &["-o", OPTIONS, image.to_str().expect("text"), disk.to_str().expect("text")]);
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// When the power is cut.
#[derive(Debug, Clone, Copy)]
enum When {
    /// When everything was acknowledged.
    Afterwards,
    /// So long after the beginning.
    Meanwhile(Duration),
}

struct Scene {
    directory: PathBuf,
}

impl Scene {
    fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// One transfer of `new` over `old`, and one cut. `Err`: what was lost.
    fn cut(&self, (old, new): (&Files, &Files), options: &TreeOptions, when: When) -> Result<(), String> {
        let from = self.directory.join("from");
        let site = self.disk().join("site");
        for (top, files) in [(&from, new), (&site, old)] {
            let _ = fs::remove_dir_all(top);
            fs::create_dir(top).expect("made");
            for (name, content) in files {
                let path = top.join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, content).expect("written");
            }
        }
        let disk = rustix::fs::open(self.disk(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        // Nothing swallows this one, which isn't asked for at a path that is traced. sync(2) would sync what other tests have to lose.
        rustix::fs::syncfs(&disk).expect("synced");
        let (whole, stored) = self.transfer(options, when, disk);
        mount_again(&self.directory);
        judge(&site, (old, new), options.atomic, (whole, stored))
    }

    /// Whether everything was acknowledged, and how many files were.
    fn transfer(&self, options: &TreeOptions, when: When, disk: OwnedFd) -> (bool, u64) {
        let store = Store::home(&self.directory).expect("a store");
        let mut source = store.tree_source(&["from/.".into()], options.clone()).expect("a source");
        let mut sink = store.tree_sink(Path::new("disk/site"), &Layout::Into, options.clone()).expect("a sink");
        let ended = match when {
            When::Afterwards => {
                let ended = pump(&mut source, &mut sink);
                cut_power(&disk);
                ended
            }
            When::Meanwhile(delay) => std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(delay);
                    cut_power(&disk);
                });
                pump(&mut source, &mut sink)
            }),
        };
        let whole = ended.is_ok() && sink.summary().problems == 0;
        assert!(whole || matches!(when, When::Meanwhile(_)), "it arrives: {ended:?} {:?}", sink.events());
        (whole, source.stored().0)
    }
}

/// Each name has its old or its new content; what was acknowledged is there.
fn judge(site: &Path, (old, new): (&Files, &Files), atomic: bool, (whole, stored): (bool, u64)) -> Result<(), String> {
    let mut arrived = 0;
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let there = fs::read(site.join(name)).ok();
        let is_new = there.as_ref() == new.get(name) && new.contains_key(name);
        let is_old = there.as_ref() == old.get(name);
        match (is_new, is_old) {
            (true, _) => arrived += 1,
            (false, true) if whole && new.contains_key(name) => {
                return Err(format!("{name} was acknowledged, and is lost"));
            }
            (false, true) => {}
            (false, false) => {
                let held = there.map(|content| (content.len(), content.iter().filter(|byte| **byte == 0).count()));
                return Err(format!("{name} has neither content: {held:?} bytes and zeros"));
            }
        }
    }
    if arrived < stored {
        return Err(format!("{stored} files were acknowledged, and {arrived} are there"));
    }
    match atomic && arrived != 0 && arrived != new.len() as u64 {
        true => Err(format!("{arrived} of {} new files: neither of the two trees", new.len())),
        false => Ok(()),
    }
}

fn options(atomic: bool) -> TreeOptions {
    TreeOptions { recursive: true, times: true, checksum: true, atomic, ..TreeOptions::default() }
}

/// An old tree and a new one, with so many files. The `round` makes their contents different from those of other rounds.
fn trees(numbers: &mut Numbers, files: u64, round: u64) -> (Files, Files) {
    let (mut old, mut new) = (Files::new(), Files::new());
    let byte = b'a' + (round % 12) as u8 * 2;
    for number in 0..files {
        let name = format!("d{}/f{number}", numbers.below(4));
        let size = 1 + numbers.below(if number % 17 == 0 { 300_000 } else { 9_000 }) as usize;
        if numbers.below(3) > 0 {
            old.insert(name.clone(), vec![byte; size / 2 + 1]);
        }
        new.insert(name, vec![byte + 1; size]);
    }
    (old, new)
}

#[test]
fn no_acknowledged_file_is_lost_in_a_power_cut() {
    if let Some((passes, output)) = try_child("store_power::part_cuts", &on_ext4(96, ""), 60 + 3 * cuts()) {
        assert!(passes, "{output}");
        eprintln!("{} power cuts", cuts());
    }
}

#[test]
fn part_cuts() {
    let Some(directory) = directory() else { return };
    let (scene, mut numbers) = (Scene { directory }, Numbers(7));
    for round in 0..cuts() {
        // Few files are synced one by one, more all at once.
        let files = [2, 4, 40, 400][(round / 2 % 4) as usize];
        let (old, new) = trees(&mut numbers, files, round);
        let when = match round % 3 {
            0 => When::Afterwards,
            _ => When::Meanwhile(Duration::from_micros(numbers.below(3000 + files * 400))),
        };
        let options = options(round % 2 == 1);
        let judged = scene.cut((&old, &new), &options, when);
        assert!(judged.is_ok(), "cut {round}, {files} files, {when:?}, atomic: {}: {judged:?}", options.atomic);
    }
}

/// The same on a system that does not do what `calls` ask for on the path `on`: the loss has to be noticed.
fn loses(part: &str, calls: &str, on: &str, lost: &str) {
    let tracer = format!("strace -f -qq -o /dev/null -P \"$0/disk{on}\" -e trace={calls} -e inject={calls}:retval=0");
    let Some((passes, output)) = try_child(part, &on_ext4(96, &tracer), 60) else { return };
    assert!(!passes && output.contains(lost), "{part} without {calls} on {on}: {output}");
}

/// One transfer, and a cut after it was acknowledged.
fn part(files: u64, atomic: bool) {
    let Some(directory) = directory() else { return };
    let (old, new) = trees(&mut Numbers(3), files, 0);
    let flat = |files: Files| files.into_iter().map(|(name, content)| (name.replace('/', "-"), content)).collect();
    let (old, new): (Files, Files) = (flat(old), flat(new));
    let judged = Scene { directory }.cut((&old, &new), &options(atomic), When::Afterwards);
    assert!(judged.is_ok(), "{judged:?}");
}

#[test]
fn part_few() {
    part(3, false);
}

#[test]
fn part_many() {
    part(60, false);
}

#[test]
fn part_whole() {
    part(60, true);
}

#[test]
fn without_a_sync_the_loss_is_noticed() {
    // As it is built, all of these hold.
    for part in ["store_power::part_few", "store_power::part_many", "store_power::part_whole"] {
        in_child(part, &on_ext4(96, ""));
    }
    // The directory of the files, where there are few of them.
    loses("store_power::part_few", "fsync", "/site", "is lost");
    // What makes the names of many files durable.
    loses("store_power::part_many", "fsync,syncfs", "/site", "");
    // The directory in which two trees are exchanged.
    loses("store_power::part_whole", "fsync", "", "is lost");
}
