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
    pattern: Vec<u8>,
    include: bool,
    /// Matches directories only.
    directory: bool,
    /// Starts at the top of the transfer.
    anchored: bool,
    /// Is matched against the last component.
    last: bool,
    /// `dir/***`: the directory and everything in it.
    and_below: bool,
    /// The pattern holds nothing special.
    literal: bool,
}

impl Compiled {
    fn new(rule: &Rule) -> Compiled {
        let mut pattern = rule.pattern.as_bytes();
        let anchored = pattern.first() == Some(&b'/');
        let and_below = pattern.ends_with(b"/***");
        if and_below {
            pattern = &pattern[..pattern.len() - 4];
        }
        let directory = !and_below && pattern.len() > 1 && pattern.ends_with(b"/");
        if directory {
            pattern = &pattern[..pattern.len() - 1];
        }
        if anchored {
            pattern = &pattern[1..];
        }
        let two_stars = pattern.windows(2).any(|pair| pair == b"**");
        let last = !anchored && !and_below && !pattern.contains(&b'/') && !two_stars;
        let literal = !pattern.iter().any(|byte| b"*?[\\".contains(byte));
        Compiled { pattern: pattern.to_vec(), include: rule.include, directory, anchored, last, and_below, literal }
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directory && !is_directory {
            return false;
        }
        if self.last {
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            return if self.literal { name == self.pattern } else { wild::matches(&self.pattern, name) };
        }
        self.matches_path(path) && (!self.and_below || is_directory) || self.and_below && self.matches_above(path)
    }

    fn matches_path(&self, path: &[u8]) -> bool {
        let matches =
            |text: &[u8]| if self.literal { text == self.pattern } else { wild::matches(&self.pattern, text) };
        if self.anchored {
            return matches(path);
        }
        // Not anchored: it may begin at each component.
        let two_stars = self.pattern.windows(2).any(|pair| pair == b"**");
        if two_stars && !self.pattern.contains(&b'/') {
            // As rsync: against the whole path, with its leading slash.
            return matches(path) || matches(&[b"/", path].concat());
        }
        let starts =
            std::iter::once(0).chain(path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at + 1));
        starts.into_iter().any(|at| matches(&path[at..]))
    }

    fn matches_above(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes.into_iter().any(|at| self.matches_path(&path[..at]))
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
