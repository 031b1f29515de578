//! The system's error numbers in words: their name, what they say, and what to do.

use rustix::io::Errno;
use unglue_proto::Blame;

/// What is known about one error number.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    errno: Errno,
    /// As `errno(3)` names it.
    pub(crate) name: &'static str,
    /// What happened, as the end of a sentence.
    pub(crate) says: &'static str,
    /// Who can do something about it.
    pub(crate) blame: Blame,
    /// What to do; empty where nothing helpful can be said.
    pub(crate) advice: &'static str,
}

const fn user(errno: Errno, name: &'static str, says: &'static str, advice: &'static str) -> Entry {
    Entry { errno, name, says, blame: Blame::User, advice }
}

const fn system(errno: Errno, name: &'static str, says: &'static str, advice: &'static str) -> Entry {
    Entry { errno, name, says, blame: Blame::System, advice }
}

const TABLE: &[Entry] = &[
    user(Errno::NOENT, "ENOENT", "no such file or directory", "check the path"),
    user(Errno::NOTDIR, "ENOTDIR", "a part of the path is not a directory", "check the path"),
    user(Errno::ISDIR, "EISDIR", "it is a directory", "name a file"),
    user(
        Errno::ACCESS,
        "EACCES",
        "permission denied",
        "check owner and mode of the file and of the directories above it",
    ),
    user(Errno::PERM, "EPERM", "operation not permitted", "check the owner, and the attributes with lsattr"),
    user(Errno::NAMETOOLONG, "ENAMETOOLONG", "the name is too long", "use a shorter name (usually up to 255 bytes)"),
    user(Errno::LOOP, "ELOOP", "too many symbolic links", "look for links that point at each other"),
    user(Errno::INVAL, "EINVAL", "the system finds the path or an argument invalid", "look for a NUL byte in the path"),
    user(Errno::ILSEQ, "EILSEQ", "this file system does not accept the bytes of the name", "use a name in UTF-8"),
    user(Errno::EXIST, "EEXIST", "it exists already", ""),
    user(
        Errno::FBIG,
        "EFBIG",
        "the file is too large",
        "raise the file size limit (ulimit -f), or use another file system",
    ),
    user(Errno::OVERFLOW, "EOVERFLOW", "the file is too large for this system", ""),
    user(Errno::TXTBSY, "ETXTBSY", "the program is running", "stop it first"),
    system(Errno::NOSPC, "ENOSPC", "no space left on the device", "free some space there, or choose another directory"),
    system(Errno::DQUOT, "EDQUOT", "the disk quota is used up", "free some space there, or have the quota raised"),
    system(
        Errno::ROFS,
        "EROFS",
        "the file system is read-only",
        "choose another directory, or have it mounted writable",
    ),
    system(
        Errno::IO,
        "EIO",
        "the device reports an error",
        "look into the kernel's log (dmesg); the disk may be failing",
    ),
    system(Errno::MFILE, "EMFILE", "this process has too many open files", "raise its limit (ulimit -n)"),
    system(Errno::NFILE, "ENFILE", "the machine has too many open files", "raise fs.file-max"),
    system(Errno::NOMEM, "ENOMEM", "out of memory", "free some memory"),
    system(Errno::STALE, "ESTALE", "the file vanished on its file server", "try again"),
    system(Errno::BUSY, "EBUSY", "it is in use", "find out what uses it (lsof, findmnt)"),
    system(Errno::AGAIN, "EAGAIN", "not possible just now", "try again"),
    system(Errno::INTR, "EINTR", "interrupted", "try again"),
    system(Errno::NOLCK, "ENOLCK", "no locks available", "put the state directory on a local file system"),
    system(Errno::CANCELED, "ECANCELED", "it was not done", "this is a bug in unglue: please report it"),
    system(Errno::NODEV, "ENODEV", "no such device", ""),
    system(Errno::NXIO, "ENXIO", "no such device or address", ""),
    system(Errno::TIMEDOUT, "ETIMEDOUT", "timed out", "try again"),
    system(
        Errno::CONNREFUSED,
        "ECONNREFUSED",
        "no program listens there",
        "check the address, and that the program runs",
    ),
    system(Errno::CONNRESET, "ECONNRESET", "the other end reset the connection", ""),
    system(Errno::PIPE, "EPIPE", "the other end reads no more", ""),
    system(Errno::HOSTUNREACH, "EHOSTUNREACH", "the host can't be reached", "check the address and the network"),
    system(Errno::NETUNREACH, "ENETUNREACH", "the network can't be reached", "check the address and the network"),
    user(Errno::ADDRINUSE, "EADDRINUSE", "another program uses the address", "choose another port"),
    user(Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL", "the address is not one of this machine", "choose one of its addresses"),
    system(Errno::NOTCONN, "ENOTCONN", "the file system's server is gone", "mount it again"),
    system(Errno::XDEV, "EXDEV", "it lies on another file system", ""),
    system(Errno::OPNOTSUPP, "EOPNOTSUPP", "this file system can't do that", ""),
    system(Errno::NOSYS, "ENOSYS", "this kernel can't do that", ""),
    user(Errno::TOOBIG, "E2BIG", "the arguments and the environment are too large", "pass less, or pass it in a file"),
    user(Errno::NOEXEC, "ENOEXEC", "the file is not a program that this system runs", "a script needs a #! line"),
    user(Errno::LIBBAD, "ELIBBAD", "the program's interpreter is damaged", "install the program again"),
    system(Errno::FAULT, "EFAULT", "an address is not valid", "this is a bug in unglue: please report it"),
    system(Errno::TOOMANYREFS, "ETOOMANYREFS", "too many descriptors are being passed", "try again"),
];

/// What is known about `errno`, if the table has it.
pub(crate) fn lookup(errno: Errno) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.errno == errno)
}

/// The symbol of an error number that a file (`open(2)`, `rename(2)`), the start of a process (`execve(2)`,
/// `posix_spawn(3)`, `chdir(2)`), or a socket (`connect(2)`, `bind(2)`) can give.
///
/// ```
/// assert_eq!(unglue_host::process::errno_name(2), Some("ENOENT"));
/// ```
pub fn errno_name(errno: i32) -> Option<&'static str> {
    lookup(Errno::from_raw_os_error(errno)).map(|entry| entry.name)
}

/// The name that `errno(3)` gives it, or its number (`errno 123`) if the table doesn't have it.
pub(crate) fn name(errno: Errno) -> String {
    lookup(errno).map_or_else(|| format!("errno {}", errno.raw_os_error()), |entry| entry.name.to_owned())
}

/// What it says, with its name: `no space left on the device (ENOSPC)`.
pub(crate) fn describe(errno: Errno) -> String {
    match lookup(errno) {
        Some(entry) => format!("{} ({})", entry.says, entry.name),
        None => std::io::Error::from(errno).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_listed_once() {
        for (i, entry) in TABLE.iter().enumerate() {
            let same = TABLE.iter().position(|other| other.errno == entry.errno || other.name == entry.name);
            assert_eq!(same, Some(i), "{} appears twice", entry.name);
        }
    }

    #[test]
    fn unknown_numbers_keep_their_number() {
        assert_eq!(name(Errno::from_raw_os_error(4000)), "errno 4000");
        assert_eq!((errno_name(libc::ENOEXEC), errno_name(4000)), (Some("ENOEXEC"), None));
        assert_eq!(describe(Errno::NOSPC), "no space left on the device (ENOSPC)");
    }
}
