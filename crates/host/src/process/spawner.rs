//! How supervisors are started, and the server's end of the spawner that forks them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;

use super::link::Link;
use super::socket;
use super::supervise::{OPEN_FILES_VARIABLE, supervise_main};

/// Marks a test binary's process that is to become the spawner.
const TEST_VARIABLE: &str = "UNGLUE_SUPERVISE";

/// How to start the process that owns commands: a program that calls [`supervise_main`] when started so.
#[derive(Clone, Debug)]
pub struct SupervisorCommand {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl SupervisorCommand {
    /// This very program with the hidden subcommand `__supervise`. It works even after the program's file was
    /// replaced by an upgrade: both ends must be the same version.
    ///
    /// `main` has to look for the subcommand first:
    ///
    /// ```no_run
    /// if std::env::args_os().nth(1).is_some_and(|argument| argument == "__supervise") {
    ///     unglue_host::process::supervise_main();
    /// }
    /// ```
    pub fn current_exe() -> Self {
        Self::new("/proc/self/exe").arg("__supervise")
    }

    /// A program of your own.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new() }
    }

    /// This test binary, in which the test `name` (its path within the binary, such as `process::supervisor`) calls
    /// [`supervise_if_asked`] and does nothing else.
    pub fn from_test(name: &str) -> Self {
        let args = [name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"];
        args.iter().fold(Self::new("/proc/self/exe"), |command, argument| command.arg(argument)).env(TEST_VARIABLE, "1")
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.args.push(argument.as_ref().to_owned());
        self
    }

    /// Adds a variable to the supervisors' own environment, which is the server's. Commands never see it.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The soft limit of open files that commands get (`RLIMIT_NOFILE`), for a server that raised its own. Without
    /// it they get the server's.
    #[must_use]
    pub fn open_files(self, soft: u64) -> Self {
        self.env(OPEN_FILES_VARIABLE, soft.to_string())
    }

    fn start(&self, socket: OwnedFd) -> io::Result<Child> {
        Command::new(&self.program)
            .arg0("unglue")
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// In a test binary: becomes the spawner if this process was started as one, and otherwise returns.
///
/// In `tests/it/process.rs`, for a pool made with `SupervisorCommand::from_test("process::supervisor")`:
///
/// ```text
/// #[test]
/// fn supervisor() {
///     unglue_host::process::supervise_if_asked();
/// }
/// ```
pub fn supervise_if_asked() {
    if std::env::var_os(TEST_VARIABLE).is_some() {
        supervise_main();
    }
}

/// The spawner, as the server holds it. It is started again should somebody kill it.
#[derive(Debug)]
pub(super) struct Spawner {
    command: SupervisorCommand,
    running: Option<(OwnedFd, Reaped)>,
}

/// The spawner's process; on drop it is waited for, in the background.
#[derive(Debug)]
struct Reaped(Option<Child>);

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take()
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            // It ends once its trees are gone. Without a thread it stays a zombie until this process ends.
            let _ = std::thread::Builder::new().name("unglue-reap".into()).spawn(move || child.wait());
        }
    }
}

impl Spawner {
    /// Starts the spawner's process.
    pub(super) fn new(command: SupervisorCommand) -> io::Result<Self> {
        let mut spawner = Self { command, running: None };
        spawner.start()?;
        Ok(spawner)
    }

    fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) = socket::pair()?;
        let child = self.command.start(theirs)?;
        self.running = Some((ours, Reaped(Some(child))));
        Ok(())
    }

    /// Asks for a supervisor. It takes requests at once, before it is even born.
    pub(super) fn supervisor(&mut self) -> io::Result<Link> {
        let (ours, theirs) = socket::pair()?;
        match self.ask(&theirs) {
            Err(Errno::PIPE | Errno::CONNRESET | Errno::BADF) => {
                tracing::warn!("the process that forks supervisors is dead; starting it again");
                self.running = None;
                self.start()?;
                // Should it die at once again, the link ends before anything was born on it, which its user sees.
                let _ = self.ask(&theirs);
            }
            result => result?,
        }
        Link::new(ours)
    }

    fn ask(&self, theirs: &OwnedFd) -> rustix::io::Result<()> {
        let (socket, _) = self.running.as_ref().ok_or(Errno::BADF)?;
        socket::send(socket, &[1], &[theirs.as_fd()], false)
    }
}
