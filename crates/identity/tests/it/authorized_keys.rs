//! Who may log in, with the file and the directories above it in every state that StrictModes is about.

use super::{chmod, has, key, keygen, tool, write};
use std::path::{Path, PathBuf};
use unglue_identity::authorized_keys::{Lookup, Unsafe, lookup};
use unglue_identity::{AuthorizedKeys, Denied, Login};

/// A home with one key in its `authorized_keys`.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { directory: tempfile::tempdir().expect("a home") };
        chmod(home.directory.path(), 0o755);
        std::fs::create_dir(home.path(".ssh")).expect("made");
        chmod(&home.path(".ssh"), 0o700);
        write(&home.file(), format!("{} ada\n", key(1).public_key()), 0o600);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path(".ssh/authorized_keys")
    }

    fn check(&self) -> Result<usize, Denied> {
        self.check_file(&self.file())
    }

    fn check_file(&self, file: &Path) -> Result<usize, Denied> {
        let uid = rustix::process::geteuid().as_raw();
        let keys = AuthorizedKeys::new(file, self.directory.path(), uid);
        keys.check(&key(1).public_key()).map(|authorised| authorised.line)
    }
}

fn culprit(denied: Result<usize, Denied>) -> PathBuf {
    match denied {
        Err(Denied::Unsafe { reason: Unsafe::Writable { path, .. } | Unsafe::Owner { path, .. }, .. }) => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_admitted_until_it_is_removed() {
    let home = Home::new();
    assert_eq!(home.check().expect("listed"), 1);
    write(&home.file(), format!("{}\n", key(2).public_key()), 0o600);
    match home.check() {
        Err(Denied::NotListed { key: shown, .. }) => assert_eq!(shown, key(1).public_key().fingerprint()),
        other => panic!("{other:?}"),
    }
    std::fs::remove_file(home.file()).expect("removed");
    assert!(matches!(home.check(), Err(Denied::NoFile { .. })));
}

#[test]
fn a_line_with_an_unknown_option_is_refused_with_its_place_and_the_options_name() {
    let home = Home::new();
    write(&home.file(), format!("# mine\nfuture=\"ls -l\" {}\n", key(1).public_key()), 0o600);
    let text = home.check().expect_err("an option").to_string();
    assert!(text.contains("authorized_keys:2 ") && text.contains("\"future\""), "{text}");
}

#[test]
fn a_file_that_others_can_write_is_not_read() {
    let home = Home::new();
    for mode in [0o620, 0o602, 0o666] {
        chmod(&home.file(), mode);
        assert_eq!(culprit(home.check()), home.file().canonicalize().expect("real"));
    }
    chmod(&home.file(), 0o644);
    assert!(home.check().is_ok());
}

#[test]
fn neither_may_others_write_to_the_directories_up_to_the_home() {
    for directory in [".ssh", ""] {
        let home = Home::new();
        let directory = home.path(directory);
        // The sticky bit excuses the directories above a home (such as /tmp), never the home itself.
        for mode in [0o770, 0o702, 0o777, 0o1777] {
            if mode == 0o1777 && directory.ends_with(".ssh") {
                continue;
            }
            chmod(&directory, mode);
            let denied = home.check();
            let text = denied.as_ref().expect_err("writable").to_string();
            assert!(text.contains("chmod go-w"), "{text}");
            assert_eq!(culprit(denied), directory.canonicalize().expect("real"));
        }
        chmod(&directory, 0o755);
        assert!(home.check().is_ok());
    }
}

#[test]
fn a_file_outside_the_home_is_checked_up_to_the_root() {
    let home = Home::new();
    let elsewhere = tempfile::tempdir().expect("a directory");
    chmod(elsewhere.path(), 0o755);
    let file = elsewhere.path().join("keys");
    write(&file, format!("{}\n", key(1).public_key()), 0o600);
    assert!(home.check_file(&file).is_ok(), "its directory is ours, and /tmp keeps it so by its sticky bit");
    chmod(elsewhere.path(), 0o777);
    assert_eq!(culprit(home.check_file(&file)), elsewhere.path().canonicalize().expect("real"));
}

#[test]
fn a_symbolic_link_is_judged_by_where_it_leads() {
    let home = Home::new();
    let open = home.path("open");
    std::fs::create_dir(&open).expect("made");
    let real = open.join("keys");
    write(&real, format!("{}\n", key(1).public_key()), 0o600);
    std::fs::remove_file(home.file()).expect("removed");
    std::os::unix::fs::symlink(&real, home.file()).expect("linked");
    chmod(&open, 0o700);
    assert!(home.check().is_ok());
    chmod(&open, 0o777);
    assert_eq!(culprit(home.check()), open.canonicalize().expect("real"));
}

#[test]
fn a_file_of_somebody_else_is_not_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: giving a file away takes root");
        return;
    }
    let home = Home::new();
    std::os::unix::fs::chown(home.file(), Some(65534), None).expect("chown");
    match home.check() {
        Err(Denied::Unsafe { reason: Unsafe::Owner { owner: 65534, uid: 0, .. }, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Root's file speaks for a user, and that user's own does too.
    for owner in [0, 65534] {
        std::os::unix::fs::chown(home.file(), Some(owner), None).expect("chown");
        let keys = AuthorizedKeys::new(home.file(), home.directory.path(), 65534);
        assert!(keys.check(&key(1).public_key()).is_ok());
    }
}

#[test]
fn what_is_no_regular_file_or_too_long_is_not_read() {
    let home = Home::new();
    let fifo = home.path("fifo");
    assert!(tool("mkfifo", [&fifo]).status().expect("mkfifo(1) runs").success());
    for path in [fifo.as_path(), Path::new("/dev/zero"), home.directory.path()] {
        assert!(matches!(home.check_file(path), Err(Denied::Unreadable { .. })), "{}", path.display());
    }
    let long = format!("{}\n{}", key(1).public_key(), "#".repeat(1024 * 1024));
    write(&home.file(), long, 0o600);
    assert!(matches!(home.check(), Err(Denied::Unreadable { .. })));
}

/// Texts that stand before a key: no options, good ones and broken ones. No two blanks in a row: `ssh-keygen -l`
/// passes over such a line, where sshd skips the blanks.
const OPTIONS: [&str; 20] = [
    "",
    " ",
    "\t",
    "restrict ",
    r#"command="ls -l" "#,
    r#"command="a \" b" "#,
    r#"command="a \"" "#,
    r#"command="a \ "#,
    r#"command="open "#,
    r#"from="*.x,!y",no-pty,command="a, b" "#,
    r#"a"b c"d"#,
    r#"a"b c"d "#,
    r#"\" "#,
    r#"\\" " "#,
    r#"a=b\"c "#,
    "cert-authority,principals=\"a,b\"\t",
    "# ",
    "#",
    "restrict restrict ",
    "ssh-ed25519 ",
];

#[test]
fn we_find_the_key_behind_the_options_where_ssh_keygen_does() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("authorized_keys");
    for (seed, options) in (1..).zip(OPTIONS) {
        let public = key(seed).public_key();
        // A plain line behind it, since ssh-keygen fails on a file without any key.
        let text = format!("{options}{public} comment\n{}\n", key(0).public_key());
        write(&file, &text, 0o600);
        let listed = keygen(["-l", "-f", file.to_str().expect("UTF-8")]);
        let theirs = listed.contains(&public.fingerprint().to_string());
        let ours = lookup(text.as_bytes(), &Login::offer(public.clone()), "ada", 0);
        assert_eq!(!matches!(ours, Lookup::Absent { .. }), theirs, "{options:?}: {ours:?}, {listed}");
        let admits =
            ["", "restrict", "command=\"ls -l\"", r#"command="a \" b""#, r#"command="a \"""#].contains(&options.trim());
        assert_eq!(matches!(ours, Lookup::Authorised { .. }), admits, "{options:?}: {ours:?}");
    }
}

#[test]
fn a_failed_lookup_is_told_from_a_key_that_is_not_listed() {
    let home = tempfile::tempdir().expect("a home");
    chmod(home.path(), 0o700);
    let keys = AuthorizedKeys::new(home.path().join("keys"), home.path(), rustix::process::getuid().as_raw());
    let denied = |keys: &AuthorizedKeys| keys.check(&super::key(1).public_key()).expect_err("denied");
    assert!(!denied(&keys).is_lookup_failure(), "there is no file");
    write(keys.path(), "", 0o600);
    assert!(!denied(&keys).is_lookup_failure(), "the key is not in it");
    std::fs::remove_file(keys.path()).expect("removed");
    // It can't be read, whoever asks.
    std::fs::create_dir(keys.path()).expect("made");
    let failed = denied(&keys);
    assert!(failed.is_lookup_failure() && std::error::Error::source(&failed).is_some(), "{failed}");
    assert!(matches!(unglue_identity::Denial::from(failed), unglue_identity::Denial::Unavailable(_)));
}
