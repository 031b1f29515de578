//! The changes of `--chmod`, as rsync and chmod(1) read them.

/// Changes to permission bits: `644`, `D755,F644`, `u=rwX,go-w`.
///
/// ```
/// use unglue_proto::tree::Chmod;
///
/// let chmod: Chmod = "Dgo=rx,Fgo=r".parse().unwrap();
/// assert_eq!(chmod.apply(0o777, true), 0o755);
/// assert_eq!(chmod.apply(0o777, false), 0o744);
/// assert_eq!("a+X".parse::<Chmod>().unwrap().apply(0o644, false), 0o644);
/// assert_eq!("a+X".parse::<Chmod>().unwrap().apply(0o644, true), 0o755);
/// assert!("u~w".parse::<Chmod>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chmod {
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    directories: bool,
    files: bool,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Exactly(u32),
    Symbolic { who: u32, how: u8, bits: u32, x_if_any: bool, set_id: bool, sticky: bool },
}

impl std::str::FromStr for Chmod {
    type Err = String;

    fn from_str(text: &str) -> Result<Chmod, String> {
        let changes = text.split(',').map(change).collect::<Result<_, _>>();
        let changes =
            changes.map_err(|why| format!("{text:?} is not a mode: {why}; write 644, D755,F644 or u=rwX,go-w"))?;
        Ok(Chmod { changes })
    }
}

fn change(text: &str) -> Result<Change, String> {
    let (directories, files, rest) = match text.split_at_checked(1) {
        Some(("D", rest)) => (true, false, rest),
        Some(("F", rest)) => (false, true, rest),
        _ => (true, true, text),
    };
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        let mode = u32::from_str_radix(rest, 8).ok().filter(|mode| *mode <= 0o7777);
        let mode = mode.ok_or_else(|| format!("{rest} is not an octal number up to 7777"))?;
        return Ok(Change { directories, files, what: What::Exactly(mode) });
    }
    let at = rest.find(['+', '-', '=']).ok_or_else(|| format!("{rest:?} has none of + - ="))?;
    let mut who = 0;
    for c in rest[..at].chars() {
        who |= match c {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            other => return Err(format!("{other:?} is none of u g o a")),
        };
    }
    // Without a letter: everybody. The umask is not looked at, which is the other end's.
    let who = if who == 0 { 0o7777 } else { who };
    let (mut bits, mut x_if_any, mut set_id, mut sticky) = (0, false, false, false);
    for c in rest[at + 1..].chars() {
        match c {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            'X' => x_if_any = true,
            's' => set_id = true,
            't' => sticky = true,
            other => return Err(format!("{other:?} is none of r w x X s t")),
        }
    }
    let how = rest.as_bytes()[at];
    Ok(Change { directories, files, what: What::Symbolic { who, how, bits, x_if_any, set_id, sticky } })
}

impl Chmod {
    /// The permission bits of an entry that had `mode`.
    pub fn apply(&self, mode: u32, directory: bool) -> u32 {
        let changes = self.changes.iter().filter(|change| if directory { change.directories } else { change.files });
        changes.fold(mode & 0o7777, |mode, change| match &change.what {
            What::Exactly(exactly) => *exactly,
            What::Symbolic { who, how, bits, x_if_any, set_id, sticky } => {
                let mut bits = *bits;
                if *x_if_any && (directory || mode & 0o111 != 0) {
                    bits |= 0o111;
                }
                if *set_id {
                    bits |= 0o6000;
                }
                if *sticky {
                    bits |= 0o1000;
                }
                let bits = bits & who;
                match how {
                    b'+' => mode | bits,
                    b'-' => mode & !bits,
                    _ => mode & !(who & 0o777) & !(if *set_id || *sticky { who & 0o7000 } else { 0 }) | bits,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_chmod_changes_them() {
        for (text, mode, directory, expected) in [
            ("644", 0o755, false, 0o644),
            ("D755,F644", 0o700, true, 0o755),
            ("D755,F644", 0o700, false, 0o644),
            ("go-w", 0o666, false, 0o644),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("g+s", 0o755, true, 0o2755),
            ("+t", 0o755, true, 0o1755),
            ("u+s", 0o755, false, 0o4755),
        ] {
            assert_eq!(text.parse::<Chmod>().unwrap().apply(mode, directory), expected, "{text} {mode:o}");
        }
        for text in ["", "888", "17777", "u", "u+q", "z+r", "a=r,"] {
            assert!(text.parse::<Chmod>().is_err(), "{text}");
        }
    }
}
