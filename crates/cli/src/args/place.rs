//! Where a file is: here, or on a server as `[user@]HOST:PATH`, by scp's rule; or on the server of a unix socket, as
//! `unix:SOCKET:PATH`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::target::{HostArg, UNIX, check_host};

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
    /// Behind `unix:` the socket's path comes first, up to the next colon. A socket with a colon in its path needs brackets:
    /// `unix:[/run/a:b]:PATH`.
    ///
    /// # Errors
    /// The part before the colon is no `[user@]HOST`.
    pub(crate) fn parse(text: &OsStr) -> Result<Place, String> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err("the path is empty".into());
        }
        if let Some((user, behind)) = behind_unix(bytes) {
            return on_socket(user, behind)
                .map_err(|why| format!("{why}; write ./{} for a local file", text.display()));
        }
        let Some(colon) = colon(bytes) else { return Ok(Place::Local(PathBuf::from(text))) };
        let host = std::str::from_utf8(&bytes[..colon]).map_err(|_| "the host's name is not UTF-8".to_owned());
        let host = host.and_then(parse_host);
        let host = host.map_err(|why| format!("{why}; write ./{} for a local file", text.display()))?;
        Ok(Place::Remote(host, PathBuf::from(OsString::from_vec(below_home(&bytes[colon + 1..]).to_vec()))))
    }
}

/// What stands behind `unix:` or `USER@unix:`, if the text begins so.
fn behind_unix(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if let Some(behind) = bytes.strip_prefix(UNIX.as_bytes()) {
        return Some((None, behind));
    }
    let at = bytes.iter().position(|&byte| byte == b'@' || byte == b'/').filter(|&at| bytes[at] == b'@')?;
    Some((Some(&bytes[..at]), bytes[at + 1..].strip_prefix(UNIX.as_bytes())?))
}

/// `SOCKET:PATH` or `[SOCKET]:PATH`.
fn on_socket(user: Option<&[u8]>, text: &[u8]) -> Result<Place, String> {
    let (socket, path) = match text.strip_prefix(b"[") {
        Some(rest) => split(rest, b"]:").ok_or("the bracket is not closed, or no colon follows it")?,
        None => split(text, b":").ok_or("a file behind a unix socket is written unix:SOCKET:PATH")?,
    };
    let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| "the socket's path or the user is not UTF-8".to_owned());
    let host = HostArg::of_socket(user.map(utf8).transpose()?, utf8(socket)?)?;
    Ok(Place::Remote(host, PathBuf::from(OsString::from_vec(below_home(path).to_vec()))))
}

/// What is before and behind the first `separator`.
fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
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
    fn a_file_behind_a_unix_socket_has_two_colons() {
        let on = |host: &str, path: &[u8]| (None, host.to_owned(), path.to_vec());
        assert_eq!(remote(b"unix:/run/u:a/b"), on("unix:/run/u", b"a/b"));
        assert_eq!(remote(b"unix:u:"), on("unix:u", b""));
        assert_eq!(remote(b"unix:/run/u:a:b@c"), on("unix:/run/u", b"a:b@c"));
        assert_eq!(remote(b"unix:[/run/a:b]:~/c"), on("unix:/run/a:b", b"c"));
        assert_eq!(remote(b"unix:/run/u:\xff"), on("unix:/run/u", b"\xff"));
        assert_eq!(remote(b"ada@unix:/run/u:p"), (Some("ada".into()), "unix:/run/u".into(), b"p".to_vec()));
        assert_eq!(remote(b"[unix]:p"), on("unix", b"p"), "a host with this name");
        for text in ["unix:/run/u", "unix::p", "unix:[/run/a:b:p"] {
            let why = Place::parse(text.as_ref()).expect_err("it is neither");
            assert!(why.contains(&format!("write ./{text} for a local file")), "{why}");
        }
        assert_eq!(Place::parse("./unix:a:b".as_ref()), Ok(Place::Local("./unix:a:b".into())));
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
