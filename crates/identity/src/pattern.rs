//! OpenSSH's patterns: `*` and `?` are wildcards, a list has commas, and `!` negates (ssh_config(5), PATTERNS).

/// The longest pattern that OpenSSH matches; a list with a longer one matches nothing.
const MAX_PATTERN: usize = 1022;

/// What a list says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// A pattern matches, and no negated one does.
    Yes,
    /// No pattern matches.
    No,
    /// A negated pattern matches.
    Negated,
}

/// One pattern must match, and no negated one.
pub(crate) fn match_list(list: &[u8], name: &[u8]) -> Match {
    let mut matched = Match::No;
    for pattern in list.split(|&byte| byte == b',') {
        let (negated, pattern) = match pattern.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        if pattern.len() > MAX_PATTERN {
            return Match::No;
        }
        if wildcard_matches(pattern, name) {
            if negated {
                return Match::Negated;
            }
            matched = Match::Yes;
        }
    }
    matched
}

/// Whether `pattern` matches all of `name`; takes at most `pattern.len() * name.len()` steps.
pub(crate) fn wildcard_matches(pattern: &[u8], name: &[u8]) -> bool {
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
    }
}
