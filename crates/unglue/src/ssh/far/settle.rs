//! An uploaded program takes its place.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::super::digest;
use super::{PROGRAM, PROVED, digest_in, prune};

/// Checks the digest of this process's own program, renames it to `BASE/NAME/unglue`, where `name` is `VERSION-DIGEST`, and
/// removes old versions. Two that do this at once leave one of two equal files.
///
/// # Errors
/// What is wrong; `true` if it is the program itself.
pub fn settle(name: &str, base: &Path) -> Result<(), (bool, String)> {
    let failed = |what: &str, error: &io::Error| (false, format!("{what}: {error}"));
    let wanted = digest_in(name).ok_or_else(|| (false, format!("{name} is not VERSION-DIGEST")))?;
    let own = fs::read_link("/proc/self/exe").map_err(|error| failed("the program's own path is not known", &error))?;
    let digest = digest::of_file(&own).map_err(|error| failed("the program can't read itself", &error))?;
    if digest != wanted {
        return Err((true, format!("its digest is {digest}, and not {wanted}")));
    }
    let directory = base.join(name);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(&format!("{} can't be made", directory.display()), &error));
        }
        _ => {}
    }
    let program = directory.join(PROGRAM);
    fs::rename(&own, &program).map_err(|error| failed(&format!("{} can't be replaced", program.display()), &error))?;
    // The rename has changed the change time. Without the note the program is read when it starts.
    if let Ok(metadata) = fs::metadata(&program) {
        let _ = digest::replace(&directory.join(PROVED), &format!("{}\n", digest::identity(&metadata)));
    }
    prune::prune(base, name);
    Ok(())
}
