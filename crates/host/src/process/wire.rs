//! The messages between the server and a supervisor, over one `SOCK_SEQPACKET` socket.
//!
//! Both ends are the same binary, so there are no versions; both still refuse what doesn't parse.
//!
//! A spawn request is `[kind, flags] argc:u32le envc:u32le cwd\0 argv[0]\0 … K=V\0 …`, with the descriptors of
//! stdin (if any), stdout and stderr. One that is larger than a message travels in a memfd, passed as the first
//! descriptor. A keep request is `[kind, flags] length:u32le`, the job's terms as JSON of this length, and a spawn request; the
//! keeper makes the pipes itself. The strings end in NUL as `posix_spawn(3)` wants them, so the supervisor copies none of them.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::command::{Command, Descendants, Left};
use super::error::SpawnError;
use super::keep::{Keep, KeepRequest};

/// No message is larger; a spawn request that would be travels in a memfd.
pub(super) const MESSAGE_MAX: usize = 32 * 1024;
/// A memfd, stdin, stdout and stderr.
pub(super) const FDS_MAX: usize = 4;

const SPAWN: u8 = 1;
const SIGNAL: u8 = 2;
const END_TREE: u8 = 3;
const KEEP: u8 = 4;
const FLAG_STDIN: u8 = 1;
const FLAG_MEMFD: u8 = 2;
const HEAD: usize = 10;

/// What the server asks of a supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Run what the rest of the message, or the memfd, describes.
    Spawn { stdin: bool, memfd: bool },
    /// The same as its keeper.
    Keep { memfd: bool },
    /// Send this signal to the command's process group.
    Signal(i32),
    /// End the job.
    EndTree(Descendants),
}

impl Request {
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        match *message {
            [SPAWN, flags, ..] => Some(Self::Spawn { stdin: flags & FLAG_STDIN != 0, memfd: flags & FLAG_MEMFD != 0 }),
            [KEEP, flags, ..] => Some(Self::Keep { memfd: flags & FLAG_MEMFD != 0 }),
            [SIGNAL, signal] => Some(Self::Signal(signal.into())),
            [END_TREE, 0] => Some(Self::EndTree(Descendants::Kill)),
            [END_TREE, 1] => Some(Self::EndTree(Descendants::Leave)),
            _ => None,
        }
    }
}

pub(super) fn signal_request(signal: u8) -> [u8; 2] {
    [SIGNAL, signal]
}

pub(super) fn end_tree_request(descendants: Descendants) -> [u8; 2] {
    [END_TREE, u8::from(descendants == Descendants::Leave)]
}

/// The message for a request that is in the memfd.
pub(super) fn memfd_request(request: &[u8]) -> [u8; 2] {
    let [kind, flags] = request.first_chunk().copied().unwrap_or_default();
    [kind, flags | FLAG_MEMFD]
}

/// A keep request in full, for a message or for a memfd.
pub(super) fn keep_request(keep: &Keep) -> Result<Vec<u8>, SpawnError> {
    let terms = KeepRequest::of(keep).encode();
    let mut out = vec![KEEP, 0];
    out.extend(count(terms.len())?);
    out.extend(terms);
    out.extend(spawn_request(&keep.command)?);
    Ok(out)
}

/// Reads a keep request: the terms, whether the command has an input, and the command, in place.
pub(super) fn decode_keep(message: &[u8]) -> Option<(KeepRequest, bool, Spawn<'_>)> {
    let (length, rest) = message.get(2..)?.split_first_chunk()?;
    let (terms, spawn) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let Request::Spawn { stdin, .. } = Request::decode(spawn)? else { return None };
    Some((KeepRequest::decode(terms)?, stdin, Spawn::decode(spawn)?))
}

/// A spawn request in full, for a message or for a memfd.
pub(super) fn spawn_request(command: &Command) -> Result<Vec<u8>, SpawnError> {
    if command.argv.is_empty() {
        return Err(SpawnError::Invalid { what: "its list of arguments is empty; it needs a program at least" });
    }
    let mut out = vec![SPAWN, if command.stdin { FLAG_STDIN } else { 0 }];
    out.extend(count(command.argv.len())?);
    out.extend(count(command.env.len())?);
    push(&mut out, &[command.cwd.as_os_str().as_bytes()])?;
    for argument in &command.argv {
        push(&mut out, &[argument.as_bytes()])?;
    }
    for (name, value) in &command.env {
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return Err(SpawnError::Invalid { what: "the name of an environment variable is empty or holds a '='" });
        }
        push(&mut out, &[name.as_bytes(), b"=", value.as_bytes()])?;
    }
    Ok(out)
}

fn count(length: usize) -> Result<[u8; 4], SpawnError> {
    let length = u32::try_from(length).map_err(|_| SpawnError::Invalid { what: "it has over four billion strings" })?;
    Ok(length.to_le_bytes())
}

fn push(out: &mut Vec<u8>, parts: &[&[u8]]) -> Result<(), SpawnError> {
    for part in parts {
        if part.contains(&0) {
            return Err(SpawnError::Invalid { what: "a string holds a NUL byte, which no process can be given" });
        }
        out.extend_from_slice(part);
    }
    out.push(0);
    Ok(())
}

/// A spawn request as the supervisor reads it, in place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spawn<'a> {
    pub(super) cwd: &'a CStr,
    pub(super) argv: Vec<&'a CStr>,
    pub(super) env: Vec<&'a CStr>,
}

impl<'a> Spawn<'a> {
    pub(super) fn decode(message: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = message.split_at_checked(HEAD)?;
        let argc = u32::from_le_bytes(head[2..6].try_into().ok()?);
        let envc = u32::from_le_bytes(head[6..10].try_into().ok()?);
        let mut next = || {
            let string = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[string.count_bytes() + 1..];
            Some(string)
        };
        let cwd = next()?;
        let argv = (0..argc).map(|_| next()).collect::<Option<Vec<_>>>()?;
        let env = (0..envc).map(|_| next()).collect::<Option<Vec<_>>>()?;
        (rest.is_empty() && !argv.is_empty()).then_some(Self { cwd, argv, env })
    }
}

/// Where a spawn failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A supervisor could not be forked.
    Supervisor,
    /// The request did not arrive whole.
    Request,
    Cwd,
    /// The system refused a process, or memory for one.
    Process,
    Program,
    /// The job's directory can't be used.
    Directory,
}

/// What a supervisor reports to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The first notice of all: until it has come, the supervisor has read no request.
    Ready,
    Started {
        pid: u32,
    },
    Refused {
        step: Step,
        errno: i32,
    },
    /// The command's own process was reaped. `alone`: it left no descendant, so that there is no tree to end.
    Exited {
        wait_status: i32,
        user: Duration,
        system: Duration,
        alone: bool,
    },
    TreeEnded(Left),
}

pub(super) const NOTICE_SIZE: usize = 32;

impl Notice {
    pub(super) fn encode(self) -> [u8; NOTICE_SIZE] {
        let words: [u64; 4] = match self {
            Self::Ready => [5, 0, 0, 0],
            Self::Started { pid } => [1, pid.into(), 0, 0],
            Self::Refused { step, errno } => [2, step as u64, errno as u64, 0],
            Self::Exited { wait_status, user, system, alone } => {
                let status = u64::from(wait_status as u32) | u64::from(alone) << 32;
                [3, status, user.as_micros() as u64, system.as_micros() as u64]
            }
            Self::TreeEnded(left) => match left {
                Left::None => [4, 0, 0, 0],
                Left::Killed(count) => [4, 1, count.into(), 0],
                Left::Running(count) => [4, 2, count.into(), 0],
                Left::Unkillable(count) => [4, 3, count.into(), 0],
            },
        };
        let mut out = [0; NOTICE_SIZE];
        for (place, word) in out.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let message: &[u8; NOTICE_SIZE] = message.try_into().ok()?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| message[at * 8 + i]));
        Some(match (word(0), word(1)) {
            (5, _) => Self::Ready,
            (1, pid) => Self::Started { pid: pid.try_into().ok()? },
            (2, step) => {
                let steps = [Step::Supervisor, Step::Request, Step::Cwd, Step::Process, Step::Program, Step::Directory];
                Self::Refused { step: *steps.get(usize::try_from(step).ok()?)?, errno: word(2) as i32 }
            }
            (3, status) => Self::Exited {
                wait_status: status as u32 as i32,
                user: Duration::from_micros(word(2)),
                system: Duration::from_micros(word(3)),
                alone: status >> 32 != 0,
            },
            (4, kind) => {
                let count = word(2).try_into().ok()?;
                Self::TreeEnded(match kind {
                    0 => Left::None,
                    1 => Left::Killed(count),
                    2 => Left::Running(count),
                    3 => Left::Unkillable(count),
                    _ => return None,
                })
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_spawn_request_keeps_every_byte() {
        let odd = OsString::from_vec(b"\xff\n' \"".to_vec());
        let command = Command {
            argv: vec!["prog".into(), "".into(), odd.clone()],
            env: vec![("A".into(), "x=y".into()), ("B".into(), "".into())],
            cwd: "/tmp/a b".into(),
            stdin: true,
            ..Command::new::<&str>([])
        };
        let bytes = spawn_request(&command).unwrap();
        assert_eq!(Request::decode(&bytes), Some(Request::Spawn { stdin: true, memfd: false }));
        let spawn = Spawn::decode(&bytes).unwrap();
        assert_eq!(spawn.cwd, c"/tmp/a b");
        assert_eq!(spawn.argv.iter().map(|s| s.to_bytes()).collect::<Vec<_>>(), [b"prog", &b""[..], odd.as_bytes()]);
        assert_eq!(spawn.env, [c"A=x=y", c"B="]);
        for cut in 0..bytes.len() {
            assert_eq!(Spawn::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        let refused = |command: Command| matches!(spawn_request(&command), Err(SpawnError::Invalid { .. }));
        assert!(refused(Command::new::<&str>([])));
        assert!(refused(Command::new(["a\0b"])));
        let env = |name: &str| Command { env: vec![(name.into(), "v".into())], ..Command::new(["a"]) };
        assert!(refused(env("")));
        assert!(refused(env("A=B")));
        assert!(!refused(env("A")));
    }

    #[test]
    fn notices_come_back_as_they_were_sent() {
        let (user, system) = (Duration::from_micros(12), Duration::from_secs(4000));
        for notice in [
            Notice::Ready,
            Notice::Started { pid: 4_194_303 },
            Notice::Refused { step: Step::Cwd, errno: libc::ENOENT },
            Notice::Refused { step: Step::Process, errno: libc::EAGAIN },
            Notice::Refused { step: Step::Program, errno: libc::E2BIG },
            Notice::Exited { wait_status: 0x8b, user, system, alone: true },
            Notice::Exited { wait_status: 0x300, user, system, alone: false },
            Notice::TreeEnded(Left::None),
            Notice::TreeEnded(Left::Killed(7)),
            Notice::TreeEnded(Left::Running(1)),
            Notice::TreeEnded(Left::Unkillable(2)),
        ] {
            assert_eq!(Notice::decode(&notice.encode()), Some(notice));
        }
        assert_eq!(Notice::decode(&[0; NOTICE_SIZE]), None);
        assert_eq!(Notice::decode(&[1; 3]), None);
    }
}
