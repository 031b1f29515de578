//! Homes in which a program can't be kept.

use super::super::run::finish;
use super::site::{Account, Site, possible};

/// The program goes to another directory of the user's own, and is found there again.
#[track_caller]
fn works_elsewhere(site: &Site, account: &str, place: &str) {
    site.works(account, "the first time");
    let words = ["exec", "--transport", "ssh", "-v", &format!("{account}@box"), "-c", "echo again"];
    let done = finish(&mut site.client(words)).expect(0);
    assert_eq!(done.text(), "again\n");
    let there = format!("the program on the other side is {place}");
    assert!(done.stderr.contains(&there) && !done.stderr.contains("uploading"), "{}", done.stderr);
}

#[test]
fn a_home_that_can_not_be_written() {
    if !possible() {
        return;
    }
    let prepare = "mount --bind $HOMES/reader $HOMES/reader; mount -o remount,ro,bind $HOMES/reader";
    let site = Site::start_with(&[Account::named("reader").fresh()], "", prepare);
    works_elsewhere(&site, "reader", "/dev/shm/unglue-61000/");
}

#[test]
fn a_home_that_is_full() {
    if !possible() {
        return;
    }
    let prepare =
        "mount -t tmpfs -o size=400k,uid=61000,gid=61000 tmpfs $HOMES/full; head -c 100k /dev/zero >$HOMES/full/data";
    let site = Site::start_with(&[Account::named("full").fresh()], "", prepare);
    works_elsewhere(&site, "full", "/dev/shm/unglue-61000/");
    // What didn't fit is gone.
    let left = site.ssh("full", "ls -A .cache/unglue").expect(0);
    assert_eq!(left.text(), "");
}

#[test]
fn a_home_from_which_nothing_may_be_executed() {
    if !possible() {
        return;
    }
    let prepare = "mount --bind $HOMES/inert $HOMES/inert; mount -o remount,noexec,bind $HOMES/inert; mount -o remount,noexec /dev/shm";
    let site = Site::start_with(&[Account::named("inert").fresh()], "", prepare);
    works_elsewhere(&site, "inert", "/tmp/unglue-61000/");
}

#[test]
fn a_home_that_is_not_there() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("nobody-home").without_home()]);
    works_elsewhere(&site, "nobody-home", "/dev/shm/unglue-61000/");
    assert!(!site.home("nobody-home").exists());
}

/// Somebody else made the directory first, so that the program would be theirs.
#[test]
fn a_directory_of_somebody_else_is_not_used() {
    if !possible() {
        return;
    }
    let prepare = "mkdir -m 777 /dev/shm/unglue-61000; ln -s /dev/shm/elsewhere /tmp/unglue-61000
        mkdir -m 777 /dev/shm/elsewhere";
    let site = Site::start_with(&[Account::named("target").without_home()], "", prepare);
    let done = site.shell("target", "true").expect(125).complains("ssh to target@box, uploading the program:");
    for words in ["there is no place", "/dev/shm/unglue-61000 belongs to another user", "/tmp/unglue-61000 belongs"] {
        assert!(done.stderr.contains(words), "{words:?} is not in {}", done.stderr);
    }
}

#[test]
fn a_machine_with_no_place_says_why_for_each() {
    if !possible() {
        return;
    }
    let prepare = "mount -o remount,noexec /dev/shm; mount -o remount,ro /tmp";
    let site = Site::start_with(&[Account::named("nowhere").without_home()], "", prepare);
    let done = site.shell("nowhere", "true").expect(125).complains("there is no place for the program");
    for words in ["is not there", "/dev/shm/unglue-61000 can't be executed from", "/tmp", "XDG_RUNTIME_DIR"] {
        assert!(done.stderr.contains(words), "{words:?} is not in {}", done.stderr);
    }
}
