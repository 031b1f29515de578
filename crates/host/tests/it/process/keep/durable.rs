//! What survives a power cut.

use std::path::Path;

use unglue_host::process::{Keep, Limits, SupervisorCommand, Supervisors};
use unglue_proto::message::exec::Outcome;

use super::super::{command, kill, parent, shell, with_pool};
use super::{Found, ended, find, keep, start, until};
use crate::store_full::{directory, in_child};
use crate::store_power::run_soon;

fn durable(directory: &Path, command: unglue_host::process::Command) -> Keep {
    std::fs::create_dir(directory).expect("it is made");
    Keep { durable: true, ..keep(directory, command) }
}

/// The file system forgets all that is not on the device, and refuses everything from then on (`FS_IOC_SHUTDOWN`,
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`).
fn cut_power(mount: &Path) {
    let script = "import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], 0), 0x8004587d, struct.pack('I', 2))";
    run_soon("python3", &["-c", script, mount.to_str().expect("it is text")]);
}

#[test]
fn cut() {
    let Some(directory) = directory() else { return };
    let (image, mount) = (directory.join("image"), directory.join("mount"));
    let (image, place) = (image.to_str().expect("it is text"), mount.to_str().expect("it is text"));
    with_pool(async |pool| {
        let finished = mount.join("finished");
        let report = ended(&mut start(&pool, &durable(&finished, shell("echo hi; exit 4"))).await).await;
        let running = mount.join("running");
        let (mut kept, pid) = pool.keep(&durable(&running, shell("echo begun; sleep 300"))).await.expect("it starts");
        let keeper = parent(pid as i32);
        // Nothing of this one has to survive.
        let plain = mount.join("plain");
        std::fs::create_dir(&plain).expect("it is made");
        let plain_report = ended(&mut start(&pool, &keep(&plain, command(["true"]))).await).await;
        assert_eq!(plain_report.outcome, Outcome::exited(0));
        until(&mut kept, |progress| progress.stdout == 6).await;

        cut_power(&mount);
        kill(keeper);
        drop((kept, pool));
        super::super::eventually("its keeper is gone", || super::super::stat(keeper).is_none()).await;
        run_soon("umount", &[place]);
        run_soon("mount", &["-o", "loop", image, place]);

        assert!(
            matches!(find(&finished).await, Found::Finished(found) if *found == report),
            "its outcome is remembered"
        );
        assert_eq!(super::spool(&finished, "stdout"), b"hi\n");
        let found = find(&running).await;
        assert!(matches!(found, Found::Lost), "it has started: {found:?}");
        run_soon("umount", &[place]);
    });
}

#[test]
fn a_power_cut_forgets_no_durable_start_and_no_durable_outcome() {
    let script = "
        { [ $(id -u) = 0 ] && command -v mkfs.ext4 python3 >/dev/null; } || { echo 'no root, mkfs.ext4 and python3' >&2; exit 77; }
        exec unshare --mount sh -c '
            cd \"$0\" && truncate -s 64M image && mkfs.ext4 -q image && mkdir mount || exit 1
            mount -o loop image mount 2>/dev/null || { echo \"no loop devices\" >&2; exit 77; }
            exec \"$@\"' \"$0\" \"$@\"";
    in_child("process::keep::durable::cut", script);
}

/// The calls that matter, in the order in which a keeper made them.
async fn calls(durable: bool) -> Vec<String> {
    let directory = super::directory();
    let log = directory.path().join("log");
    let job = directory.path().join("job");
    std::fs::create_dir(&job).expect("it is made");
    let supervisor = SupervisorCommand::new("strace")
        .arg("-f")
        .arg("-qqq")
        .arg("-o")
        .arg(&log)
        .arg("-e")
        .arg("trace=fsync,fdatasync,renameat,renameat2,vfork,clone,clone3");
    let pool = Supervisors::new(super::killed::supervisor_under(supervisor), Limits { warm: 0, ..Limits::default() })
        .expect("it starts");
    let mut kept = start(&pool, &Keep { durable, ..keep(&job, command(["true"])) }).await;
    assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(0));
    let log = std::fs::read_to_string(log).expect("it is written");
    // The keeper is the one that renames.
    let keeper = log.lines().find(|line| line.contains("renameat2(")).and_then(|line| line.split(' ').next());
    let keeper = keeper.expect("it claims the job");
    let own = log
        .lines()
        .filter_map(|line| line.strip_prefix(keeper)?.strip_prefix(' ')?.trim_start().split(['(', ' ']).next());
    own.filter(|call| *call != "<..." && !call.starts_with('+') && *call != "---")
        .map(|call| if call.contains("fork") || call.contains("clone") { "spawn" } else { call }.to_owned())
        .collect()
}

#[test]
fn a_durable_job_is_synced_before_its_command_starts_and_before_its_outcome_is_seen() {
    if !super::killed::has_strace() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let outcome = ["fdatasync", "fdatasync", "fsync", "renameat", "fsync"];
        let expected = ["renameat2", "fsync", "fsync", "fsync", "spawn"].into_iter().chain(outcome);
        assert_eq!(calls(true).await, expected.collect::<Vec<_>>());
        assert_eq!(calls(false).await, ["renameat2", "spawn", "renameat"]);
    });
}
