//! Power cuts: ext4 on a loop device that stops writing at once (its shutdown ioctl, without flushing its log).

use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

use super::child;
use super::*;

/// `EXT4_IOC_SHUTDOWN`, which is `FS_IOC_SHUTDOWN` (linux/fs.h).
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// Without flushing the log, as when the power is cut.
const NO_LOG_FLUSH: u32 = 2;

/// ext4 is not to guess which files matter: by default it writes a file's data before a rename that replaces another one.
const OPTIONS: &str = "loop,noauto_da_alloc,commit=300";

/// Cuts the power of the file system at `mount`, and mounts it again from what is on its disk.
fn cut_power(mount: &Path) {
    {
        let root = rustix::fs::open(mount, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        // SAFETY: the operation reads a u32 from the pointer that it is given, and `Setter` gives it one.
        #[allow(unsafe_code)]
        unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.unwrap();
    }
    let image = mount.with_extension("image");
    // A program that looks at each new device (udev's) may have it open for a moment.
    let soon = |command: &mut Command| {
        let done = (0..20).any(|_| {
            command.status().unwrap().success() || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                false
            }
        });
        assert!(done, "{command:?}");
    };
    soon(Command::new("umount").arg(mount));
    soon(Command::new("mount").args(["-o", OPTIONS]).args([&image, mount]));
}

#[test]
fn what_was_synced_survives_a_power_cut_and_what_was_not_is_noticed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root mounts file systems");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "lacks() {{ echo \"$1\" >&2; exit 77; }}
        command -v mkfs.ext4 >/dev/null || lacks 'no mkfs.ext4'
        mkdir \"$0/disk\" && truncate -s 32M \"$0/disk.image\" && mkfs.ext4 -q \"$0/disk.image\" || lacks 'no ext4 image'
        unshare --mount true 2>/dev/null || lacks 'no mount namespaces'
        exec unshare --mount sh -c 'mount -o {OPTIONS} \"$0/disk.image\" \"$0/disk\" || exit 77; exec \"$@\"' \"$0\" \"$@\""
    );
    child::run("power::part_power", directory.path(), &script).passed();
}

#[test]
fn part_power() {
    let Some(directory) = child::directory() else { return };
    let mount = directory.join("disk");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut boots = 0;
    let mut boot_with = |least| {
        boots += 1;
        Journal::open_here(&mount, Retention::default(), here(&format!("boot {boots}"), least)).unwrap()
    };
    let mut boot = || boot_with(3000);

    // Synced records survive, and the journal is another one.
    let (journal, _) = boot();
    let id = journal.id().to_owned();
    let mut known = vec![begun(1), started(1), ended(1), begun(2)];
    known.iter().for_each(|record| journal.append(record).unwrap());
    runtime.block_on(journal.sync()).unwrap();
    journal.append(&started(2)).unwrap();
    drop(journal);
    cut_power(&mount);
    let (journal, index) = boot();
    assert_ne!(journal.id(), id);
    assert_eq!(told(&index), told(&index_of(&known)), "the last record was not synced");

    // A clean end is one.
    let id = journal.id().to_owned();
    known.push(started(2));
    journal.append(&started(2)).unwrap();
    journal.close().unwrap();
    cut_power(&mount);
    let (journal, index) = boot();
    assert_eq!(journal.id(), id);
    assert_eq!(told(&index), told(&index_of(&known)));

    // Records behind a clean end are lost without a trace: that the journal was opened is not.
    journal.append(&begun(3)).unwrap();
    drop(journal);
    cut_power(&mount);
    let (journal, index) = boot();
    assert_ne!(journal.id(), id, "a record is missing");
    assert_eq!(told(&index), told(&index_of(&known)));

    // Compaction while records are synced: each that was reported is there, however many times the file was replaced.
    let mut journal = journal;
    for n in 10..60 {
        for record in [begun(n), started(n), ended(n), forgotten(n)] {
            journal.append(&record).unwrap();
            known.push(record);
        }
        runtime.block_on(journal.sync()).unwrap();
        if n % 9 == 0 {
            drop(journal);
            cut_power(&mount);
            let (next, index) = boot();
            assert_eq!(told(&index), told(&index_of(&known)), "after job {n}");
            journal = next;
        }
    }
    let length = || std::fs::metadata(mount.join("journal")).unwrap().len();
    assert!(length() < 20_000, "it was compacted: {} bytes", length());
    drop(journal);

    // Compaction at the start, and nothing after it.
    let (journal, _) = boot_with(u64::MAX);
    for n in 60..100 {
        for record in [begun(n), started(n), ended(n), forgotten(n)] {
            journal.append(&record).unwrap();
            known.push(record);
        }
    }
    journal.close().unwrap();
    let before = length();
    let (journal, _) = boot_with(3000);
    let id = journal.id().to_owned();
    assert!(length() < before / 2, "it was compacted: {} bytes of {before}", length());
    drop(journal);
    cut_power(&mount);
    let (journal, index) = boot_with(3000);
    assert_ne!(journal.id(), id, "it was not closed");
    assert_eq!(told(&index), told(&index_of(&known)));
    drop(journal);
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
}
