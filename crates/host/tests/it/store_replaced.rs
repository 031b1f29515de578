//! What becomes of the file that is replaced, and what a new one is given.

use std::ffi::CStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::io::Errno;
use unglue_host::store::{Problem, WriteOptions};

use crate::store::{Fixture, get, names, problem, put, put_with};

const ACL: &CStr = c"system.posix_acl_access";
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";
const ANYBODY: u32 = u32::MAX;

/// A list as the kernel takes it: version 2, then tag, permissions and id of each entry.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entry =
        |&(tag, bits, id): &(u16, u16, u32)| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat();
    [2u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat()
}

/// Owner rw, user 1 r, group r, mask r, others nothing.
fn named_acl() -> Vec<u8> {
    acl(&[(1, 6, ANYBODY), (2, 4, 1), (4, 4, ANYBODY), (0x10, 4, ANYBODY), (0x20, 0, ANYBODY)])
}

fn xattr(path: &Path, name: &CStr) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = getxattr(path, name, &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

/// Sets an attribute, or says that this file system has none.
fn set(path: &Path, name: &CStr, value: &[u8]) -> bool {
    match setxattr(path, name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => {
            eprintln!("skipped: this file system has no {name:?}");
            false
        }
        result => result.map(|()| true).unwrap(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_replaced_file_keeps_its_mode_unless_the_sources_is_asked_for() {
    let fixture = Fixture::new();
    let (store, file) = (fixture.confined(), fixture.root.join("file"));
    for old in [0o600, 0o755, 0o444 | 0o200, 0o640] {
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(old)).unwrap();
        put(&store, "file", b"new").unwrap();
        assert_eq!((mode(&file), get(&store, "file").unwrap().as_slice()), (old, b"new".as_slice()));
        let exact = WriteOptions { mode: 0o604, keep_mode: true, ..WriteOptions::default() };
        put_with(&store, "file", b"newer", exact).unwrap();
        assert_eq!(mode(&file), 0o604);
    }
}

#[test]
fn a_mode_that_changes_meanwhile_counts() {
    let fixture = Fixture::new();
    let (store, file) = (fixture.confined(), fixture.root.join("file"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut incoming = store.write("file".as_ref(), WriteOptions { mode: 0o666, ..WriteOptions::default() }).unwrap();
    incoming.write_all(b"secret").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    incoming.commit().unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_replaced_file_keeps_its_list_and_its_attributes() {
    let fixture = Fixture::new();
    let (store, file) = (fixture.confined(), fixture.root.join("file"));
    fs::write(&file, "old").unwrap();
    if !set(&file, ACL, &named_acl()) || !set(&file, c"user.colour", b"red\0blue") {
        return;
    }
    let before = (mode(&file), xattr(&file, ACL));
    put(&store, "file", b"new").unwrap();
    assert_eq!((mode(&file), xattr(&file, ACL)), before);
    assert_eq!(xattr(&file, c"user.colour").as_deref(), Some(&b"red\0blue"[..]));

    // The source's mode alone says who may do what.
    put_with(&store, "file", b"new", WriteOptions { mode: 0o640, keep_mode: true, ..WriteOptions::default() }).unwrap();
    assert_eq!((mode(&file), xattr(&file, ACL)), (0o640, None));
    assert_eq!(xattr(&file, c"user.colour").as_deref(), Some(&b"red\0blue"[..]));
}

#[test]
fn a_new_file_is_as_cp_would_make_it() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    let dir = fixture.root.join("dir");
    fs::create_dir(&dir).unwrap();
    let default = acl(&[(1, 7, ANYBODY), (2, 6, 1), (4, 5, ANYBODY), (0x10, 7, ANYBODY), (0x20, 0, ANYBODY)]);
    if !set(&dir, DEFAULT_ACL, &default) {
        return;
    }
    for bits in [0o644, 0o755, 0o600, 0o444] {
        let from = fixture.outside.join("from");
        fs::remove_file(&from).ok();
        fs::write(&from, "x").unwrap();
        fs::set_permissions(&from, Permissions::from_mode(bits)).unwrap();
        let (by_cp, ours) = (dir.join("by-cp"), dir.join("ours"));
        for old in [&by_cp, &ours] {
            fs::remove_file(old).ok();
        }
        assert!(Command::new("cp").args([&from, &by_cp]).status().unwrap().success());
        put_with(&store, "dir/ours", b"x", WriteOptions { mode: bits, ..WriteOptions::default() }).unwrap();
        assert_eq!((mode(&ours), xattr(&ours, ACL)), (mode(&by_cp), xattr(&by_cp, ACL)), "{bits:o}");
        // A replaced file without a list gets none from its directory.
        rustix::fs::removexattr(&ours, ACL).ok();
        fs::set_permissions(&ours, Permissions::from_mode(bits | 0o200)).unwrap();
        put(&store, "dir/ours", b"y").unwrap();
        assert_eq!((mode(&ours), xattr(&ours, ACL)), (bits | 0o200, None), "{bits:o}");
    }
}

#[test]
fn a_link_of_proc_is_not_replaced() {
    let fixture = Fixture::new();
    let store = unglue_host::store::Store::home(&fixture.root).unwrap();
    let file = fs::File::create(fixture.root.join("open")).unwrap();
    let by_descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let link = fixture.root.join("link");
    symlink(&by_descriptor, &link).unwrap();
    for path in [Path::new(&by_descriptor), &link] {
        assert_eq!(problem(put(&store, path, b"new"), path), Problem::OpenFile);
        let in_place = WriteOptions { in_place: true, ..WriteOptions::default() };
        assert_eq!(problem(put_with(&store, path, b"new", in_place), path), Problem::OpenFile);
    }
    assert_eq!(fs::read(fixture.root.join("open")).unwrap(), b"");
}

#[test]
fn what_the_kernel_makes_up_is_not_replaced() {
    let store = unglue_host::store::Store::home(Path::new("/")).unwrap();
    let path = "/proc/self/comm";
    assert_eq!(problem(put(&store, path, b"x"), path), Problem::MadeUp);
    // It is the main thread's, whose name no test looks at.
    put_with(&store, path, b"it", WriteOptions { in_place: true, ..WriteOptions::default() }).unwrap();
}

#[test]
fn in_place_the_file_stays_the_same_one() {
    let fixture = Fixture::new();
    let (store, file) = (fixture.confined(), fixture.root.join("file"));
    let in_place = WriteOptions { mode: 0o640, in_place: true, ..WriteOptions::default() };
    fs::write(&file, "a long old content").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
    fs::hard_link(&file, fixture.root.join("other")).unwrap();
    let before = fs::metadata(&file).unwrap().ino();
    put_with(&store, "file", b"new", in_place).unwrap();
    assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"new".to_vec(), 0o604));
    assert_eq!(
        (fs::metadata(&file).unwrap().ino(), fs::read(fixture.root.join("other")).unwrap()),
        (before, b"new".to_vec())
    );

    // A part stays, and the error says so; nothing is lost before the first byte is written.
    let mut incoming = store.write("file".as_ref(), in_place).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    incoming.write_all(b"n").unwrap();
    incoming.discard();
    assert_eq!(fs::read(&file).unwrap(), b"new");

    // A new file is made, and removed again if it isn't completed.
    store.write("fresh".as_ref(), in_place).unwrap().discard();
    assert_eq!(names(&fixture.root), ["file", "other"]);
    put_with(&store, "fresh", b"x", in_place).unwrap();
    assert_eq!(mode(&fixture.root.join("fresh")) & 0o600, 0o600);
}

#[test]
fn a_mount_point_is_refused_and_can_be_written_in_place() {
    if std::env::var_os("UNGLUE_MOUNTED").is_none() {
        let root = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
        let fixture = Fixture::new();
        fs::write(fixture.root.join("file"), "under").unwrap();
        fs::write(fixture.outside.join("real"), "real").unwrap();
        let script = "mount --bind \"$0/outside/real\" \"$0/root/file\" || exit 77; exec \"$@\"";
        let status = Command::new("unshare")
            .args(["--mount", root].into_iter().filter(|word| !word.is_empty()))
            .args(["sh", "-c", script])
            .arg(fixture.top.path())
            .arg(std::env::current_exe().unwrap())
            .args(["store_replaced::a_mount_point_is_refused_and_can_be_written_in_place", "--exact", "--nocapture"])
            .env("UNGLUE_MOUNTED", fixture.top.path())
            .status();
        return match status.map(|status| status.code()) {
            Ok(Some(0)) => assert_eq!(fs::read(fixture.outside.join("real")).unwrap(), b"new"),
            Ok(Some(101)) => panic!("the part of this test that sees the mount failed"),
            other => eprintln!("skipped: there are no mounts here: {other:?}"),
        };
    }
    let top = std::path::PathBuf::from(std::env::var_os("UNGLUE_MOUNTED").unwrap());
    let store = unglue_host::store::Store::confined(&top.join("root")).unwrap();
    assert_eq!(problem(put(&store, "file", b"new"), "file"), Problem::MountPoint);
    assert_eq!(names(&top.join("root")), ["file"]);
    put_with(&store, "file", b"new", WriteOptions { in_place: true, ..WriteOptions::default() }).unwrap();
}
