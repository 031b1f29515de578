//! A user's entry as getent(1) knows it: a static program can't load the name services of LDAP or systemd, and the machine's own
//! program can.

use std::process::{Command, Stdio};

use super::sys::PasswdEntry;

/// Where it is, whatever `PATH` says.
const GETENT: [&str; 2] = ["/usr/bin/getent", "/bin/getent"];

/// Asks for a user by number. `None` where there is no such program, or it knows no such user.
pub(super) fn passwd_entry(uid: u32) -> Option<PasswdEntry> {
    let asked = GETENT.into_iter().find_map(|getent| {
        Command::new(getent).args(["passwd", &uid.to_string()]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()
    });
    parse(uid, &asked?.stdout)
}

/// A line of passwd(5).
fn parse(uid: u32, text: &[u8]) -> Option<PasswdEntry> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let [name, _, user, group, _, home, shell] = fields[..] else { return None };
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u32>().ok();
    if number(user)? != uid {
        return None;
    }
    Some(PasswdEntry { name: name.into(), gid: number(group)?, home: home.into(), shell: shell.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_and_anything_else_is_none() {
        let entry = parse(7, b"ada:x:7:8:Ada L.:/home/ada:/bin/sh\n").expect("an entry");
        assert_eq!(
            (&entry.name[..], entry.gid, &entry.home[..], &entry.shell[..]),
            (&b"ada"[..], 8, &b"/home/ada"[..], &b"/bin/sh"[..])
        );
        for text in [&b""[..], b"ada:x:7:8", b"ada:x:9:8::/home/ada:/bin/sh", b"ada:x:7:x::/home/ada:/bin/sh"] {
            assert!(parse(7, text).is_none());
        }
    }
}
