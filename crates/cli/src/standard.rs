//! Standard input, output and error: what this process was given, and the one writer of standard output.
//!
//! A closed descriptor is not an empty one. The runtime of Rust opens `/dev/null` for a descriptor that is closed at the start,
//! and `std::io` takes a write to a closed standard output for a success: both would lose output without a word. So
//! descriptors are looked at before the runtime does it, and standard output is written by system calls.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, LineWriter, Write};
use std::os::fd::{BorrowedFd, IntoRawFd as _};

use anstream::{AutoStream, ColorChoice};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::complaint::Complaint;

/// Called by the dynamic linker, or by the start code of a static program, before `main` and before the runtime of Rust.
// SAFETY: the section holds pointers to functions, as the ABI wants it. `occupy` makes system calls only: it needs nothing
// that the runtime sets up later.
#[used]
#[unsafe(link_section = ".init_array")]
static OCCUPY: extern "C" fn() = occupy;

/// Opens `/dev/null` for each standard descriptor that is closed, the wrong way round: a read of standard input and a write to the
/// outputs then fail with `EBADF`, and no file that is opened later gets their numbers.
extern "C" fn occupy() {
    for (number, flags) in [(0, OFlags::WRONLY), (1, OFlags::RDONLY), (2, OFlags::RDONLY)] {
        // SAFETY: the borrow lasts for one fcntl(2), which checks whether the descriptor is open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if rustix::io::fcntl_getfd(descriptor) == Err(Errno::BADF)
            && let Ok(null) = rustix::fs::open("/dev/null", flags, Mode::empty())
        {
            // It has the lowest free number, which is this one: the lower ones are open. It stays open.
            let _ = null.into_raw_fd();
        }
    }
}

/// Standard output, without a buffer. Unlike `std::io::Stdout`, it reports a descriptor that isn't open for writing.
#[derive(Debug)]
struct Descriptor;

impl Write for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = rustix::stdio::stdout();
        loop {
            match rustix::io::write(stdout, bytes) {
                // Another process has set the shared descriptor non-blocking.
                Err(Errno::AGAIN) => _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None)?,
                Err(Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output with a buffer: flush it, and look at what that gives.
pub(crate) fn stdout() -> impl Write {
    BufWriter::new(Descriptor)
}

/// Standard output for styled text, written line by line: styles are left out where it isn't a terminal, or where the environment says so (`NO_COLOR`).
pub(crate) fn styled_stdout() -> AutoStream<Box<dyn Write>> {
    AutoStream::new(Box::new(LineWriter::new(Descriptor)), colours())
}

/// Whether standard output shows styles.
pub(crate) fn colours() -> ColorChoice {
    AutoStream::choice(&io::stdout())
}

/// Prints a text, whole.
///
/// # Errors
/// It can't be written. A reader that has enough is not an error.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Complaint> {
    unless_enough(Descriptor.write_all(text.as_ref()))
}

/// Takes a failed write to standard output as every command does: a reader that has enough (`| head`) is not an error.
///
/// # Errors
/// Everything else, such as a full device or a closed descriptor.
pub(crate) fn unless_enough(written: io::Result<()>) -> Result<(), Complaint> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritten(&error)),
        _ => Ok(()),
    }
}

/// What a failed write to standard output is to the user.
pub(crate) fn unwritten(error: &io::Error) -> Complaint {
    let advice = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BADF) => "; it is closed, or open for reading only",
        Some(Errno::NOSPC | Errno::DQUOT) => "; make room there",
        _ => "",
    };
    Complaint::new(format!("standard output could not be written: {error}{advice}"))
}

/// Standard input, which is read by system calls: a closed one is an error, not an empty input.
///
/// # Errors
/// It is closed, or the system has no descriptors left.
pub(crate) fn stdin() -> io::Result<File> {
    check_stdin()?;
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?))
}

/// Standard output as a writer for the runtime, with a descriptor of its own.
///
/// # Errors
/// It is closed.
pub(crate) fn stdout_writer() -> io::Result<tokio::fs::File> {
    let duplicate = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    Ok(tokio::fs::File::from_std(File::from(duplicate)))
}

/// Checks that standard output can be written at all, before something is done whose result goes there.
///
/// # Errors
/// It is closed, or open for reading only.
pub(crate) fn check_stdout() -> Result<(), Complaint> {
    match rustix::fs::fcntl_getfl(rustix::stdio::stdout()).map(|flags| flags & OFlags::ACCMODE) {
        Ok(OFlags::RDONLY) => Err(unwritten(&Errno::BADF.into())),
        Ok(_) => Ok(()),
        Err(errno) => Err(unwritten(&errno.into())),
    }
}

/// Checks that standard input can be read at all.
///
/// # Errors
/// It is closed, or open for writing only.
pub(crate) fn check_stdin() -> io::Result<()> {
    let stdin = rustix::stdio::stdin();
    match rustix::fs::fcntl_getfl(stdin)? & OFlags::ACCMODE {
        OFlags::WRONLY => Err(io::Error::other("it is closed, or open for writing only")),
        _ => Ok(()),
    }
}

/// Whether a person sits at both ends: a prompt goes to standard output, where it has no business among what programs read.
pub(crate) fn is_conversation() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}
