//! Starting ssh as a child of this process.
//!
//! ssh stays in the terminal's foreground, because it may have to ask for a password; so Ctrl-C and Ctrl-\ reach it too. It is
//! told to ignore both, and a hangup: this process decides what they mean, and ends ssh if that is what they mean. And the system ends
//! ssh when this process is gone, whatever ended it.

#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// The signals of a terminal, which are this process's business.
const KEYBOARD: [libc::c_int; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];

/// Has the command's process ignore the terminal's signals, and end with the thread that starts it.
pub(super) fn attended(command: &mut Command) {
    // SAFETY: between fork and exec only signal(2) and prctl(2) are called, which are async-signal-safe and take no memory.
    unsafe { command.pre_exec(before_exec) };
}

fn before_exec() -> io::Result<()> {
    for signal in KEYBOARD {
        // SAFETY: the disposition is a constant, and no handler of Rust's runtime is replaced: the process executes another program.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    // SIGTERM, so that ssh turns the terminal's echo on again if it was asking for a password.
    Ok(set_parent_process_death_signal(Some(Signal::TERM))?)
}
