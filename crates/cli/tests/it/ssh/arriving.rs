//! How the program gets to the other side, and what may be in its place.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use rustix::process::Signal;

use super::super::run::{finish, until};
use super::site::{Account, Site, mode, possible, programs, start_client, version};

#[test]
fn the_program_is_uploaded_once() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada").fresh()]);
    let words = ["exec", "--transport", "ssh", "-v", "ada@box", "-c", "echo hi"];
    let first = finish(&mut site.client(words)).expect(0);
    assert_eq!(first.text(), "hi\n");
    assert!(first.stderr.contains("uploading"), "{}", first.stderr);
    let program = site.version("ada").join("unglue");
    let made = fs::metadata(&program).expect("it is there");
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
    assert_eq!(made.size(), fs::metadata(programs().join("unglue-linux-x86_64")).expect("it is there").size());
    let second = finish(&mut site.client(words)).expect(0);
    assert!(!second.stderr.contains("uploading"), "{}", second.stderr);
    assert_eq!(fs::metadata(&program).expect("it is there").ino(), made.ino());
    let names: Vec<_> =
        fs::read_dir(site.cache("ada")).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, [version().as_str()], "nothing else is left");
    // One session of ssh for each command.
    assert_eq!(site.log().matches("Accepted publickey for ada").count(), 2);
}

#[test]
fn two_clients_upload_at_once() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada").fresh()]);
    let clients: Vec<_> = (0..3).map(|number| start_client(site.command("ada", &format!("echo {number}")))).collect();
    for (number, client) in clients.into_iter().enumerate() {
        assert_eq!(client.finish().expect(0).text(), format!("{number}\n"));
    }
    let names: Vec<_> =
        fs::read_dir(site.cache("ada")).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, [version().as_str()]);
}

/// Without gzip on the other side it travels as it is.
#[test]
fn the_program_arrives_without_gzip() {
    if !possible() {
        return;
    }
    let site =
        Site::start_with(&[Account::named("ada").fresh()], "", "mount --bind /dev/null $(readlink -f /usr/bin/gzip)");
    site.works("ada", "it works");
}

#[test]
fn a_program_that_is_damaged_is_replaced() {
    if !possible() {
        return;
    }
    let site = Site::start(&["cut", "empty", "other", "changed"].map(Account::named));
    let program = |name: &str| site.version(name).join("unglue");
    let bytes = fs::read(programs().join("unglue-linux-x86_64")).expect("it is there");
    for (name, bytes) in [
        ("cut", &bytes[..bytes.len() / 2]),
        ("empty", &[][..]),
        ("other", b"#!/bin/sh\necho I am another program\n"),
        ("changed", &[&bytes[..], b"and more"].concat()),
    ] {
        fs::remove_file(program(name)).expect("it was there");
        fs::write(program(name), bytes).expect("written");
        mode(&program(name), 0o755);
        site.works(name, "it works");
        let size = fs::metadata(program(name)).expect("it is there").size();
        assert_eq!(size, fs::metadata(programs().join("unglue-linux-x86_64")).expect("it is there").size(), "{name}");
    }
}

/// A program that has proved itself and changed later is noticed: its note no longer fits.
#[test]
fn a_program_that_changes_after_its_proof_is_replaced() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada").fresh()]);
    site.works("ada", "it works");
    assert!(site.version("ada").join("proved").is_file());
    let program = site.version("ada").join("unglue");
    let mut bytes = fs::read(&program).expect("it is there");
    bytes.extend_from_slice(b"more");
    // The one that runs can't be written to; another one takes its name.
    let other = site.path("other");
    fs::write(&other, bytes).expect("written");
    mode(&other, 0o755);
    fs::rename(&other, &program).expect("renamed");
    let words = ["exec", "--transport", "ssh", "-v", "ada@box", "-c", "echo hi"];
    let done = finish(&mut site.client(words)).expect(0);
    assert!(done.text() == "hi\n" && done.stderr.contains("uploading"), "{}", done.stderr);
}

#[test]
fn an_upload_that_is_cut_leaves_nothing() {
    if !possible() {
        return;
    }
    // It waits at the first byte, so that it can be cut in the middle.
    let slow = "#!/bin/sh\ntouch \"$HOME/begun\"; /usr/bin/gzip \"$@\" | (head -c 1000000; sleep 3; cat)";
    let account = Account::named("ada").fresh().file(".bashrc", "PATH=$HOME/bin:$PATH").file("bin/gzip", slow);
    let site = Site::start(&[account]);
    mode(&site.home("ada").join("bin/gzip"), 0o755);
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let client = start_client(site.command("ada", "true"));
        until("the upload", || site.home("ada").join("begun").exists().then_some(()));
        client.signal(signal);
        client.finish();
        fs::remove_file(site.home("ada").join("begun")).expect("it was there");
        // The pipeline of this test's slow gzip sleeps on; the client's ssh is gone.
        until("the end of ssh", || site.processes("ada").iter().all(|line| !line.starts_with("ssh ")).then_some(()));
    }
    until("the end of the parts", || {
        let parts = fs::read_dir(site.cache("ada")).into_iter().flatten().flatten();
        (parts.count() == 0).then_some(())
    });
    fs::remove_file(site.home("ada").join("bin/gzip")).expect("it was there");
    site.works("ada", "it works");
}

#[test]
fn another_machine_gets_its_own_program_or_says_which_file_is_missing() {
    if !possible() {
        return;
    }
    let uname = "#!/bin/sh\ncase $1 in -m) echo aarch64 ;; *) echo Linux ;; esac";
    let account = |name| Account::named(name).fresh().file(".bashrc", "PATH=$HOME/bin:$PATH").file("bin/uname", uname);
    let site = Site::start(&[account("arm"), account("other")]);
    for name in ["arm", "other"] {
        mode(&site.home(name).join("bin/uname"), 0o755);
    }
    let done =
        site.shell("other", "true").expect(125).complains("looking at the other side: the other side is aarch64");
    for words in ["there is no unglue-linux-aarch64 in", "/usr/lib/unglue", "UNGLUE_PROGRAMS"] {
        assert!(done.stderr.contains(words), "{words:?} is not in {}", done.stderr);
    }
    // One that is there for this machine is taken: the file for it is this test's own program.
    let directory = site.path("programs");
    fs::create_dir(&directory).expect("a directory");
    fs::copy(programs().join("unglue-linux-x86_64"), directory.join("unglue-linux-aarch64")).expect("copied");
    let mut command = site.command("arm", "echo it works");
    assert_eq!(finish(command.env("UNGLUE_PROGRAMS", &directory)).expect(0).text(), "it works\n");
}

/// Where this client has no program for a machine, one that is installed there serves.
#[test]
fn an_installed_program_is_used_where_none_can_be_uploaded() {
    if !possible() {
        return;
    }
    let uname = "#!/bin/sh\ncase $1 in -m) echo riscv64 ;; *) echo Linux ;; esac";
    let account = Account::named("ada").fresh().file(".bashrc", "PATH=$HOME/bin:$PATH").file("bin/uname", uname);
    let site = Site::start(&[account]);
    mode(&site.home("ada").join("bin/uname"), 0o755);
    fs::copy(programs().join("unglue-linux-x86_64"), site.home("ada").join("bin/unglue")).expect("copied");
    site.works("ada", "it works");
    assert!(!site.cache("ada").exists());
}

#[test]
fn a_program_that_can_not_run_there_says_how_to_get_one() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada").fresh()]);
    let directory = site.path("programs");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("unglue-linux-x86_64"), "#!/nonexistent/ld.so\n").expect("written");
    let mut command = site.command("ada", "true");
    let done = finish(command.env("UNGLUE_PROGRAMS", &directory)).expect(125).complains("uploading the program");
    assert!(done.stderr.contains("does not run on the other side (status 127)"), "{}", done.stderr);
    assert_eq!(fs::read_dir(site.cache("ada")).expect("a directory").count(), 0, "nothing is left");
}

/// Old versions go when a new one comes; one that runs stays.
#[test]
fn old_versions_are_pruned_and_never_one_that_runs() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    site.works("ada", "it works");
    // The version in use becomes the oldest of several.
    let running =
        start_client(site.command("ada", "touch started; while [ ! -e stop ]; do sleep 0.1; done; echo served"));
    until("the command", || site.home("ada").join("started").exists().then_some(()));
    let old: Vec<_> = (1..=4).map(|number| format!("0.0.{number}-{number:032x}")).collect();
    for name in &old {
        let directory = site.cache("ada").join(name);
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("unglue"), "an old program").expect("written");
        chown(&directory, Some(61_000), Some(61_000)).expect("it is ours to give");
    }
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let proof = site.version("ada").join("proved");
    File::options().write(true).open(&proof).expect("it opens").set_modified(epoch).expect("a time");
    // Another version of the program arrives.
    let directory = site.path("programs");
    fs::create_dir(&directory).expect("a directory");
    let mut bytes = fs::read(programs().join("unglue-linux-x86_64")).expect("it is there");
    bytes.extend_from_slice(b"another version");
    fs::write(directory.join("unglue-linux-x86_64"), bytes).expect("written");
    let mut command = site.command("ada", "echo it works");
    finish(command.env("UNGLUE_PROGRAMS", &directory)).expect(0);
    let left = |name: &String| site.cache("ada").join(name).exists();
    assert_eq!(old.iter().filter(|name| left(name)).count(), 2, "two old ones stay");
    assert!(site.version("ada").join("unglue").exists(), "the one that runs stays");
    fs::write(site.home("ada").join("stop"), "").expect("written");
    assert_eq!(running.finish().expect(0).text(), "served\n");
}
