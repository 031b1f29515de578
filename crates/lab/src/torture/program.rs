//! The programs of a run: the client, and the server where that is ours to start.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, PipeReader, Read as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::LabError;
use crate::stop::{Stop, Woken};

/// How much of an output is kept: of the client's standard output, and of what is only shown.
const STDOUT: usize = 16 << 20;
const SHOWN: usize = 16 << 10;
/// How much a pipe holds (pipe(7)).
const PIPE: usize = 1 << 16;
/// How long a server that has closed a connection may run until it is seen whether it ends, how often that is looked at, and how
/// many times in a row it must be found idle.
const SETTLE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(1);
const STILL: u32 = 3;

/// The environment's name for the port, which `{port}` in an argument stands for too.
pub(super) const PORT: &str = "UNGLUE_PORT";

/// Puts the port where `{port}` stands, and `127.0.0.1:PORT` for `{address}`.
fn with_port(word: &OsStr, port: u16) -> OsString {
    let (port, address) = (port.to_string(), format!("127.0.0.1:{port}"));
    let mut bytes = word.as_bytes().to_vec();
    for (from, to) in [("{port}", &port), ("{address}", &address)] {
        bytes = replace(&bytes, from.as_bytes(), to.as_bytes());
    }
    OsString::from_vec(bytes)
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn start(words: &[OsString], port: u16, stdout: Stdio, stderr: Stdio) -> io::Result<Child> {
    let words: Vec<OsString> = words.iter().map(|word| with_port(word, port)).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env(PORT, port.to_string()).process_group(0);
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn()
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Not at all: nothing happened any more, so it was killed.
    Hung,
}

impl Exit {
    fn of(status: ExitStatus) -> Exit {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "ended by signal {signal}"),
            Exit::Hung => f.write_str("hung: nothing happened any more"),
        }
    }
}

/// The client of one run. Its process group ends when this is dropped.
pub(super) struct Client {
    child: Child,
    pub(super) ends: OwnedFd,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    exit: Option<Exit>,
}

impl Client {
    pub(super) fn start(words: &[OsString], port: u16) -> Result<Client, LabError> {
        let name = words[0].to_string_lossy().into_owned();
        let started = (|| {
            let ((stdout, out), (stderr, err)) = (io::pipe()?, io::pipe()?);
            let child = start(words, port, out.into(), err.into())?;
            let ends = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
            let (stdout, stderr) = (Output::new(stdout, STDOUT)?, Output::new(stderr, SHOWN)?);
            Ok(Client { child, ends, stdout, stderr, exit: None })
        })();
        started.map_err(LabError::io(format!("start the client `{name}`")))
    }

    /// How it ended, if it has.
    pub(super) fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten().map(Exit::of);
        }
        self.exit
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a program's process group, and reaps it.
fn end(child: &mut Child) {
    // Before the wait: as long as its leader isn't reaped, the group's number is nobody else's. One that was reaped already
    // may have left others in its group.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

/// What a program writes to a pipe.
pub(super) struct Output {
    pub(super) pipe: Option<PipeReader>,
    pub(super) bytes: Vec<u8>,
    most: usize,
}

impl Output {
    fn new(pipe: PipeReader, most: usize) -> io::Result<Output> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Output { pipe: Some(pipe), bytes: Vec::new(), most })
    }

    /// Reads what is there. Says whether something was.
    pub(super) fn take(&mut self) -> bool {
        let (mut buffer, mut any) = ([0; 1 << 16], false);
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    any = true;
                    let room = self.most.saturating_sub(self.bytes.len()).min(n);
                    self.bytes.extend_from_slice(&buffer[..room]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                Err(_) => self.pipe = None,
            }
        }
        any
    }
}

/// A server that torture started. Its process group ends when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) port: Port,
    said: Arc<Said>,
}

impl Server {
    pub(super) fn start(command: &OsStr, port: Port) -> Result<Server, LabError> {
        let words = [OsString::from("/bin/sh"), "-c".into(), with_port(command, port.number)];
        let started = (|| {
            let (said, out) = io::pipe()?;
            let err = out.try_clone()?;
            let child = start(&words, port.number, out.into(), err.into())?;
            Ok((child, Said::new(said)?))
        })();
        let (child, said) = started.map_err(LabError::io("start the server"))?;
        Ok(Server { child, port, said })
    }

    /// How it ended, if it has.
    pub(super) fn exit(&mut self) -> Option<Exit> {
        self.child.try_wait().ok().flatten().map(Exit::of)
    }

    /// Whether it has ended, or is about to: waits while it runs, for a short time. A server closes its connections before it is
    /// seen to end, so its client may be the first to end.
    pub(super) fn settle(&mut self, stop: &Stop) -> Result<Option<Exit>, LabError> {
        let until = Instant::now() + SETTLE;
        let mut still = 0;
        while still < STILL && Instant::now() < until {
            let (_, busy) = effort([self.pid()]);
            if let Some(exit) = self.exit() {
                return Ok(Some(exit));
            }
            still = if busy { 0 } else { still + 1 };
            let woken = Stop::wait(Some(stop), &mut [], Instant::now() + LOOK);
            if woken.map_err(LabError::io("wait for the server"))? == Woken::Stopped {
                return Err(LabError::Stopped);
            }
        }
        Ok(self.exit())
    }

    /// The last that it printed, on one line. Once its end was seen, this is its last line.
    pub(super) fn said(&self) -> String {
        self.said.take();
        last_line(&self.said.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The last line that isn't empty, shortened.
pub(super) fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    line.chars().take(200).collect()
}

/// What a server prints: a thread reads it, so that the server is never held up, and who wants to know what it has printed until
/// now reads the rest.
struct Said {
    pipe: PipeReader,
    kept: Mutex<Vec<u8>>,
}

impl Said {
    fn new(pipe: PipeReader) -> io::Result<Arc<Said>> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let said = Arc::new(Said { pipe, kept: Mutex::default() });
        let reader = Arc::clone(&said);
        thread::Builder::new().spawn(move || {
            while poll(&mut [PollFd::new(&reader.pipe, PollFlags::IN)], None) != Err(Errno::INVAL) && reader.take() {}
        })?;
        Ok(said)
    }

    /// Reads what is there, a full pipe at most, and keeps the end of it. Says whether there may be more later.
    fn take(&self) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 4096];
        for _ in 0..=PIPE / buffer.len() {
            match (&self.pipe).read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => {
                    kept.extend_from_slice(&buffer[..n]);
                    let old = kept.len().saturating_sub(SHOWN);
                    kept.drain(..old);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// The processor time of programs and all their descendants, in ticks, and whether one of them wants to run now.
pub(super) fn effort(pids: impl IntoIterator<Item = u32>) -> (u64, bool) {
    let (mut ticks, mut busy) = (0, false);
    let mut left: Vec<u32> = pids.into_iter().collect();
    let mut seen = 0;
    while let Some(pid) = left.pop() {
        seen += 1;
        if seen > 1000 {
            break;
        }
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // Behind the name in parentheses: the state is the first field, utime and stime are the 12th and 13th (proc(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        busy |= matches!(fields.first(), Some(&"R" | &"D"));
        ticks += number(11) + number(12);
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            left.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let state = stat.rsplit(')').next().unwrap_or("").trim_start();
            busy |= state.starts_with(['R', 'D']);
        }
    }
    (ticks, busy)
}

/// Whether a socket of this machine listens on that port (proc_net_tcp in the kernel's documentation). Asking it by connecting
/// would give a server its first client.
pub(super) fn listens(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        fs::read_to_string(table).unwrap_or_default().lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, state) = (fields.next().unwrap_or(""), fields.nth(1).unwrap_or(""));
            let local = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            local == Some(port) && state == "0A"
        })
    })
}

/// A port that is free now.
pub(super) fn free_port() -> Result<Port, LabError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Below those that the kernel gives to connections: one of them could take it before the server does.
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..100 {
        let offset = first.wrapping_add(NEXT.fetch_add(7, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + u16::try_from(offset).unwrap_or(0);
        if let (Ok(claim), true) = (claim(port), TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(Port { number: port, _claim: claim });
        }
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(LabError::io("find a free port"))?;
    let number = listener.local_addr().map_err(LabError::io("find a free port"))?.port();
    Ok(Port { number, _claim: claim(number).map_err(LabError::io("claim a port"))? })
}

/// A port that no other torture of this machine picks as long as this lives: its server listens only a while later.
pub(super) struct Port {
    pub(super) number: u16,
    _claim: UnixListener,
}

/// An abstract name (unix(7)), which goes with its process.
fn claim(port: u16) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("unglue-torture-{port}"))?)
}

/// A pipe as a descriptor to wait for.
pub(super) fn readable(output: &Output) -> Option<std::os::fd::BorrowedFd<'_>> {
    output.pipe.as_ref().map(|pipe| pipe.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_stands_where_it_is_wanted() {
        assert_eq!(with_port("a{port}b{port}".as_ref(), 12), "a12b12");
        assert_eq!(with_port("tcp:{address}".as_ref(), 12), "tcp:127.0.0.1:12");
        assert_eq!(with_port(OsStr::from_bytes(b"\xff{port"), 12), OsStr::from_bytes(b"\xff{port"));
    }

    #[test]
    fn a_listener_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert!(listens(port));
        drop(listener);
        assert!(!listens(port));
    }

    #[test]
    fn the_last_line_is_short() {
        assert_eq!(last_line(b"a\nTraceback\nError: x\n\n"), "Error: x");
        assert_eq!(last_line(b""), "");
    }
}
