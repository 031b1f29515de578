//! Where a file is: here, or on a server as `[user@]HOST:PATH`, by scp's rule.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::target::{HostArg, check_host};

/// A source or a destination of `cp`. Paths are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this machine.
    Local(PathBuf),
    /// On a server; an empty path is its top.
    Remote(HostArg, PathBuf),
}

impl Place {
    /// Reads a path as scp does: it is remote if it has a colon with no slash before it. So `./a:b` is a local file. A
    /// port can't be written here: it would be part of the path.
    ///
    /// # Errors
    /// The part before the colon is no `[user@]HOST`.
    pub(crate) fn parse(text: &OsStr) -> Result<Place, String> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err("the path is empty".into());
        }
        let Some(colon) = colon(bytes) else { return Ok(Place::Local(PathBuf::from(text))) };
        let host = std::str::from_utf8(&bytes[..colon]).map_err(|_| "the host's name is not UTF-8".to_owned());
        let host = host.and_then(parse_host);
        let host = host.map_err(|why| format!("{why}; write ./{} for a local file", text.display()))?;
        Ok(Place::Remote(host, PathBuf::from(OsString::from_vec(below_home(&bytes[colon + 1..]).to_vec()))))
    }
}

/// `~/x` is `x` there: remote paths start at the home directory, or at the root of a server that has one. `./~` is a file
/// with that name.
fn below_home(path: &[u8]) -> &[u8] {
    match path.strip_prefix(b"~") {
        Some(b"") => b"",
        // `~//x` doesn't lead to the file system's root either.
        Some(rest @ [b'/', ..]) => &rest[rest.iter().take_while(|&&byte| byte == b'/').count()..],
        _ => path,
    }
}

/// The colon that ends the host's name, if there is one: the first outside of brackets, with no slash before it.
fn colon(bytes: &[u8]) -> Option<usize> {
    let after_user = |from: usize| bytes[from..].first() == Some(&b'[');
    let user = bytes.iter().position(|&byte| byte == b'@').map_or(0, |at| at + 1);
    let bracket = [0, user].into_iter().find(|&from| from < bytes.len() && after_user(from));
    if let Some(open) = bracket.filter(|&open| !bytes[..open].contains(&b'/')) {
        let close = open + bytes[open..].iter().position(|&byte| byte == b']')?;
        return (bytes.get(close + 1) == Some(&b':')).then_some(close + 1);
    }
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    // As scp: `:file` is a local file.
    (colon > 0 && !bytes[..colon].contains(&b'/')).then_some(colon)
}

fn parse_host(text: &str) -> Result<HostArg, String> {
    let (user, host) = match text.rsplit_once('@') {
        Some(("", _)) => return Err("there is no user before the @".into()),
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, text),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(HostArg { user, host: check_host(host)?, port: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &[u8]) -> (Option<String>, String, Vec<u8>) {
        match Place::parse(OsStr::from_bytes(text)).expect("a place") {
            Place::Remote(host, path) => (host.user, host.host, path.into_os_string().into_vec()),
            Place::Local(path) => panic!("{} is taken for a local path", path.display()),
        }
    }

    #[test]
    fn remote_paths_are_read_as_scp_reads_them() {
        assert_eq!(remote(b"h:p"), (None, "h".into(), b"p".to_vec()));
        assert_eq!(remote(b"h:"), (None, "h".into(), b"".to_vec()));
        assert_eq!(remote(b"ada@h:/a:b"), (Some("ada".into()), "h".into(), b"/a:b".to_vec()));
        assert_eq!(remote(b"[::1]:p"), (None, "::1".into(), b"p".to_vec()));
        assert_eq!(remote(b"ada@[::1]:~/x"), (Some("ada".into()), "::1".into(), b"x".to_vec()));
        assert_eq!(remote(b"h:\xff\n"), (None, "h".into(), b"\xff\n".to_vec()));
        assert_eq!(remote(b"h:a@b"), (None, "h".into(), b"a@b".to_vec()));
    }

    #[test]
    fn a_tilde_is_the_home() {
        for (typed, meant) in [
            ("h:~/x", "x"),
            ("h:~", ""),
            ("h:~/", ""),
            ("h:~//x", "x"),
            ("h:./~", "./~"),
            ("h:a~", "a~"),
            ("h:~ada/x", "~ada/x"),
        ] {
            assert_eq!(remote(typed.as_bytes()).2, meant.as_bytes(), "{typed}");
        }
    }

    #[test]
    fn local_paths_stay_local() {
        for text in [&b"p"[..], b"./a:b", b"/a:b", b"a/b:c", b":p", b"\xff", b"-x", b"a@b", b"[x]", b"./[::1]:p"] {
            let text = OsStr::from_bytes(text);
            assert_eq!(Place::parse(text), Ok(Place::Local(text.into())), "{text:?}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [&b""[..], b"@h:p", b"-h:p", b"a b:p", b"\xff:p"] {
            assert!(Place::parse(OsStr::from_bytes(text)).is_err(), "{text:?}");
        }
    }
}
