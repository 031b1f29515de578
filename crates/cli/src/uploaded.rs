//! What this program is asked to do first where a client has uploaded it (`unglue::ssh`): two hidden commands, whose words
//! the client's scripts give it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use unglue::ssh::far;

use crate::complaint::say;
use crate::standard;

/// The exit code that says that the program itself is not what was sent.
const DAMAGED: u8 = 3;

/// Does what the words ask for. A server that has proved itself goes on with other words.
pub(crate) fn begin(words: &[OsString]) -> Option<Result<Vec<OsString>, ExitCode>> {
    let word = |number: usize| words.get(number).map_or(OsStr::new(""), OsString::as_os_str);
    match word(1).to_str()? {
        "__settle" => Some(Err(settle(word(2), word(3)))),
        "__serve-over-ssh" => Some(serve(word(2), word(3))),
        _ => None,
    }
}

/// `__settle VERSION-DIGEST BASE`
fn settle(name: &OsStr, base: &OsStr) -> ExitCode {
    match far::settle(&name.to_string_lossy(), Path::new(base)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((damaged, why)) => {
            say(&why);
            ExitCode::from(if damaged { DAMAGED } else { 1 })
        }
    }
}

/// `__serve-over-ssh MARKER VERSION-DIGEST`
fn serve(marker: &OsStr, name: &OsStr) -> Result<Vec<OsString>, ExitCode> {
    if let Err(why) = far::prove(&name.to_string_lossy()) {
        say(&why);
        return Err(ExitCode::from(DAMAGED));
    }
    far::hold();
    let ready = format!("{} ready\n", marker.to_string_lossy());
    // A client that is gone needs no server.
    standard::print(&ready).map_err(|_| ExitCode::from(1))?;
    let mut words: Vec<OsString> = ["unglue", "serve", "--stdio"].map(OsString::from).into();
    if let Some(state) = far::state_beside() {
        words.extend(["--state".into(), state.into()]);
    }
    Ok(words)
}
