//! The way to the owner, for a process that isn't it. Blocking code: these processes do nothing else meanwhile.

use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use unglue_jobs::{Owned, Owner};
use unglue_proto::{Code, Fault};

use super::carry::carry;
use super::preface::{ACCEPTED, Preface, REFUSED};

/// How long an owner may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection that the owner serves.
#[derive(Debug)]
pub struct Served {
    stream: UnixStream,
    /// Whether the owner has the descriptors, and moves the bytes by itself.
    passed: bool,
}

impl Served {
    /// Sees the connection to its end: what `input` gives goes to the owner, and what the owner sends to `output`. They are those
    /// that the connection was made for.
    ///
    /// # Errors
    /// The system has no thread. A connection that breaks is an end like any other: the link's own messages say why.
    pub fn carry(mut self, input: BorrowedFd<'static>, output: BorrowedFd<'_>) -> io::Result<()> {
        if !self.passed {
            return carry(input, output, self.stream);
        }
        // The owner sends nothing; it closes the connection when the link has ended.
        let _ = self.stream.read_to_end(&mut Vec::new());
        Ok(())
    }
}

/// Connects the client at `input` and `output` to the owner of a state directory. The owner gets both descriptors, and moves the
/// bytes by itself; where it is of an earlier version, this process has to carry them. `None` if no process listens: there is no owner,
/// or it is just starting or ending.
///
/// # Errors
/// The directory can't be used, or the owner answers with something else than it should.
pub fn connect(state: &Path, input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<Option<Served>, Fault> {
    for (preface, descriptors) in [(Preface::Descriptors, &[input, output][..]), (Preface::Link, &[][..])] {
        match ask(state, preface, descriptors)? {
            None => return Ok(None),
            Some((stream, ACCEPTED)) => {
                stream.set_read_timeout(None).map_err(|error| failed(state, &error))?;
                return Ok(Some(Served { stream, passed: !descriptors.is_empty() }));
            }
            Some((_, REFUSED)) if preface == Preface::Descriptors => {}
            Some((_, answer)) => return Err(unknown(state, answer)),
        }
    }
    Err(unknown(state, REFUSED))
}

fn unknown(state: &Path, answer: u8) -> Fault {
    let what = format!("the owner of {} answers {answer:#04x} to a connection", state.display());
    Fault::peer(Code::Unsupported, what).advise("end that process: it may be another version of unglue")
}

/// Asks the owner to hand the state over; whether it has.
pub(crate) fn ask_to_hand_over(state: &Path) -> bool {
    matches!(ask(state, Preface::HandOver, &[]), Ok(Some((_, ACCEPTED))))
}

/// Sends the preface, and waits for the answer; `None` where no process answers.
fn ask(state: &Path, preface: Preface, descriptors: &[BorrowedFd<'_>]) -> Result<Option<(UnixStream, u8)>, Fault> {
    let path = match Owner::socket_of(state) {
        Ok(path) => path,
        Err(Owned::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(owned) => return Err(Fault::system(Code::System, owned.to_string())),
    };
    let asked = UnixStream::connect(path.path()).and_then(|mut stream| {
        stream.set_read_timeout(Some(ANSWER))?;
        preface.send(&stream, descriptors)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        Ok((stream, answer[0]))
    });
    match asked {
        Ok(asked) => Ok(Some(asked)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(failed(path.real(), &error)),
    }
}

/// Whether no process listens, or the one that did ended before it took the connection.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe | UnexpectedEof)
}

fn failed(path: &Path, error: &io::Error) -> Fault {
    let what = match error.kind() {
        io::ErrorKind::WouldBlock => format!("nothing answers on {} within {} s", path.display(), ANSWER.as_secs()),
        _ => format!("the owner of the state can't be reached by {}: {error}", path.display()),
    };
    Fault::system(Code::System, what).advise("its process may hang: end it, and a new one is started")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    /// An owner that knows no descriptors gets the bytes instead.
    #[test]
    fn an_owner_of_an_earlier_version_is_served_as_before() {
        let state = tempfile::tempdir().expect("a directory");
        let owner = Owner::take(state.path()).expect("no other owner");
        let (listener, _name) = owner.listen().expect("it listens");
        listener.set_nonblocking(false).expect("set");
        let earlier = std::thread::spawn(move || {
            let mut prefaces = Vec::new();
            for answer in [REFUSED, ACCEPTED] {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut preface = [0; 8];
                stream.read_exact(&mut preface).expect("read");
                prefaces.push(preface);
                stream.write_all(&[answer]).expect("written");
                if answer == ACCEPTED {
                    stream.write_all(b"hello").expect("written");
                }
            }
            prefaces
        });
        let (input, _feed) = rustix::pipe::pipe().expect("a pipe");
        let (out, output) = rustix::pipe::pipe().expect("a pipe");
        // It lives as long as the thread that reads it.
        let input: &'static std::os::fd::OwnedFd = Box::leak(Box::new(input));
        let Some(served) = connect(state.path(), input.as_fd(), output.as_fd()).expect("no fault") else {
            panic!("the owner listens")
        };
        served.carry(input.as_fd(), output.as_fd()).expect("a thread");
        drop(output);
        let mut text = String::new();
        std::fs::File::from(out).read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello");
        assert_eq!(earlier.join().expect("no panic"), [*b"unglue1D", *b"unglue1L"]);
    }
}
