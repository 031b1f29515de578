//! Which file a program's name means.

use std::ffi::{CStr, CString};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

/// What `execvp(3)` searches where the environment has no `PATH` (`confstr(_CS_PATH)`).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Tries `start` on every file that `name` may mean, in order, as `execvp(3)` would with this environment's `PATH`;
/// but a file of unknown format is an error (`ENOEXEC`), not a shell script.
pub(super) fn first_runnable<T>(
    name: &CStr,
    env: &[&CStr],
    mut start: impl FnMut(&CStr) -> Result<T, i32>,
) -> Result<T, i32> {
    if name.is_empty() || name.to_bytes().contains(&b'/') {
        return start(name);
    }
    let mut denied = false;
    for directory in search_path(env).split(|&byte| byte == b':') {
        let candidate = join(directory, name.to_bytes());
        let result = check(&candidate).and_then(|()| start(&candidate));
        match result.map_err(|errno| (errno, Errno::from_raw_os_error(errno))) {
            Ok(started) => return Ok(started),
            Err((_, Errno::ACCESS)) => denied = true,
            Err((_, Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::STALE | Errno::TIMEDOUT)) => {}
            Err((errno, _)) => return Err(errno),
        }
    }
    Err(if denied { libc::EACCES } else { libc::ENOENT })
}

fn search_path<'a>(env: &[&'a CStr]) -> &'a [u8] {
    env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH)
}

/// An empty directory means the current one.
fn join(directory: &[u8], name: &[u8]) -> CString {
    let mut path = directory.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    // Both parts come from C strings, so there is no NUL to find.
    CString::new(path).unwrap_or_default()
}

/// Sorts out most candidates for the price of one system call; trying each would fork for each.
fn check(candidate: &CStr) -> Result<(), i32> {
    rustix::fs::accessat(CWD, candidate, Access::EXEC_OK, AtFlags::EACCESS).map_err(Errno::raw_os_error)
}
