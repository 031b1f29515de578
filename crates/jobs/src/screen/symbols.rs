//! A character with combining marks, and one that belongs to a link, take more than a cell of the emulator has room for. So the
//! emulator is given one character in their place, from a range that has no characters of its own, and it moves that about as any
//! other. Where cells are written out, it becomes again what it stands for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use unicode_width::UnicodeWidthChar as _;

/// Characters of one column: the second plane for private use.
const NARROW: Range = Range { first: 0x10_0000, last: 0x10_fffd };
/// Characters of two columns: the part of the third ideographic plane that is not assigned.
const WIDE: Range = Range { first: 0x3_8000, last: 0x3_fffd };
/// Bytes of all links together that are kept. Text beyond that is shown without its link.
const LINKS: usize = 1 << 20;
/// Bytes of marks that one character may have.
const MARKS: usize = 32;

struct Range {
    first: u32,
    last: u32,
}

/// Parameters and address of a hyperlink, as OSC 8 gives them.
pub(super) type Link = Arc<[u8]>;

/// What one cell shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) link: Option<Link>,
}

/// What the characters stand for that the emulator was given.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    numbers: HashMap<Content, char>,
    narrow: Vec<Content>,
    wide: Vec<Content>,
    links: HashSet<Link>,
    link_bytes: usize,
}

/// A character that waits for its marks.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    base: Option<char>,
    marks: String,
}

impl Waiting {
    /// Takes a character of text. Gives what the one before it came to, if there was one.
    pub(super) fn take(&mut self, next: char, link: Option<&Link>, symbols: &mut Symbols) -> Option<char> {
        if !next.is_ascii() && self.base.is_some() && next.width() == Some(0) {
            if self.marks.len() + next.len_utf8() <= MARKS {
                self.marks.push(next);
            }
            return None;
        }
        let before = self.end(link, symbols);
        self.base = Some(next);
        before
    }

    /// No mark follows.
    pub(super) fn end(&mut self, link: Option<&Link>, symbols: &mut Symbols) -> Option<char> {
        let base = self.base.take()?;
        if self.marks.is_empty() && link.is_none() && !is_symbol(base) {
            return Some(base);
        }
        let text = std::iter::once(base).chain(self.marks.drain(..)).collect();
        Some(symbols.of(base, text, link))
    }
}

fn is_symbol(character: char) -> bool {
    [NARROW, WIDE].iter().any(|range| (range.first..=range.last).contains(&u32::from(character)))
}

impl Symbols {
    /// What stands for this text, which begins with `base`. Where there is no more room for such, it is the character alone.
    fn of(&mut self, base: char, text: String, link: Option<&Link>) -> char {
        let link = link.and_then(|link| self.known(link));
        let alone = if is_symbol(base) { char::REPLACEMENT_CHARACTER } else { base };
        if text.len() == base.len_utf8() && link.is_none() && alone == base {
            return base;
        }
        let content = Content { text, link };
        if let Some(&symbol) = self.numbers.get(&content) {
            return symbol;
        }
        let (range, contents) = match base.width() {
            Some(1) => (NARROW, &mut self.narrow),
            Some(2) => (WIDE, &mut self.wide),
            _ => return alone,
        };
        let symbol = u32::try_from(contents.len()).ok().and_then(|number| range.first.checked_add(number));
        let Some(symbol) = symbol.filter(|&symbol| symbol <= range.last).and_then(char::from_u32) else { return alone };
        contents.push(content.clone());
        self.numbers.insert(content, symbol);
        symbol
    }

    /// The same link, kept once.
    fn known(&mut self, link: &Link) -> Option<Link> {
        if let Some(known) = self.links.get(link) {
            return Some(known.clone());
        }
        if self.link_bytes + link.len() > LINKS {
            return None;
        }
        self.link_bytes += link.len();
        self.links.insert(link.clone());
        Some(link.clone())
    }

    /// What a character of the emulator stands for; `None` if for itself.
    pub(super) fn get(&self, symbol: char) -> Option<&Content> {
        let of = |range: &Range, contents: &'_ [Content]| {
            let number = u32::from(symbol).checked_sub(range.first)?;
            usize::try_from(number).ok().filter(|&number| number < contents.len())
        };
        match (of(&NARROW, &self.narrow), of(&WIDE, &self.wide)) {
            (Some(number), _) => self.narrow.get(number),
            (_, Some(number)) => self.wide.get(number),
            _ => None,
        }
    }
}

/// Writes out cells.
pub(super) struct Writer<'a> {
    pub(super) out: Vec<u8>,
    symbols: &'a Symbols,
    link: Option<Link>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(symbols: &'a Symbols) -> Self {
        Self { out: Vec::new(), symbols, link: None }
    }

    /// Writes a character of the emulator.
    pub(super) fn character(&mut self, character: char) {
        let content = self.symbols.get(character);
        self.link(content.and_then(|content| content.link.as_ref()));
        match content {
            Some(content) => self.out.extend(content.text.bytes()),
            None => self.out.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }

    /// What follows belongs to this link, or to none.
    pub(super) fn link(&mut self, link: Option<&Link>) {
        if self.link.as_ref() != link {
            self.out.extend(b"\x1b]8;");
            self.out.extend(link.map_or(&b";"[..], |link| link));
            self.out.extend(b"\x1b\\");
            self.link = link.cloned();
        }
    }

    /// All that was written. What follows belongs to no link.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.link(None);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_have_the_widths_that_they_stand_for() {
        for (range, width) in [(NARROW, 1), (WIDE, 2)] {
            for number in range.first..=range.last {
                assert_eq!(char::from_u32(number).and_then(|symbol| symbol.width()), Some(width), "{number:x}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_loses_its_marks_and_no_more() {
        let (mut symbols, mut waiting) = (Symbols::default(), Waiting::default());
        for mark in '\u{300}'..'\u{36f}' {
            for base in '\u{100}'..='\u{400}' {
                waiting.take(base, None, &mut symbols);
                waiting.take(mark, None, &mut symbols);
                let shown = waiting.end(None, &mut symbols).expect("a character");
                let text = symbols.get(shown).map_or(shown.to_string(), |content| content.text.clone());
                assert!(text.starts_with(base));
            }
        }
        let room = (NARROW.last - NARROW.first + 1) as usize;
        assert_eq!((symbols.narrow.len(), symbols.wide.len()), (room, 0), "the rest is shown without marks");
    }

    #[test]
    fn links_are_bounded() {
        let (mut symbols, mut waiting) = (Symbols::default(), Waiting::default());
        for number in 0..10_000 {
            let link: Link = format!(";http://example/{number}/{}", "x".repeat(1000)).into_bytes().into();
            waiting.take('a', Some(&link), &mut symbols);
            waiting.end(Some(&link), &mut symbols);
        }
        assert!(symbols.link_bytes <= LINKS && symbols.narrow.len() > 500, "{}", symbols.narrow.len());
    }
}
