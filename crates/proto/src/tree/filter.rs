//! The rules of `--exclude`, `--include` and `--exclude-from`, with rsync's meaning (rsync(1), "FILTER RULES").

use serde::{Deserialize, Serialize};

use super::wild;
use crate::Octets;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The pattern, as it was typed.
    pub pattern: Octets,
    /// Whether what matches is included, rather than excluded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include: bool,
}

impl Rule {
    /// What matches is left out.
    pub fn exclude(pattern: impl Into<Octets>) -> Rule {
        Rule { pattern: pattern.into(), include: false }
    }

    /// What matches is taken, whatever later rules say.
    pub fn include(pattern: impl Into<Octets>) -> Rule {
        Rule { pattern: pattern.into(), include: true }
    }

    /// The rules of a file that `--exclude-from` names: one a line. Empty lines and lines that start with `#` or `;` say nothing; `+ ` at
    /// the front includes, `- ` excludes; a line `!` takes back the rules before it.
    ///
    /// ```
    /// use unglue_proto::tree::Rule;
    ///
    /// let rules = Rule::lines(b"# objects\n*.o\n+ keep\n\n- /tmp/\n");
    /// assert_eq!(rules, [Rule::exclude("*.o"), Rule::include("keep"), Rule::exclude("/tmp/")]);
    /// assert_eq!(Rule::lines(b"a\n!\nb\n"), [Rule::exclude("b")]);
    /// ```
    pub fn lines(text: &[u8]) -> Vec<Rule> {
        let mut rules = Vec::new();
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            match line {
                [] | [b'#' | b';', ..] => {}
                b"!" => rules.clear(),
                [b'+', b' ', pattern @ ..] => rules.push(Rule::include(pattern.to_vec())),
                [b'-', b' ', pattern @ ..] => rules.push(Rule::exclude(pattern.to_vec())),
                pattern => rules.push(Rule::exclude(pattern.to_vec())),
            }
        }
        rules
    }
}

/// What the rules say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first rule that matches includes it.
    Included,
    /// The first rule that matches excludes it.
    Excluded,
    /// No rule matches: it is included.
    Unmatched,
}

/// Rules, ready to be asked.
///
/// ```
/// use unglue_proto::tree::{Filter, Rule, Verdict};
///
/// let filter = Filter::new(&[Rule::include("keep.o"), Rule::exclude("*.o"), Rule::exclude("/tmp/")]);
/// assert_eq!(filter.judge(b"src/keep.o", false), Verdict::Included);
/// assert_eq!(filter.judge(b"src/a.o", false), Verdict::Excluded);
/// assert_eq!(filter.judge(b"tmp", true), Verdict::Excluded);
/// assert_eq!(filter.judge(b"src/tmp", true), Verdict::Unmatched);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Vec<Compiled>,
}

#[derive(Debug, Clone)]
struct Compiled {
    /// Without the slash in front and the slash at the end.
    pattern: Vec<u8>,
    include: bool,
    /// Matches directories only.
    directory: bool,
    place: Place,
    /// Starts with `**`, which matches a slash in front of the path, too.
    two_stars_first: bool,
    /// Ends with `***`: `dir/***` matches the directory, too.
    three_stars_last: bool,
    /// The pattern holds nothing special.
    literal: bool,
}

/// Which part of a path a pattern is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// All of it.
    Whole,
    /// So many components at its end.
    Last(usize),
    /// What follows any slash, or all of it.
    AfterAnySlash,
}

impl Compiled {
    /// As rsync's `exclude.c` has it.
    fn new(rule: &Rule) -> Compiled {
        let mut pattern = rule.pattern.as_bytes();
        let directory = pattern.len() > 1 && pattern.ends_with(b"/");
        if directory {
            pattern = &pattern[..pattern.len() - 1];
        }
        let two_stars = pattern.windows(2).any(|pair| pair == b"**");
        let two_stars_first = pattern.starts_with(b"**");
        let three_stars_last = pattern.ends_with(b"***");
        let anchored = pattern.first() == Some(&b'/');
        if anchored {
            pattern = &pattern[1..];
        }
        let slashes = pattern.iter().filter(|&&byte| byte == b'/').count();
        let place = match (anchored || two_stars_first, two_stars) {
            (true, _) => Place::Whole,
            (false, true) => Place::AfterAnySlash,
            (false, false) => Place::Last(slashes + 1),
        };
        let literal = !pattern.iter().any(|byte| b"*?[".contains(byte));
        let pattern = pattern.to_vec();
        Compiled { pattern, include: rule.include, directory, place, two_stars_first, three_stars_last, literal }
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directory && !is_directory {
            return false;
        }
        let longer;
        let mut text = path;
        if self.two_stars_first || self.three_stars_last && is_directory {
            let (front, end) = (self.two_stars_first, self.three_stars_last && is_directory);
            longer = [if front { &b"/"[..] } else { b"" }, path, if end { b"/" } else { b"" }].concat();
            text = &longer;
        }
        let is_match = |text: &[u8]| match self.literal {
            true => text == self.pattern,
            false => wild::matches(&self.pattern, text),
        };
        let starts = || text.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        match self.place {
            Place::Whole => is_match(text),
            Place::AfterAnySlash => is_match(text) || starts().any(|at| is_match(&text[at..])),
            Place::Last(count) => {
                let slashes = starts().count();
                match slashes.checked_sub(count) {
                    Some(skipped) => starts().nth(skipped).is_some_and(|at| is_match(&text[at..])),
                    None => slashes + 1 == count && is_match(text),
                }
            }
        }
    }
}

impl Filter {
    /// Prepares rules.
    pub fn new(rules: &[Rule]) -> Filter {
        Filter { rules: rules.iter().filter(|rule| !rule.pattern.as_bytes().is_empty()).map(Compiled::new).collect() }
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the first rule that matches says of a path, which is relative to the top of the transfer. Whoever walks a tree asks for
    /// each directory before its entries: what is below an excluded directory is never asked for.
    pub fn judge(&self, path: &[u8], is_directory: bool) -> Verdict {
        match self.rules.iter().find(|rule| rule.matches(path, is_directory)) {
            Some(rule) if rule.include => Verdict::Included,
            Some(_) => Verdict::Excluded,
            None => Verdict::Unmatched,
        }
    }
}
