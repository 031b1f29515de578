//! What goes wrong inside: one line, and never Rust's exit code for a panic, 101.

use std::path::PathBuf;
use std::process::Command;

use super::host::Host;
use super::run::finish;

/// A library that sets the clock to the day before 1970, where a dependency panicked.
const BEFORE_1970: &str = "#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (!result && clock == CLOCK_REALTIME) time->tv_sec = -86400;
    return result;
}";

/// Builds a library that programs are started with in the host's home; `None` where that can't be done.
pub(super) fn library(host: &Host, name: &str, code: &str) -> Option<PathBuf> {
    let (source, library) = (host.home().join(format!("{name}.c")), host.home().join(format!("{name}.so")));
    std::fs::write(&source, code).expect("written");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    let built = built.is_ok_and(|status| status.success());
    if !built {
        eprintln!("skipped: there is no `cc` to build a library with");
    }
    built.then_some(library)
}

#[test]
fn a_clock_before_1970_is_no_panic_that_a_user_sees() {
    let host = Host::start();
    let Some(library) = library(&host, "clock", BEFORE_1970) else { return };
    for log in [None, Some("debug")] {
        let mut client = host.exec_command(&[], ["echo", "ok"]).env("LD_PRELOAD", &library);
        if let Some(level) = log {
            client = client.env("UNGLUE_LOG", level);
        }
        let done = finish(client);
        match done.code {
            0 => assert_eq!(done.text(), "ok\n"),
            125 if log.is_none() => drop(done.complains("a bug in unglue, at ")),
            125 => {
                assert!(done.stderr.contains("event=\"panic\""), "{done:?}");
                assert!(done.stderr.lines().any(|line| line.starts_with("unglue: a bug in unglue, at ")), "{done:?}");
            }
            _ => panic!("{done:?}"),
        }
    }
}
