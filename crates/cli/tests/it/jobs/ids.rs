//! `--id`: at most once.

use std::fs;

use crate::host::Host;
use crate::run::finish;

fn ran(host: &Host) -> usize {
    fs::read_to_string(host.root().join("starts")).map_or(0, |text| text.lines().count())
}

#[test]
fn an_id_runs_at_most_once() {
    let mut host = Host::start();
    let text = "echo x >> starts; echo out; exit 4";
    let kept = ["--id", "a", "--lease", "keep=20s"];
    assert_eq!(host.shell(&kept, text).expect(4).text(), "out\n");
    assert_eq!(host.shell(&kept, text).expect(4).text(), "out\n", "the same output, from the disk");
    assert_eq!(ran(&host), 1);
    host.shell(&["--id", "b"], text).expect(4);
    host.shell(&["--id", "b"], text).expect(125).complains("its output was not kept");
    let object = host.shell(&["--id", "b", "--json"], text).expect(125).json();
    assert_eq!(object["outcome"]["not_kept"]["exited"], 4);
    host.crash();
    host.restart();
    assert_eq!(host.shell(&kept, text).expect(4).text(), "out\n");
    host.shell(&["--id", "b"], text).expect(125).complains("ended with the exit code 4");
    assert_eq!(ran(&host), 2);
}

#[test]
fn another_command_under_a_used_id_is_refused() {
    let host = Host::start();
    host.exec(&["--id", "a"], ["true"]).expect(0);
    host.shell(&["--id", "a"], "touch ran").expect(125).complains("stands for another command");
    let object = host.shell(&["--id", "a", "--json"], "touch ran").expect(125).json();
    assert_eq!(object["outcome"]["refused"]["code"], "id_in_use");
    assert!(!host.root().join("ran").exists());
}

#[test]
fn an_id_of_a_command_that_was_forgotten_stays_used() {
    let host = Host::start();
    host.exec(&["--id", "a"], ["true"]).expect(0);
    finish(host.client(["rm", &host.target(), "a"])).expect(0);
    let object = host.exec(&["--id", "a", "--json"], ["true"]).expect(125).json();
    assert_eq!(object["outcome"]["refused"]["code"], "unknown", "{object}");
}

/// Work that must be recorded is refused where it can't be; a plain command runs, so that the disk can be cleaned.
#[test]
fn a_server_that_can_not_record_ids_runs_plain_commands_only() {
    let mut host = Host::start();
    host.crash();
    let state = host.home().join("state");
    fs::remove_dir_all(&state).expect("it was there");
    // Nothing can be made below a file, not even by root.
    fs::create_dir(&state).expect("a directory");
    fs::write(state.join("machines"), "").expect("a file");
    host.restart();
    assert_eq!(host.exec(&[], ["echo", "cleaned"]).expect(0).text(), "cleaned\n");
    for flags in [&["--id", "a"][..], &["--lease", "keep=10s"], &["--lease", "detach"], &["--detach"], &["--durable"]] {
        host.shell(flags, "touch ran").expect(125).complains("can't record");
    }
    assert!(!host.root().join("ran").exists());
}
