//! Which names a line of `known_hosts` is about (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

use crate::pattern::{Match, match_list};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// The first field of a line (after a marker): the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hosts {
    /// `|1|salt|hash`: one name, hidden. HMAC-SHA1 of the name under the salt.
    Hashed { salt: [u8; 20], hash: [u8; 20] },
    /// Patterns with commas between them; `*` and `?` are wildcards and `!` negates.
    Patterns(Vec<u8>),
}

impl Hosts {
    /// Reads the field; `None` if it begins as a hash does and isn't one.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        if !field.starts_with(b"|") {
            return Some(Self::Patterns(field.to_ascii_lowercase()));
        }
        let (salt, hash) = std::str::from_utf8(field.strip_prefix(b"|1|")?).ok()?.split_once('|')?;
        let twenty = |base64: &str| STANDARD.decode(base64).ok()?.try_into().ok();
        Some(Self::Hashed { salt: twenty(salt)?, hash: twenty(hash)? })
    }

    /// Whether the line is about `name`: a host in lower case, or `[host]:port`.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => {
                let mut mac = Hmac::<Sha1>::new_from_slice(salt).expect("HMAC takes a key of any length");
                mac.update(name.as_bytes());
                mac.verify_slice(hash).is_ok()
            }
            Self::Patterns(list) => match_list(list, name.as_bytes()) == Match::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn about(field: &str, name: &str) -> bool {
        Hosts::parse(field.as_bytes()).expect("a field").matches(name)
    }

    #[test]
    fn wildcards_lists_and_negation() {
        assert!(about("*", "a"));
        assert!(about("*.example.com", "a.example.com"));
        assert!(!about("*.example.com", "example.com"));
        assert!(about("10.0.0.?", "10.0.0.7") && !about("10.0.0.?", "10.0.0.77"));
        assert!(about("a,b", "b") && !about("a,b", "c") && !about("a,b", "a,b"));
        assert!(about("*,!bad", "good") && !about("*,!bad", "bad") && !about("!bad", "good"));
        assert!(about("[*.example.com]:7227", "[a.example.com]:7227"));
        assert!(!about("a.example.com", "[a.example.com]:7227"));
        assert!(about("A.Example.COM", "a.example.com"));
        assert!(!about("", "a") && !about(",", "a"));
    }

    #[test]
    fn a_hash_that_is_none_is_refused() {
        for field in
            ["|", "|1|", "|1|a|b", "|2|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM=", "|1|AAAA|AAAA"]
        {
            assert_eq!(Hosts::parse(field.as_bytes()), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_fields_never_panic(field in proptest::collection::vec(any::<u8>(), 0..100), name in ".{0,40}") {
            let _ = Hosts::parse(&field).map(|hosts| hosts.matches(&name));
        }
    }
}
