//! Machines that lack what this one has, and programs of other versions. Nothing here needs an account: a script in the place of
//! ssh runs what it is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::super::run::{Finished, UNGLUE, clean, finish};
use super::site::{mode, programs};

/// A client whose ssh runs the command here, as an argument of `wrapper`.
struct Local {
    directory: TempDir,
}

impl Local {
    /// `wrapper` is a line of a shell that ends where the command goes.
    fn behind(wrapper: &str) -> Local {
        let directory = tempfile::Builder::new().prefix("unglue-old-").tempdir_in("/var/tmp").expect("a directory");
        fs::create_dir(directory.path().join("there")).expect("a directory");
        let script = directory.path().join("ssh");
        let home = directory.path().join("there");
        let text = format!("#!/bin/bash\nexport HOME={}\nexec {wrapper} sh -c \"${{@: -1}}\"\n", home.display());
        fs::write(&script, text).expect("written");
        mode(&script, 0o755);
        Local { directory }
    }

    fn exec(&self, programs: &Path, text: &str) -> Finished {
        let mut command = clean(UNGLUE);
        command.env("HOME", self.directory.path()).env("UNGLUE_SSH", self.directory.path().join("ssh"));
        command.env("UNGLUE_PROGRAMS", programs);
        finish(command.args(["exec", "--transport", "ssh", "box", "-c", text]))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // The process that owns the state waits for more work.
        let there = self.directory.path().join("there");
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
            if fs::read_link(process.path().join("exe")).is_ok_and(|program| program.starts_with(&there))
                && let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// Before Linux 5.3, 5.6 and 5.9.
#[test]
fn system_calls_that_are_not_there() {
    if !Path::new("/usr/bin/strace").exists() {
        eprintln!("skipped: strace is needed");
        return;
    }
    let wrapper = "strace -f -qq -o /dev/null -e trace=openat2,pidfd_open,close_range -e inject=openat2,pidfd_open,close_range:error=ENOSYS";
    let local = Local::behind(wrapper);
    let done = local.exec(&programs(), "cat /etc/hostname >/dev/null; echo it works; exit 3").expect(3);
    assert_eq!(done.text(), "it works\n", "{}", done.stderr);
}

/// The program that `scripts/static` makes, if it has been run.
fn static_program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let directory = target.join("static");
    directory.join("unglue-linux-x86_64").is_file().then_some(directory)
}

#[test]
fn the_static_program_runs_in_a_root_with_nothing_but_busybox() {
    let Some(programs) = static_program() else {
        eprintln!("skipped: scripts/static has not been run");
        return;
    };
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let (Some(busybox), true) = (busybox, rustix::process::geteuid().is_root()) else {
        eprintln!("skipped: root and busybox-static are needed");
        return;
    };
    let local = Local::behind("chroot \"$HOME\" /bin/env HOME=/root");
    let root = local.directory.path().join("there");
    let make = "cd \"$1\"; mkdir -p bin etc root tmp proc dev; cp \"$2\" bin/busybox; bin/busybox --install -s bin
        echo 'root:x:0:0::/root:/bin/sh' >etc/passwd; chmod 1777 tmp; mknod -m 666 dev/null c 1 3
        for link in bin/*; do [ -L \"$link\" ] && ln -sf busybox \"$link\"; done";
    finish(Command::new("sh").args(["-ec", make, "sh"]).arg(&root).arg(busybox)).expect(0);
    let script = local.directory.path().join("ssh");
    // Its own /proc, as every machine has one; it is gone with the namespace.
    let text = fs::read_to_string(&script).expect("it is there");
    let mount = "unshare -m sh -c 'mount -t proc proc \"$HOME/proc\"; exec \"$@\"' sh chroot";
    fs::write(&script, text.replace("exec chroot", &format!("exec {mount}"))).expect("written");
    let done = local.exec(&programs, "echo $USER $HOME; exit 3").expect(3);
    assert_eq!(done.text(), "root /root\n", "{}", done.stderr);
}

/// This version's client with a program of an earlier commit: `scripts/previous` builds one where the history is there.
#[test]
fn an_earlier_program_serves_this_client() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a directory").to_owned();
    let directory = target.join("previous");
    if !directory.join("unglue-linux-x86_64").is_file() {
        eprintln!("skipped: scripts/previous has not been run, or there is no earlier commit");
        return;
    }
    let local = Local::behind("env");
    let done = local.exec(&directory, "echo it works; exit 3").expect(3);
    assert_eq!(done.text(), "it works\n", "{}", done.stderr);
}
