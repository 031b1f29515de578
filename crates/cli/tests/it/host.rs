//! A server with throw-away keys, and a client that it knows.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use unglue_testkit::port::HeldPort;

use super::run::{Finished, UNGLUE, clean, finish, finish_with, until};

/// A running server.
pub(super) struct Host {
    directory: TempDir,
    server: Child,
    pub(super) port: u16,
    /// Nothing else takes its port while it is not running.
    _held: HeldPort,
    pub(super) fingerprint: String,
}

impl Host {
    /// A server that allows everything below its root.
    pub(super) fn start() -> Host {
        Host::start_with(&[])
    }

    /// A server with more flags.
    pub(super) fn start_with(flags: &[&str]) -> Host {
        let host = Host::start_unknown(flags);
        let trusted = finish(host.client(["key", "trust", &host.target(), &host.fingerprint]));
        trusted.expect(0);
        host
    }

    /// A server that logs to this, rather than to the file that [`Host::log`] reads.
    pub(super) fn start_logging_to(log: impl Into<Stdio>) -> Host {
        let host = Host::set_up(&[], &[], Some(log.into()));
        finish(host.client(["key", "trust", &host.target(), &host.fingerprint])).expect(0);
        host
    }

    /// A server that the client doesn't know yet.
    pub(super) fn start_unknown(flags: &[&str]) -> Host {
        Host::set_up(&[], flags, None)
    }

    /// A server that is started by this command, which must become the server's process.
    pub(super) fn start_behind(wrapper: &[&str]) -> Host {
        let host = Host::set_up(wrapper, &[], None);
        finish(host.client(["key", "trust", &host.target(), &host.fingerprint])).expect(0);
        host
    }

    fn set_up(wrapper: &[&str], flags: &[&str], log: Option<Stdio>) -> Host {
        let directory = tempfile::Builder::new().prefix("unglue-cli-").tempdir().expect("a directory");
        let path = directory.path().canonicalize().expect("it is there");
        fs::create_dir(path.join("root")).expect("a root");
        let key = |name: &str| {
            finish(client(&path).args(["key", "init", "-f"]).arg(path.join(name))).expect(0);
            fs::read_to_string(path.join(format!("{name}.pub"))).expect("a public key")
        };
        key("host_key");
        fs::write(path.join("authorized_keys"), key(".config/unglue/id_ed25519")).expect("written");
        let held = HeldPort::any();
        let (server, announced) = serve(&path, &held.address().to_string(), (wrapper, flags), log);
        let fingerprint = announced["fingerprint"].as_str().expect("a fingerprint").to_owned();
        Host { server, port: held.number(), _held: held, fingerprint, directory }
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The directory of keys, which is the client's home.
    pub(super) fn home(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there")
    }

    /// What the server serves.
    pub(super) fn root(&self) -> PathBuf {
        self.home().join("root")
    }

    /// The server's log so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.home().join("log")).expect("a log")
    }

    /// The client with these words, in its home.
    pub(super) fn client<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> &'static mut Command {
        let mut command = client(&self.home());
        command.args(words);
        // A command lives as long as the test; this saves a name at every call.
        Box::leak(Box::new(command))
    }

    /// `unglue exec FLAGS HOST -- WORDS`, ready to run.
    pub(super) fn exec_command<S: AsRef<OsStr>>(
        &self,
        flags: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> &'static mut Command {
        self.client(["exec"]).args(flags).arg(self.target()).arg("--").args(words)
    }

    /// Runs `unglue exec FLAGS HOST -- WORDS`.
    pub(super) fn exec<S: AsRef<OsStr>>(&self, flags: &[&str], words: impl IntoIterator<Item = S>) -> Finished {
        finish(self.exec_command(flags, words))
    }

    /// Runs `unglue exec FLAGS HOST -c TEXT`.
    pub(super) fn shell(&self, flags: &[&str], text: &str) -> Finished {
        finish(self.client(["exec"]).args(flags).args([&self.target(), "-c", text]))
    }

    /// Runs `unglue exec -i HOST -c TEXT`, fed with `input`.
    pub(super) fn shell_with(&self, text: &str, input: &[u8]) -> Finished {
        finish_with(self.client(["exec", "-i", &self.target(), "-c", text]), input)
    }

    /// Runs `unglue cp -P PORT WORDS`.
    pub(super) fn cp<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Finished {
        finish(self.client(["cp", "-P", &self.port.to_string()]).args(words))
    }

    /// Sends a signal to the server.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("it lives");
    }

    /// Stops the server, and waits until each of its threads stands still: until then one may go on answering.
    pub(super) fn stop(&self) {
        self.signal(Signal::STOP);
        until("a stopped server", || self.stands_still().then_some(()));
    }

    /// Whether each thread of the server is stopped (`proc_pid_stat(5)`: state `T`, behind the name's last parenthesis).
    fn stands_still(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.server_pid())).expect("it lives");
        threads.flatten().all(|thread| {
            // A thread that ended meanwhile does nothing any more.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { return true };
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// The server's process id.
    pub(super) fn server_pid(&self) -> u32 {
        self.server.id()
    }

    /// The server's process.
    pub(super) fn server_process(&mut self) -> &mut Child {
        &mut self.server
    }

    /// Kills the server as a crash would.
    pub(super) fn crash(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }

    /// Starts a server that has crashed or ended again, at the same address.
    pub(super) fn restart(&mut self) {
        (self.server, _) = serve(&self.home(), &self.target(), (&[], &[]), None);
    }

    /// Waits until the server has ended by itself, and gives its exit code.
    pub(super) fn ended(&mut self) -> Option<i32> {
        until("the server's end", || self.server.try_wait().expect("a child of ours")).code()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.crash();
        // Commands that outlive the server run in its root.
        for pid in working_in(self.directory.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The processes whose working directory is below this one.
pub(super) fn working_in(directory: &Path) -> Vec<Pid> {
    let directory = directory.canonicalize().expect("it is there");
    let processes = fs::read_dir("/proc").expect("proc(5)").flatten();
    let works_there =
        |entry: &fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory));
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw);
    processes.filter(works_there).filter_map(pid).collect()
}

/// A client whose home is `home`, in its home.
pub(super) fn client(home: &Path) -> Command {
    client_behind(&[], home)
}

/// The same, started by this command.
pub(super) fn client_behind(wrapper: &[&str], home: &Path) -> Command {
    let mut command = match wrapper {
        [] => clean(UNGLUE),
        [program, words @ ..] => {
            let mut command = clean(program);
            command.args(words).arg(UNGLUE);
            command
        }
    };
    command.env("HOME", home).current_dir(home);
    command
}

fn serve(home: &Path, listen: &str, (wrapper, flags): (&[&str], &[&str]), log: Option<Stdio>) -> (Child, Value) {
    let file = fs::File::options().create(true).append(true).open(home.join("log")).expect("a log");
    let log = log.unwrap_or_else(|| file.into());
    let mut command = client_behind(wrapper, home);
    command.args(["serve", "--listen", listen, "--json", "--root", "root", "--state", "state"]);
    command.args(["--host-key", "host_key", "--authorized-keys", "authorized_keys"]).args(flags);
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("an announcement");
    let announced = serde_json::from_str(&line).unwrap_or_else(|error| {
        let _ = server.kill();
        let _ = server.wait();
        panic!("{error}: {line:?} {}", fs::read_to_string(home.join("log")).unwrap_or_default())
    });
    (server, announced)
}

/// Whether a process with this number lives.
pub(super) fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
}
