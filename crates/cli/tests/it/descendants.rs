//! What outlives a command's own process.

use std::time::Duration;

use super::host::{Host, lives};
use super::run::until;

#[test]
fn a_grandchild_that_holds_the_output_does_not_keep_the_caller_waiting() {
    let host = Host::start();
    let done = host.shell(&["--json"], "sleep 60 & echo hi").expect(0);
    assert!(done.took < Duration::from_secs(5), "{done:?}");
    let object = done.json();
    assert_eq!(object["stdout"]["data"]["text"], "hi\n");
    assert_eq!(object["stdout"]["end"], "held_open");
    assert_eq!(object["descendants"], "killed");
}

#[test]
fn what_is_left_is_killed_unless_it_is_kept() {
    let host = Host::start();
    let text = "setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!";
    let started = |flags: &[&str]| {
        let done = host.shell(flags, text).expect(0);
        done.text().trim().parse::<i32>().unwrap_or_else(|error| panic!("{error}: {done:?}"))
    };
    let killed = started(&[]);
    until("the grandchild's end", || (!lives(killed)).then_some(()));
    let kept = started(&["--keep-descendants"]);
    let survived = lives(kept);
    if let Some(kept) = rustix::process::Pid::from_raw(kept).filter(|_| survived) {
        rustix::process::kill_process(kept, rustix::process::Signal::KILL).expect("it lives");
    }
    assert!(survived, "--keep-descendants leaves it alone");
}
