//! Killing a tree through a control group of its own (`cgroups(7)`, version 2).
//!
//! A process that forks and ends faster than it can be read from `/proc` escapes every signal. Once one of a chain of such
//! processes is in a control group, all that it forks is born there, and `cgroup.kill` (Linux 5.14) ends the whole group
//! at once. It also ends processes that this user may not send signals to.
//!
//! This needs write access to this process's own control group: root has it, and so has a user below
//! `user@UID.service`. Everything here may fail, and then signals are all there is. No command pays for it: the
//! group is made when a pass of signals has failed, and removed afterwards.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Where version 2 is mounted; the second where version 1 is in use beside it.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// `CGROUP2_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: u32 = 0x6367_7270;
/// How long to move processes that are new, before those inside are killed.
const MOVE_TIME: Duration = Duration::from_millis(100);

/// A control group below this process's own; dropping it removes it, if no living process is in it.
pub(super) struct Cgroup {
    directory: PathBuf,
    members: File,
}

impl Cgroup {
    /// Makes the group, or finds the one that an earlier attempt could not remove.
    pub(super) fn new() -> Option<Self> {
        let own = own_group(&fs::read("/proc/self/cgroup").ok()?)?;
        let mount = MOUNTS.into_iter().find(|mount| is_version_2(mount))?;
        Self::below(&Path::new(mount).join(own))
    }

    fn below(own: &Path) -> Option<Self> {
        let directory = own.join(format!("unglue-kill-{}", std::process::id()));
        let _ = fs::create_dir(&directory);
        let members = OpenOptions::new().write(true).open(directory.join("cgroup.procs"));
        let Ok(members) = members else {
            let _ = fs::remove_dir(&directory);
            return None;
        };
        Some(Self { directory, members })
    }

    /// Moves the tree into the group and kills all that is in it; returns what was in it.
    ///
    /// `walk` calls its argument with each process of the tree, as soon as its number is known.
    pub(super) fn kill(&self, mut walk: impl FnMut(&mut dyn FnMut(i32))) -> Vec<i32> {
        let started = Instant::now();
        let mut known = HashSet::new();
        loop {
            let before = known.len();
            walk(&mut |pid| {
                // 0 would stand for this very process.
                if pid > 0 && known.insert(pid) {
                    // ESRCH: it ended.
                    let _ = (&self.members).write_all(pid.to_string().as_bytes());
                }
            });
            if known.len() == before || started.elapsed() >= MOVE_TIME {
                break;
            }
        }
        let members = self.members();
        match fs::write(self.directory.join("cgroup.kill"), "1") {
            Ok(()) => members,
            Err(_) => Vec::new(),
        }
    }

    fn members(&self) -> Vec<i32> {
        let list = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        list.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

/// The path of the group of version 2, below its mount, from `/proc/PID/cgroup`.
fn own_group(list: &[u8]) -> Option<PathBuf> {
    let path = list.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"0::/"))?;
    let path = PathBuf::from(OsStr::from_bytes(path));
    // `/..` is a group outside of this process's cgroup namespace.
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

fn is_version_2(mount: &str) -> bool {
    rustix::fs::statfs(mount).is_ok_and(|found| found.f_type as u32 == MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_own_group_is_read_from_the_line_of_version_2() {
        let group = |list: &str| own_group(list.as_bytes());
        assert_eq!(group("9:name=systemd:/\n0::/user.slice/a b\n"), Some("user.slice/a b".into()));
        assert_eq!(group("0::/\n"), Some("".into()));
        assert_eq!(group("0::/../other\n"), None);
        assert_eq!(group("4:memory:/x\n"), None);
    }

    #[test]
    fn a_group_that_cannot_be_made_is_none() {
        assert!(Cgroup::below(Path::new("/proc/no/such/group")).is_none());
        let plain = tempfile::tempdir().expect("a directory");
        assert!(Cgroup::below(plain.path()).is_none(), "a plain directory is not a control group");
        assert_eq!(fs::read_dir(plain.path()).expect("it is there").count(), 0);
    }

    #[test]
    fn what_is_moved_and_what_it_forks_is_killed() {
        let Some(group) = Cgroup::new() else {
            eprintln!("skipped: no writable control group of version 2 (see cgroups(7))");
            return;
        };
        let script = "read go; sleep 30 & echo $!; wait";
        let shell = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut shell = shell.expect("sh starts");
        let pid = shell.id() as i32;
        let mut forked = None;
        let mut members = group.kill(|found| {
            found(pid);
            // It forks once it is inside, and what it forks is never named.
            forked.get_or_insert_with(|| {
                shell.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
                let mut line = String::new();
                let mut stdout = std::io::BufReader::new(shell.stdout.take().expect("a pipe"));
                std::io::BufRead::read_line(&mut stdout, &mut line).expect("it writes");
                line.trim().parse::<i32>().expect("a number")
            });
        });
        members.sort_unstable();
        let mut expected = vec![pid, forked.expect("it was asked")];
        expected.sort_unstable();
        let status = shell.wait().expect("it was killed");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
        assert_eq!(members, expected);

        let directory = group.directory.clone();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !group.members().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(group);
        assert!(!directory.exists(), "{} is left", directory.display());
    }
}
