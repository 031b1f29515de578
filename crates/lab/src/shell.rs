//! Running a command with the shell, as `subprocess.Popen(command, shell=True)` does, both of its outputs read together.
//!
//! Reading one output to its end before the other deadlocks as soon as the command fills the other's pipe (64 KiB).

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::LabError;
use crate::coding::Coding;
use crate::stop::{Stop, Woken, deadline};

/// How long outputs are read on after the command's end, where a descendant keeps them open.
const DRAIN: Duration = Duration::from_millis(200);

/// Where commands run, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The directory; `None` is the server's own.
    pub directory: Option<PathBuf>,
    /// How long a command may run. Then it is killed, and the reply says so.
    pub longest: Duration,
    /// How many bytes it may print, both outputs together. Then it is killed, and the reply says so.
    pub largest: u64,
}

impl Default for Shell {
    /// The server's own directory, 60 s, 64 MiB.
    fn default() -> Shell {
        Shell { directory: None, longest: Duration::from_secs(60), largest: 64 << 20 }
    }
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Printed {
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its standard output.
    pub stdout: Vec<u8>,
}

impl Printed {
    /// What the dialects with a length send: standard error if there is any, else standard output.
    pub fn either(&self) -> &[u8] {
        if self.stderr.is_empty() { &self.stdout } else { &self.stderr }
    }

    /// A reply of the server's own.
    fn notice(what: &str) -> Printed {
        Printed { stderr: format!("unglue lab: {what}\n").into_bytes(), stdout: Vec::new() }
    }
}

impl Shell {
    /// Commands run in this directory.
    pub fn within(directory: impl Into<PathBuf>) -> Shell {
        Shell { directory: Some(directory.into()), ..Shell::default() }
    }

    /// Runs a command that came over the wire, and spells its outputs as the wire wants them.
    pub(crate) fn answer(
        &self,
        wire: &[u8],
        coding: Coding,
        stop: &Stop,
        client: Option<BorrowedFd<'_>>,
    ) -> Result<Printed, LabError> {
        let Printed { stderr, stdout } = self.run(&coding.from_wire(wire), Some(stop), client)?;
        Ok(Printed { stderr: coding.to_wire(&stderr).into_owned(), stdout: coding.to_wire(&stdout).into_owned() })
    }

    /// Runs a command line. One that prints too much, runs too long or can't be started has a reply too: one line on
    /// standard error, and nothing of what it printed, so that half of a reply is never taken for the whole.
    ///
    /// # Errors
    /// [`LabError::Stopped`]; [`LabError::Io`] if its outputs can't be read.
    pub(crate) fn run(
        &self,
        line: &[u8],
        stop: Option<&Stop>,
        client: Option<BorrowedFd<'_>>,
    ) -> Result<Printed, LabError> {
        if line.contains(&0) {
            return Ok(Printed::notice("the command has a zero byte, which no shell takes"));
        }
        match Running::start(line, self.directory.as_deref()) {
            Ok(running) => running.collect(self, stop, client),
            Err(error) => Ok(Printed::notice(&format!("the shell could not be started: {error}"))),
        }
    }
}

/// A command under way. Its process group ends when this is dropped; what has left the group, as `setsid` does, lives on.
struct Running {
    child: Child,
    stderr: Option<PipeReader>,
    stdout: Option<PipeReader>,
    printed: Printed,
}

impl Running {
    fn start(line: &[u8], directory: Option<&Path>) -> io::Result<Running> {
        let ((stderr, errors), (stdout, output)) = (io::pipe()?, io::pipe()?);
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(OsStr::from_bytes(line)).process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        directory.map(|directory| command.current_dir(directory));
        let child = command.spawn()?;
        // `command` goes out of scope here, and with it our own copies of the pipes' writing ends.
        Ok(Running { child, stderr: Some(stderr), stdout: Some(stdout), printed: Printed::default() })
    }

    /// Reads until both outputs have ended, or a while after the command has.
    fn collect(
        mut self,
        shell: &Shell,
        stop: Option<&Stop>,
        client: Option<BorrowedFd<'_>>,
    ) -> Result<Printed, LabError> {
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty());
        let ended = ended.map_err(|error| LabError::io("watch a command")(error.into()))?;
        let mut running = true;
        let mut until = deadline(shell.longest);
        while running || self.stderr.is_some() || self.stdout.is_some() {
            let outputs = [&self.stderr, &self.stdout].map(|pipe| pipe.as_ref().map(|p| p.as_fd()));
            let watched = running.then_some(ended.as_fd());
            let fds = outputs.into_iter().chain([watched]);
            let mut wanted: Vec<_> = fds.flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            // No event is asked for: a connection that was reset reports itself. One that was closed in order may still read.
            wanted.extend(client.map(|client| PollFd::from_borrowed_fd(client, PollFlags::empty())));
            // A command that always has something to read would never let the time run out.
            let woken = match Instant::now() < until {
                true => Stop::wait(stop, &mut wanted, until).map_err(LabError::io("wait for a command"))?,
                false => Woken::TimeUp,
            };
            match woken {
                Woken::Stopped => return Err(LabError::Stopped),
                Woken::TimeUp if running => return Ok(Printed::notice(&too_long(shell.longest))),
                Woken::TimeUp => break,
                Woken::Ready => {}
            }
            if client.is_some() && wanted.pop().is_some_and(|client| !client.revents().is_empty()) {
                return Err(LabError::Broken {
                    what: "the client broke the connection off while its command ran".into(),
                    advice: "the command was ended".into(),
                });
            }
            let mut ready = wanted.iter().map(|fd| !fd.revents().is_empty());
            let ready = [self.stderr.is_some(), self.stdout.is_some(), running]
                .map(|there| there && ready.next() == Some(true));
            if ready[2] {
                running = false;
                until = deadline(DRAIN);
            }
            self.take(ready[0], ready[1]).map_err(LabError::io("read a command's output"))?;
            if (self.printed.stderr.len() + self.printed.stdout.len()) as u64 > shell.largest {
                return Ok(Printed::notice(&too_large(shell.largest)));
            }
        }
        Ok(std::mem::take(&mut self.printed))
    }

    fn take(&mut self, stderr: bool, stdout: bool) -> io::Result<()> {
        if stderr {
            take(&mut self.stderr, &mut self.printed.stderr)?;
        }
        if stdout {
            take(&mut self.stdout, &mut self.printed.stdout)?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Before the wait: as long as its leader isn't reaped, the group's number is nobody else's.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// One read from a pipe that is ready; at its end the pipe is closed.
fn take(pipe: &mut Option<PipeReader>, printed: &mut Vec<u8>) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    let mut buffer = [0; 1 << 16];
    match open.read(&mut buffer)? {
        0 => *pipe = None,
        n => printed.extend_from_slice(&buffer[..n]),
    }
    Ok(())
}

fn too_long(longest: Duration) -> String {
    format!("the command ran for {} s and was ended; nothing of what it printed is sent", longest.as_secs_f64())
}

fn too_large(largest: u64) -> String {
    format!("the command printed more than {largest} bytes and was ended; nothing of it is sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Printed {
        Shell::within("/").run(line.as_bytes(), None, None).expect("it runs")
    }

    #[test]
    fn both_outputs_are_kept_apart() {
        assert_eq!(run("echo out; echo err >&2"), Printed { stderr: b"err\n".into(), stdout: b"out\n".into() });
        assert_eq!(run("pwd").stdout, b"/\n");
        assert_eq!(run("lllll").either(), run("lllll").stderr);
    }

    #[test]
    fn neither_output_waits_for_the_other() {
        let printed = run("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero");
        assert_eq!((printed.stdout.len(), printed.stderr.len()), (600_000, 300_000));
    }

    #[test]
    fn a_descendant_that_keeps_the_pipe_holds_nobody_up() {
        let started = Instant::now();
        assert_eq!(run("sleep 60 & echo hi").stdout, b"hi\n");
        let busy = run("echo hi; (while :; do echo x; done) &");
        assert!(busy.stderr.is_empty() && busy.stdout.starts_with(b"hi\n"), "{}", busy.stderr.escape_ascii());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn too_much_is_told_and_not_cut() {
        let shell = Shell { largest: 1000, ..Shell::default() };
        let printed = shell.run(b"seq 1000000", None, None).expect("it runs");
        assert!(printed.stdout.is_empty() && printed.stderr.starts_with(b"unglue lab: the command printed more"));
        let shell = Shell { longest: Duration::from_millis(50), ..Shell::default() };
        let printed = shell.run(b"echo a; sleep 60", None, None).expect("it runs");
        assert!(printed.stdout.is_empty() && printed.stderr.starts_with(b"unglue lab: the command ran for 0.05 s"));
    }

    #[test]
    fn what_is_no_command_has_a_reply_too() {
        assert!(run("a\0b").stderr.starts_with(b"unglue lab: "));
        let nowhere = Shell::within("/nowhere").run(b"pwd", None, None).expect("it has a reply");
        assert!(nowhere.stderr.starts_with(b"unglue lab: the shell could not be started"));
        assert_eq!(run(""), Printed::default());
    }
}
