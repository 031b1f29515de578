//! A pseudoterminal, as its keeper holds it.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, SpecialCodeIndex, Winsize};
use unglue_proto::message::exec::TerminalSize;

/// What is typed where the terminal has no end-of-file character: Ctrl-D.
const END_OF_FILE: u8 = 4;

/// A pseudoterminal: the end that its keeper reads and types on.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
    /// Held open until the command has ended: so a program that closes the terminal and opens it again is not taken for the end.
    slave: Option<OwnedFd>,
}

impl Terminal {
    /// Opens one of this size. All its descriptors close on execution.
    pub(super) fn open(size: TerminalSize) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        // The kernel's own settings are those of a terminal that a person sits at, but for this.
        let mut settings = rustix::termios::tcgetattr(&slave)?;
        settings.input_modes |= InputModes::IUTF8;
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let terminal = Self { master, slave: Some(slave) };
        terminal.resize(size)?;
        Ok(terminal)
    }

    /// What the command's process opens to get it as its controlling terminal.
    pub(super) fn path(&self) -> Result<CString> {
        let slave = self.slave.as_ref().ok_or(Errno::BADF)?;
        CString::new(format!("/proc/self/fd/{}", slave.as_raw_fd())).map_err(|_| Errno::INVAL)
    }

    /// Another descriptor of the keeper's end.
    pub(super) fn master(&self) -> Result<OwnedFd> {
        rustix::io::fcntl_dupfd_cloexec(&self.master, 3)
    }

    /// Sets its size. The foreground process group gets SIGWINCH if it changes.
    pub(super) fn resize(&self, size: TerminalSize) -> Result<()> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size)
    }

    /// The foreground process group, if there is one.
    pub(super) fn foreground(&self) -> Option<i32> {
        rustix::termios::tcgetpgrp(&self.master).ok().map(|group| group.as_raw_nonzero().get())
    }

    /// The command has ended: from now on, the terminal ends with the last process that has it open.
    pub(super) fn let_go(&mut self) {
        self.slave = None;
    }
}

/// The character that ends the input of a program which reads lines.
pub(super) fn end_of_file(master: BorrowedFd<'_>) -> u8 {
    let set = rustix::termios::tcgetattr(master).map(|settings| settings.special_codes[SpecialCodeIndex::VEOF]);
    set.ok().filter(|&code| code != 0).unwrap_or(END_OF_FILE)
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}
