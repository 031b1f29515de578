//! Who this process runs as, and the environment that a login gives.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::sys;

/// A user of this machine, from whatever source the machine has (`getpwuid_r(3)`: files, LDAP, systemd …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: OsString,
    /// The user's number.
    pub uid: u32,
    /// The number of the login group.
    pub gid: u32,
    /// The home directory: `HOME` of this process where that is a directory of this user's own, as under a login or in a
    /// sandbox, else what the user's entry says (a service without `HOME`, `sudo` that kept another user's).
    pub home: PathBuf,
    /// The login shell; `/bin/sh` where the entry has none.
    pub shell: PathBuf,
}

impl Account {
    /// The user that this process acts as (its effective uid). `NotFound` if no source knows it.
    pub fn current() -> io::Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let entry = sys::passwd_entry(uid)?.ok_or_else(|| {
            let what = format!("no user has the number {uid}. Run as a user that `getent passwd {uid}` knows.");
            io::Error::new(io::ErrorKind::NotFound, what)
        })?;
        let or = |bytes: Vec<u8>, default: &str| {
            if bytes.is_empty() { OsString::from(default) } else { OsString::from_vec(bytes) }
        };
        Ok(Self {
            name: OsString::from_vec(entry.name),
            uid,
            gid: entry.gid,
            home: own_home().unwrap_or_else(|| or(entry.home, "/").into()),
            shell: or(entry.shell, "/bin/sh").into(),
        })
    }
}

/// The home directory that the environment names, if it belongs to this process's user.
pub fn own_home() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let metadata = std::fs::metadata(&home).ok()?;
    (home.is_absolute() && metadata.is_dir() && metadata.uid() == uid).then_some(home)
}

/// Where Debian keeps the system's language.
const LOCALE_FILES: [&str; 2] = ["/etc/default/locale", "/etc/locale.conf"];

/// The environment that a login of this process's user starts with, and nothing else: `HOME`, `USER`, `LOGNAME`,
/// `SHELL`, `PATH` as `/etc/login.defs` of Debian has it, and `LANG` if this process has one, or else the system.
///
/// For a user that no source knows, `USER` and `LOGNAME` are the number, and the home is `/`.
pub fn login_environment() -> Vec<(OsString, OsString)> {
    environment_of(&Account::current().unwrap_or_else(|_| nameless()), language())
}

fn nameless() -> Account {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    Account { name: uid.to_string().into(), uid, gid, home: "/".into(), shell: "/bin/sh".into() }
}

fn environment_of(account: &Account, language: Option<OsString>) -> Vec<(OsString, OsString)> {
    let path = match account.uid {
        0 => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        _ => "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    };
    let fixed: [(&str, &OsStr); 5] = [
        ("HOME", account.home.as_os_str()),
        ("USER", &account.name),
        ("LOGNAME", &account.name),
        ("SHELL", account.shell.as_os_str()),
        ("PATH", path.as_ref()),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.into(), value.to_owned()));
    fixed.chain(language.map(|value| ("LANG".into(), value))).collect()
}

fn language() -> Option<OsString> {
    std::env::var_os("LANG").filter(|value| !value.is_empty()).or_else(|| {
        let files = LOCALE_FILES.iter().filter_map(|path| std::fs::read_to_string(path).ok());
        files.filter_map(|text| language_in(&text)).next()
    })
}

/// The value of `LANG` in a file of shell-like assignments (`locale.conf(5)`).
fn language_in(text: &str) -> Option<OsString> {
    let value = text.lines().filter_map(|line| line.trim().strip_prefix("LANG=")).next_back()?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_user_is_found_as_id_finds_it() {
        let id = |flag: &str| {
            let output = std::process::Command::new("id").arg(flag).output().expect("id runs");
            String::from_utf8(output.stdout).expect("a name").trim().to_owned()
        };
        let account = Account::current().expect("tests run as a known user");
        assert_eq!(account.uid.to_string(), id("-u"));
        assert_eq!(account.gid.to_string(), id("-g"));
        assert_eq!(account.name.to_str(), Some(&*id("-un")));
    }

    #[test]
    fn only_root_gets_the_administrators_programs() {
        let account = |uid| Account { uid, ..nameless() };
        let path = |uid| environment_of(&account(uid), None).pop().expect("PATH is last").1;
        assert!(path(0).to_string_lossy().contains("/usr/sbin:"));
        assert!(!path(1000).to_string_lossy().contains("sbin"));
        let with_language = environment_of(&account(1), Some("C.UTF-8".into()));
        assert_eq!(with_language.last(), Some(&("LANG".into(), "C.UTF-8".into())));
    }

    #[test]
    fn the_systems_language_is_read_from_its_file() {
        assert_eq!(language_in("# LANG=xx\nLC_ALL=C\n LANG=\"de_DE.UTF-8\"\n"), Some("de_DE.UTF-8".into()));
        assert_eq!(language_in("LANG=\n"), None);
    }
}
