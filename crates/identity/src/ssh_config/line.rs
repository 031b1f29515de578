//! The words of a line (ssh_config(5)): a keyword, an optional `=`, and arguments with quotation marks and escapes.

/// A keyword in lower case, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) keyword: String,
    pub(super) rest: &'a str,
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

impl<'a> Line<'a> {
    /// `None` for a blank line or a comment.
    pub(super) fn split(line: &'a str) -> Option<Self> {
        let line = line.trim_end_matches(|c| is_blank(c) || c == '\x0c').trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (keyword, rest) = match line.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => line.split_at(line.find(|c| is_blank(c) || c == '=').unwrap_or(line.len())),
        };
        let rest = rest.trim_start_matches(is_blank);
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(is_blank);
        Some(Self { keyword: keyword.to_ascii_lowercase(), rest })
    }
}

/// The arguments, up to a comment; `None` if a quotation mark is not closed.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if matches!(rest.peek(), None | Some('#')) {
            return Some(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(&c) = rest.peek() {
            if quote.is_none() && matches!(c, ' ' | '\t') {
                break;
            }
            rest.next();
            match (c, quote) {
                ('\\', _) => {
                    let escaped = |c: &char| matches!(c, '\'' | '"' | '\\') || (quote.is_none() && *c == ' ');
                    word.push(rest.next_if(escaped).unwrap_or('\\'));
                }
                ('"' | '\'', None) => quote = Some(c),
                (_, Some(open)) if open == c => quote = None,
                _ => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

/// The words of a `Match` line, which `=` parts as well, and in which quotation marks have no escapes.
pub(super) fn conditions(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(|c| is_blank(c) || c == '=').unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        let after = after.trim_start_matches(is_blank);
        rest = after.strip_prefix('=').unwrap_or(after).trim_start_matches(is_blank);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_and_arguments() {
        let line = |text| Line::split(text).map(|line| (line.keyword, line.rest.to_owned()));
        assert_eq!(line("  Host = a b \r"), Some(("host".into(), "a b".into())));
        assert_eq!(line("User=ada"), Some(("user".into(), "ada".into())));
        assert_eq!((line("# x"), line(" \t"), line("")), (None, None, None));
        assert_eq!(
            arguments(r#"a "b c" 'd e' f\ g "h\"i" \j # k"#).expect("closed"),
            ["a", "b c", "d e", "f g", "h\"i", "\\j"]
        );
        assert_eq!(arguments("\"a"), None);
        assert_eq!(
            conditions("host=a,b exec \"x y\" user c # d").expect("closed"),
            ["host", "a,b", "exec", "x y", "user", "c"]
        );
    }
}
