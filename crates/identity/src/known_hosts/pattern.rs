//! Which names a line of `known_hosts` is about (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// The longest pattern that OpenSSH matches; a list with a longer one matches nothing.
const MAX_PATTERN: usize = 1022;

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
            Self::Patterns(list) => list_matches(list, name.as_bytes()),
        }
    }
}

/// One pattern must match, and no negated one.
fn list_matches(list: &[u8], name: &[u8]) -> bool {
    let mut matched = false;
    for pattern in list.split(|&byte| byte == b',') {
        let (negated, pattern) = match pattern.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        if pattern.len() > MAX_PATTERN {
            return false;
        }
        if wildcard_matches(pattern, name) {
            if negated {
                return false;
            }
            matched = true;
        }
    }
    matched
}

/// Whether `pattern` matches all of `name`; takes at most `pattern.len() * name.len()` steps.
fn wildcard_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and how much of the name it has swallowed up to.
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star_at, swallowed)) = star else { return false };
                star = Some((star_at, swallowed + 1));
                at = star_at + 1;
                read = swallowed + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
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

    /// The plain definition of a wildcard match, exponential and obvious.
    fn model(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', rest)), _) => model(rest, name) || (!name.is_empty() && model(pattern, &name[1..])),
            (Some((p, rest)), Some((n, tail))) => (*p == b'?' || p == n) && model(rest, tail),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_as_their_definition_says(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(
                wildcard_matches(pattern.as_bytes(), name.as_bytes()),
                model(pattern.as_bytes(), name.as_bytes())
            );
        }

        #[test]
        fn arbitrary_fields_never_panic(field in proptest::collection::vec(any::<u8>(), 0..100), name in ".{0,40}") {
            let _ = Hosts::parse(&field).map(|hosts| hosts.matches(&name));
        }
    }
}
