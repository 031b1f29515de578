//! A new program under commands that an older one has started.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use unglue::{AttachOptions, Exit, Lease, Outcome};

use super::takeover::{Daemon, by_socket};
use super::{Home, WAITS, within};
use crate::host::client;
use crate::run::{UNGLUE, clean};

/// Names a program of an earlier version. Without it, the older program is this one in another file with another digest.
const OLDER: &str = "UNGLUE_OLDER_PROGRAM";

fn older(home: &Home) -> PathBuf {
    let path = home.path().join("older");
    fs::copy(std::env::var_os(OLDER).map_or_else(|| UNGLUE.into(), PathBuf::from), &path).expect("a copy");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    // What follows the last section is not the program's.
    fs::File::options().append(true).open(&path).expect("it is there").write_all(b"older").expect("written");
    path
}

#[test]
fn a_new_program_goes_on_with_the_keepers_of_an_older_one() {
    let home = Home::new();
    let program = older(&home);
    within(async {
        let mut command = clean(&program.to_string_lossy());
        command.env("HOME", home.path()).current_dir(home.path());
        let daemon = Daemon::of(&home.path(), command);
        let client_ = by_socket(&home).await;
        let text = format!("read -r first; echo got $first; {WAITS}; read -r second; echo got $second; exit 5");
        let exec = unglue::Exec::new(["sh", "-c", &text]).lease(Lease::Detach).with_stdin().id("long");
        let mut running = client_.exec(&exec).await.expect("it starts");
        let mut input = running.stdin.take().expect("an input");
        input.write_all("1\n".into()).await.expect("written");
        let signalled =
            unglue::Exec::new(["sh", "-c", "trap 'exit 6' TERM; touch ready; while :; do sleep 0.05; done"]);
        let other = client_.exec(&signalled.lease(Lease::Detach).id("other")).await.expect("it starts");
        super::soon("its trap", || home.path().join("ready").exists().then_some(())).await;
        drop((input, running, other, client_));
        daemon.stop();
        // Its file is replaced, as a package's upgrade does it; its keepers go on from what is left of it.
        fs::remove_file(&program).expect("removed");

        let _daemon = Daemon::of(&home.path(), client(&home.path()));
        let client_ = by_socket(&home).await;
        home.go();
        let options = AttachOptions::default().from_start().hold();
        let mut found = client_.attach("long", &options).await.expect("it is known");
        let mut input = found.stdin.take().expect("an input");
        input.write_all("2\n".into()).await.expect("written");
        input.finish();
        let done = found.collect(1 << 20).await;
        assert!(matches!(done.report.outcome, Outcome::Ended(Exit::Exited(5))), "{:?}", done.report);
        assert_eq!(String::from_utf8_lossy(&done.stdout), "got 1\none\ntwo\ngot 2\n");
        client_.signal("other", 15).await.expect("it runs");
        let done =
            client_.attach("other", &AttachOptions::default()).await.expect("it is known").collect(1 << 20).await;
        assert!(matches!(done.report.outcome, Outcome::Ended(Exit::Exited(6))), "{:?}", done.report);
    });
}
