//! Machines that lack what this one has, and programs of other versions. Nothing here needs an account: a script in the place of
//! ssh runs what it is given.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use unglue_testkit::port::HeldPort;

use super::super::run::{Finished, UNGLUE, clean, finish, until};
use super::site::{mode, programs, start_client};

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

    fn client(&self, programs: &Path, verb: &str) -> Command {
        let mut command = clean(UNGLUE);
        command.env("HOME", self.directory.path()).env("UNGLUE_SSH", self.directory.path().join("ssh"));
        command.env("UNGLUE_PROGRAMS", programs).args([verb, "--transport", "ssh"]);
        command
    }

    fn exec(&self, programs: &Path, text: &str) -> Finished {
        finish(self.client(programs, "exec").args(["box", "-c", text]))
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

/// The programs that may be uploaded: the one under test, and the static one if it has been built.
fn all_programs() -> Vec<PathBuf> {
    [programs()].into_iter().chain(static_program()).collect()
}

/// Before Linux 5.1 (pidfd_send_signal), 5.3 (pidfd_open), 5.6 (openat2, pidfd_getfd) and 5.9 (close_range).
#[test]
fn system_calls_that_are_not_there() {
    if !Path::new("/usr/bin/strace").exists() {
        eprintln!("skipped: strace is needed");
        return;
    }
    let calls = "openat2,pidfd_open,pidfd_send_signal,pidfd_getfd,close_range";
    let wrapper = format!("strace -f -qq -o /dev/null -e trace={calls} -e inject={calls}:error=ENOSYS");
    for programs in all_programs() {
        let local = Local::behind(&wrapper);
        let done = local.exec(&programs, "cat /etc/hostname >/dev/null; echo it works; exit 3").expect(3);
        assert_eq!(done.text(), "it works\n", "{}", done.stderr);
        // A tree that has to be killed, and files.
        let done = local.exec(&programs, "setsid sleep 300 & echo left");
        assert_eq!(done.expect(0).text(), "left\n");
        let file = local.directory.path().join("file");
        fs::write(&file, "contents").expect("written");
        finish(local.client(&programs, "cp").arg(&file).arg("box:deep")).expect(0);
        assert_eq!(fs::read_to_string(local.directory.path().join("there/deep")).expect("it is there"), "contents");
    }
}

/// The program that `scripts/static` makes, if it has been run.
fn static_program() -> Option<PathBuf> {
    let directory = target().join("static");
    directory.join("unglue-linux-x86_64").is_file().then_some(directory)
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a directory").to_owned()
}

/// A root with busybox and nothing else; `None`, with the reason, where there can be none. The command runs in it as `user`, with this
/// home.
fn busybox(user: u32, home: &str) -> Option<(PathBuf, Local)> {
    let Some(programs) = static_program() else {
        eprintln!("skipped: scripts/static has not been run");
        return None;
    };
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let (Some(busybox), true) = (busybox, rustix::process::geteuid().is_root()) else {
        eprintln!("skipped: root and busybox-static are needed");
        return None;
    };
    // Its own /proc, as every machine has one; it is gone with the namespace.
    let local = Local::behind(&format!(
        "unshare -m sh -c 'mount -t proc proc \"$HOME/proc\"; exec \"$@\"' sh \\
         /usr/sbin/chroot --userspec={user}:{user} \"$HOME\" /bin/env HOME={home}"
    ));
    let make =
        "cd \"$1\"; mkdir -p bin etc root tmp proc dev \".$4\"; cp \"$2\" bin/busybox; bin/busybox --install -s bin
        echo 'root:x:0:0::/root:/bin/sh' >etc/passwd; echo '127.0.0.1 far.example' >etc/hosts
        chmod 1777 tmp; mknod -m 666 dev/null c 1 3; chown \"$3:$3\" \".$4\"
        for link in bin/*; do [ -L \"$link\" ] && ln -sf busybox \"$link\"; done";
    let root = local.directory.path().join("there");
    let mut command = Command::new("sh");
    command.args(["-ec", make, "sh"]).arg(root).args([busybox, &user.to_string(), home]);
    finish(&mut command).expect(0);
    Some((programs, local))
}

#[test]
fn the_static_program_runs_in_a_root_with_nothing_but_busybox() {
    let Some((programs, local)) = busybox(0, "/root") else { return };
    let done = local.exec(&programs, "echo $USER $HOME; exit 3").expect(3);
    assert_eq!(done.text(), "root /root\n", "{}", done.stderr);
    fs::write(local.directory.path().join("file"), "contents").expect("written");
    finish(local.client(&programs, "cp").arg(local.directory.path().join("file")).arg("box:there")).expect(0);
    let there = local.directory.path().join("there/root/there");
    assert_eq!(fs::read_to_string(there).expect("it is there"), "contents");
}

/// The machine's own getent(1) knows a user that the static program's C library finds in no file.
#[test]
fn the_static_program_asks_getent_for_users_and_resolves_names() {
    let Some((programs, local)) = busybox(4711, "/home/directory-user") else { return };
    let refused = local.exec(&programs, "true").expect(125);
    assert!(refused.stderr.contains("no user has the number 4711"), "{}", refused.stderr);
    let getent = local.directory.path().join("there/bin/getent");
    let text = "#!/bin/sh\n[ \"$*\" = 'passwd 4711' ] || exit 2
        echo 'directory-user:*:4711:4711:From a directory:/home/directory-user:/bin/sh'\n";
    fs::write(&getent, text).expect("written");
    mode(&getent, 0o755);
    let done = local.exec(&programs, "echo $USER $HOME $SHELL").expect(0);
    assert_eq!(done.text(), "directory-user /home/directory-user /bin/sh\n", "{}", done.stderr);
    // A name that only that root's /etc/hosts has.
    let service = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = service.local_addr().expect("an address").port();
    let held = HeldPort::any();
    let here = held.number();
    let mut command = local.client(&programs, "forward");
    let client = start_client({
        command.args(["-L", &format!("{here}:far.example:{port}"), "box"]);
        command
    });
    let mut near = until("the forwarded port", || TcpStream::connect(("127.0.0.1", here)).ok());
    near.write_all(b"x").expect("written");
    service.set_nonblocking(true).expect("set");
    until("the connection", || service.accept().ok());
    client.signal(Signal::INT);
    client.finish();
}

/// Roots that `scripts/roots` has made: Debian 11 and 12, each with a user that only a module of the name service switch knows.
#[test]
fn the_static_program_runs_on_older_systems() {
    let roots: Vec<PathBuf> =
        fs::read_dir(target().join("roots")).into_iter().flatten().flatten().map(|e| e.path()).collect();
    let (Some(programs), false, true) = (static_program(), roots.is_empty(), rustix::process::geteuid().is_root())
    else {
        eprintln!("skipped: root, scripts/static and scripts/roots are needed");
        return;
    };
    for root in roots {
        for (user, name, home) in [(0, "root", "/root"), (4711, "directory-user", "/home/directory-user")] {
            let local = Local::behind(&in_root(&root, user, home));
            let done = local.exec(&programs, "echo $USER $HOME; exit 3").expect(3);
            assert_eq!(done.text(), format!("{name} {home}\n"), "{} {}", root.display(), done.stderr);
        }
    }
}

/// Without a static program, the client's own goes there, if the C library there can run it.
#[test]
fn a_c_library_that_is_too_old_is_named() {
    let root = target().join("roots/bullseye");
    if !root.is_dir() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: root and scripts/roots are needed");
        return;
    }
    let local = Local::behind(&in_root(&root, 0, "/root"));
    let done = local.exec(&programs(), "true").expect(125).complains("uploading the program");
    assert!(done.stderr.contains("GLIBC_") && done.stderr.contains("scripts/static"), "{}", done.stderr);
}

/// The command in a root of another system, which stays as it is: what is written goes to memory.
fn in_root(root: &Path, user: u32, home: &str) -> String {
    let mounts = format!(
        "mount --bind {root} \"$HOME\"; cd \"$HOME\"; mount -t proc proc proc
         for at in root home tmp dev/shm; do mkdir -p $at; mount -t tmpfs -o mode=1777 tmpfs $at; done
         mkdir -p .{home}; chown {user}:{user} .{home}; exec \"$@\"",
        root = root.display(),
    );
    format!(
        "unshare -m sh -c '{mounts}' sh /usr/sbin/chroot --userspec={user}:{user} \"$HOME\" /usr/bin/env HOME={home}"
    )
}

/// This version's client with a program of an earlier commit: `scripts/previous` builds one where the history is there.
#[test]
fn an_earlier_program_serves_this_client() {
    let directory = target().join("previous");
    if !directory.join("unglue-linux-x86_64").is_file() {
        eprintln!("skipped: scripts/previous has not been run, or there is no earlier commit");
        return;
    }
    let local = Local::behind("env");
    let done = local.exec(&directory, "echo it works; exit 3").expect(3);
    assert_eq!(done.text(), "it works\n", "{}", done.stderr);
}
