//! The way to the owner, for a process that isn't it. Blocking code: these processes do nothing else meanwhile.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use unglue_jobs::{Owned, Owner};
use unglue_proto::{Code, Fault};

use super::preface::{ACCEPTED, Preface};

/// How long an owner may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Connects to the owner of a state directory; `None` if no process listens: there is no owner, or it is just starting or ending.
///
/// # Errors
/// The directory can't be used, or the owner answers with something else than it should.
pub fn connect(state: &Path) -> Result<Option<UnixStream>, Fault> {
    match ask(state, Preface::Link)? {
        Some((stream, ACCEPTED)) => {
            stream.set_read_timeout(None).map_err(|error| failed(state, &error))?;
            Ok(Some(stream))
        }
        Some((_, answer)) => {
            let what = format!("the owner of {} answers {answer:#04x} to a connection", state.display());
            Err(Fault::peer(Code::Unsupported, what).advise("end that process: it may be another version of unglue"))
        }
        None => Ok(None),
    }
}

/// Asks the owner to hand the state over; whether it has.
pub(crate) fn ask_to_hand_over(state: &Path) -> bool {
    matches!(ask(state, Preface::HandOver), Ok(Some((_, ACCEPTED))))
}

/// Sends the preface, and waits for the answer; `None` where no process answers.
fn ask(state: &Path, preface: Preface) -> Result<Option<(UnixStream, u8)>, Fault> {
    let path = match Owner::socket_of(state) {
        Ok(path) => path,
        Err(Owned::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(owned) => return Err(Fault::system(Code::System, owned.to_string())),
    };
    let asked = UnixStream::connect(path.path()).and_then(|mut stream| {
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(&preface.bytes())?;
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
