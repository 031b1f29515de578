//! One line of `known_hosts`: `[@marker] hosts kind key [comment]`.

use super::hosts::Hosts;
use crate::key::PublicKeyText;

/// What the line says about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The hosts have this key.
    None,
    /// The key signs the hosts' certificates. It is never a host's own key.
    CertAuthority,
    /// Nobody may use the key for these hosts.
    Revoked,
}

/// A well-formed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts,
    pub(super) key: PublicKeyText,
}

impl Line {
    /// Reads one line without its line end; `Ok(None)` if it is blank or a comment.
    ///
    /// # Errors
    ///
    /// What is malformed about it, in a few words.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, String> {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
        let Some(mut word) = words.next() else { return Ok(None) };
        if word.starts_with(b"#") {
            return Ok(None);
        }
        let marker = Marker::parse(word)?;
        if marker != Marker::None {
            word = words.next().ok_or("nothing follows the marker")?;
            if word.starts_with(b"@") {
                return Err("it has two markers".to_owned());
            }
        }
        let hosts = Hosts::parse(word).ok_or("its hashed name is damaged")?;
        let kind = words.next().ok_or("it has no key")?;
        let base64 = words.next().ok_or("its key is cut short")?;
        let key = PublicKeyText::parse(kind, base64).map_err(|error| error.to_string())?;
        Ok(Some(Self { marker, hosts, key }))
    }
}

impl Marker {
    fn parse(word: &[u8]) -> Result<Self, &'static str> {
        match word {
            b"@cert-authority" => Ok(Self::CertAuthority),
            b"@revoked" => Ok(Self::Revoked),
            _ if word.starts_with(b"@") => Err("its marker is neither @cert-authority nor @revoked"),
            _ => Ok(Self::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn marker(line: &str) -> Option<Marker> {
        Line::parse(line.as_bytes()).expect("well-formed").map(|line| line.marker)
    }

    #[test]
    fn markers_comments_and_white_space() {
        assert_eq!(marker(&format!("host {KEY}")), Some(Marker::None));
        assert_eq!(marker(&format!("  host\t \t{KEY} a comment\r")), Some(Marker::None));
        assert_eq!(marker(&format!("@revoked * {KEY}")), Some(Marker::Revoked));
        assert_eq!(marker(&format!("@cert-authority\t* {KEY}")), Some(Marker::CertAuthority));
        for blank in ["", " \t", "# host key", "  #", "\r"] {
            assert_eq!(marker(blank), None, "{blank:?}");
        }
    }

    #[test]
    fn malformed_lines_say_why() {
        for (line, why) in [
            ("@trusted * ssh-ed25519 AAAA".to_owned(), "marker"),
            (format!("@revoked @revoked * {KEY}"), "two markers"),
            ("@revoked".to_owned(), "marker"),
            ("host".to_owned(), "no key"),
            ("host ssh-ed25519".to_owned(), "cut short"),
            ("host ssh-ed25519 !!!!".to_owned(), "base64"),
            (format!("|1|x|y {KEY}"), "hashed"),
            ("host 1024 35 1234567".to_owned(), "malformed"),
        ] {
            let error = Line::parse(line.as_bytes()).expect_err("malformed");
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn other_kinds_are_kept_by_name() {
        let line = b"host ssh-dss AAAAB3NzaC1kc3MAAAAB";
        let line = Line::parse(line).expect("well-formed").expect("a line");
        assert_eq!(line.key.kind(), "ssh-dss");
        // It has no numbers.
        assert!(matches!(line.key, PublicKeyText::Other(other) if !other.is_readable_by_openssh()));
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Line::parse(&bytes);
            let _ = Line::parse(&[b"@revoked ", &bytes[..]].concat());
        }
    }
}
