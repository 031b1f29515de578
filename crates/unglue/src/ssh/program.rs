//! The program for the other side: where it is found, and how it is packed.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::failure::{Failure, Stage};
use super::{SshOptions, digest};

/// This process's own program, also where its file was replaced meanwhile.
const OWN: &str = "/proc/self/exe";
/// Where packages put programs for other machines.
const SYSTEM: &str = "/usr/lib/unglue";

/// The name of the program for a machine, as `uname -m` names it.
///
/// ```
/// assert_eq!(unglue::ssh::file_name("aarch64"), "unglue-linux-aarch64");
/// ```
pub fn file_name(machine: &str) -> String {
    format!("unglue-linux-{machine}")
}

/// A program that may be uploaded.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// `VERSION-DIGEST`
    pub(super) directory: String,
    machine: String,
}

impl Program {
    fn at(path: PathBuf, machine: &str, cache: Option<&Path>) -> io::Result<Program> {
        let digest = digest::remembered(&path, cache)?;
        let directory = format!("{}-{digest}", env!("CARGO_PKG_VERSION"));
        Ok(Program { path, directory, machine: machine.to_owned() })
    }

    /// It arrived and doesn't run, or isn't what was sent: `CODE TEXT`.
    pub(super) fn unfit(&self, why: &str, machine: &str) -> Failure {
        let (code, text) = why.split_once(' ').unwrap_or((why, ""));
        let what = match code {
            "3" => format!("the program arrived damaged: {text}"),
            _ => format!("the program does not run on the other side (status {code}): {text}"),
        };
        let advice = match self.path == Path::new(OWN) {
            false if text.contains("GLIBC_") => format!(
                "{} needs a newer C library than the other side has: put the static program (scripts/static makes it) in its place",
                self.path.display()
            ),
            true => format!(
                "its C library may be older than this machine's: put the static program {} (scripts/static makes it) beside this one, or into a directory that UNGLUE_PROGRAMS names",
                file_name(machine)
            ),
            false => format!("check {}", self.path.display()),
        };
        Failure::new(Stage::Upload, what, advice)
    }
}

/// The programs that this client can bring along.
#[derive(Debug)]
pub(super) struct Programs {
    found: Vec<Program>,
    searched: Vec<PathBuf>,
}

impl Programs {
    /// Looks for them. For this kind of machine, this very program is one where there is no other.
    pub(super) fn new(options: &SshOptions) -> Programs {
        let searched = directories(options);
        let cache = options.cache.as_deref();
        let mut found: Vec<Program> = Vec::new();
        for path in searched.iter().flat_map(|directory| programs_in(directory)) {
            let machine = machine_of(&path).unwrap_or_default();
            if !found.iter().any(|program| program.machine == machine) {
                found.extend(Program::at(path, &machine, cache));
            }
        }
        let own = std::env::consts::ARCH;
        if !found.iter().any(|program| program.machine == own) {
            found.extend(Program::at(OWN.into(), own, cache));
        }
        Programs { found, searched }
    }

    /// `MACHINE/VERSION-DIGEST` of each.
    pub(super) fn candidates(&self) -> Vec<String> {
        self.found.iter().map(|program| format!("{}/{}", program.machine, program.directory)).collect()
    }

    /// The program for a system and a machine, as `uname -s` and `uname -m` name them.
    pub(super) fn of(&self, system: &str, machine: &str) -> Result<Program, Failure> {
        if system != "Linux" {
            let what = format!("the other side runs {system}, and unglue's programs run on Linux");
            return Err(Failure::new(Stage::Probe, what, "install unglue there, so that it is in PATH"));
        }
        let machine = if machine == "arm64" { "aarch64" } else { machine };
        let found = self.found.iter().find(|program| program.machine == machine).cloned();
        found.ok_or_else(|| {
            let name = file_name(machine);
            let searched: Vec<String> = self.searched.iter().map(|path| path.display().to_string()).collect();
            let what = format!("the other side is {machine}, and there is no {name} in {}", searched.join(", "));
            let advice = format!(
                "build unglue for {machine}, and put the program as {name} into {SYSTEM} or a directory that UNGLUE_PROGRAMS names"
            );
            Failure::new(Stage::Probe, what, advice)
        })
    }
}

/// Where programs are looked for, in order.
fn directories(options: &SshOptions) -> Vec<PathBuf> {
    let mut directories = options.programs.clone();
    if let Some(own) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        directories.push(own.to_owned());
        directories.extend(own.parent().map(|above| above.join("lib/unglue")));
    }
    if !directories.iter().any(|directory| directory == Path::new(SYSTEM)) {
        directories.push(SYSTEM.into());
    }
    directories
}

fn programs_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| machine_of(path).is_some()).collect();
    programs.sort();
    programs
}

/// The machine in `unglue-linux-MACHINE`.
fn machine_of(path: &Path) -> Option<String> {
    let machine = path.file_name().and_then(OsStr::to_str)?.strip_prefix(&file_name(""))?;
    let plain = !machine.is_empty() && machine.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain.then(|| machine.to_owned())
}

/// How a program travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    /// The other side has gzip(1).
    Gzip,
}

/// A program as it travels.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    /// Its size once it is unpacked.
    pub(super) size: usize,
}

impl Packed {
    /// Reads the program and packs it. A file beside it with `.gz` at its end saves the packing, if it is as new.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn of(path: &Path, packing: Packing) -> io::Result<Packed> {
        if packing == Packing::Gzip
            && let Some(bytes) = packed_before(path)
        {
            return Ok(Packed { bytes, size: size_of(path)? });
        }
        let mut plain = Vec::new();
        fs::File::open(path)?.read_to_end(&mut plain)?;
        let size = plain.len();
        if packing == Packing::Plain {
            return Ok(Packed { bytes: plain, size });
        }
        // Fast rather than small: a person waits, and the first use of a host is the only one that uploads.
        let mut encoder = GzEncoder::new(Vec::with_capacity(size / 2), Compression::fast());
        encoder.write_all(&plain)?;
        Ok(Packed { bytes: encoder.finish()?, size })
    }
}

fn size_of(path: &Path) -> io::Result<usize> {
    usize::try_from(fs::metadata(path)?.len()).map_err(io::Error::other)
}

fn packed_before(path: &Path) -> Option<Vec<u8>> {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let packed = path.with_file_name(format!("{}.gz", path.file_name()?.to_str()?));
    let (made, packed_then): (SystemTime, SystemTime) = (changed(path)?, changed(&packed)?);
    (packed_then >= made).then(|| fs::read(&packed).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_machine_and_its_lack_names_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("unglue-linux-riscv64"), "a program").expect("written");
        fs::write(directory.path().join("unglue-linux-riscv64.gz"), "no program").expect("written");
        let programs = Programs::new(&SshOptions::default().programs(vec![directory.path().to_owned()]));
        let program = programs.of("Linux", "riscv64").expect("it is there");
        assert_eq!(program.path, directory.path().join("unglue-linux-riscv64"));
        assert!(programs.candidates().iter().any(|candidate| candidate.starts_with("riscv64/0.")));
        let fault = programs.of("Linux", "mips").expect_err("it isn't there").into_fault("host");
        assert!(fault.what.contains("unglue-linux-mips") && fault.advice.contains("UNGLUE_PROGRAMS"), "{fault}");
        let fault = programs.of("Darwin", "arm64").expect_err("not Linux").into_fault("host");
        assert!(fault.what.contains("Darwin"), "{fault}");
    }

    #[test]
    fn a_packed_file_is_used_as_long_as_it_is_newer() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("unglue-linux-x86_64");
        fs::write(&path, vec![7; 100_000]).expect("written");
        let packed = Packed::of(&path, Packing::Gzip).expect("packed");
        assert!(packed.size == 100_000 && packed.bytes.len() < 2000);
        fs::write(directory.path().join("unglue-linux-x86_64.gz"), "packed before").expect("written");
        assert_eq!(Packed::of(&path, Packing::Gzip).expect("read").bytes, b"packed before");
        assert_eq!(Packed::of(&path, Packing::Plain).expect("read").bytes.len(), 100_000);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::options().write(true).open(&path).expect("it opens").set_modified(later).expect("a time");
        assert_eq!(Packed::of(&path, Packing::Gzip).expect("packed").bytes, packed.bytes);
    }
}
