//! Escape keys: `~.` and its like after Enter are for this client, everything else is for the program.
//!
//! ```text
//! let mut escapes = Escapes::new(Some(b'~'));
//! escapes.take(b"ls\r~")   // [Send("ls\r")]: the tilde waits for the key that follows it
//! escapes.take(b"d")       // [Do(Detach)]
//! ```
//!
//! Only an escape character that follows Enter waits; every other key is passed on in the call that brings it. Text that is
//! pasted (bracketed paste) holds no escape keys.

/// What an escape key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `~.`: leave, and end what is not named.
    Leave,
    /// `~d`: leave, and let it run.
    Detach,
    /// `~^Z`: stop this client, as Ctrl-Z stops other programs.
    Suspend,
    /// `~?`: list the escape keys.
    Help,
}

/// One step of what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// For the program.
    Send(Vec<u8>),
    /// For this client.
    Do(Order),
}

/// What the escape keys are.
pub(super) fn help(key: u8) -> String {
    let key = char::from(key);
    [
        "Escape keys, after Enter:".to_owned(),
        format!("  {key}.   leave; the program ends, unless it has a name"),
        format!("  {key}d   detach: leave, and let the program run"),
        format!("  {key}^Z  suspend this client; fg continues it"),
        format!("  {key}?   this list"),
        format!("  {key}{key}   send {key}"),
    ]
    .join("\r\n")
}

/// Finds escape keys in what is typed.
#[derive(Debug)]
pub(super) struct Escapes {
    /// The escape character; without one nothing is an escape key.
    key: Option<u8>,
    place: Place,
    paste: Paste,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start, or after Enter.
    LineStart,
    /// After the escape character, which has not been passed on.
    Escaped,
    Within,
}

/// Whether the terminal sends pasted text (xterm's bracketed paste), and how much of the mark that changes this has come.
#[derive(Debug, Default)]
struct Paste {
    inside: bool,
    matched: usize,
}

impl Paste {
    fn pass(&mut self, byte: u8) {
        let mark: &[u8; 6] = if self.inside { b"\x1b[201~" } else { b"\x1b[200~" };
        self.matched = match () {
            () if byte == mark[self.matched] => self.matched + 1,
            () => usize::from(byte == mark[0]),
        };
        if self.matched == mark.len() {
            (self.inside, self.matched) = (!self.inside, 0);
        }
    }
}

impl Escapes {
    /// With this escape character, or with none.
    pub(super) fn new(key: Option<u8>) -> Escapes {
        Escapes { key, place: Place::LineStart, paste: Paste::default() }
    }

    /// The escape character.
    pub(super) fn key(&self) -> Option<u8> {
        self.key
    }

    /// Takes what was typed, in pieces of any size.
    pub(super) fn take(&mut self, typed: &[u8]) -> Vec<Step> {
        let Some(key) = self.key else { return vec![Step::Send(typed.to_vec())] };
        let (mut steps, mut send) = (Vec::new(), Vec::with_capacity(typed.len() + 1));
        for &byte in typed {
            self.paste.pass(byte);
            let place = std::mem::replace(&mut self.place, Place::Within);
            match place {
                Place::LineStart if byte == key && !self.paste.inside => {
                    self.place = Place::Escaped;
                    continue;
                }
                Place::Escaped if byte == key => {}
                Place::Escaped => match order(byte) {
                    Some(order) => {
                        self.place = Place::LineStart;
                        if !send.is_empty() {
                            steps.push(Step::Send(std::mem::take(&mut send)));
                        }
                        steps.push(Step::Do(order));
                        continue;
                    }
                    None => send.push(key),
                },
                Place::LineStart | Place::Within => {}
            }
            send.push(byte);
            if byte == b'\r' || byte == b'\n' {
                self.place = Place::LineStart;
            }
        }
        if !send.is_empty() {
            steps.push(Step::Send(send));
        }
        steps
    }
}

fn order(byte: u8) -> Option<Order> {
    match byte {
        b'.' => Some(Order::Leave),
        b'd' => Some(Order::Detach),
        0x1a => Some(Order::Suspend),
        b'?' => Some(Order::Help),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these keys in one call, as text: orders in brackets.
    fn typed(keys: &str) -> String {
        said(&Escapes::new(Some(b'~')).take(keys.as_bytes()))
    }

    fn said(steps: &[Step]) -> String {
        let step = |step: &Step| match step {
            Step::Send(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Step::Do(order) => format!("<{order:?}>"),
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn escape_keys_work_at_the_start_and_after_enter() {
        assert_eq!(typed("~."), "<Leave>");
        assert_eq!(typed("ls\r~d"), "ls\r<Detach>");
        assert_eq!(typed("ls\n~?x"), "ls\n<Help>x");
        assert_eq!(typed("~\x1a~."), "<Suspend><Leave>");
        assert_eq!(typed("\r~~."), "\r~.");
        assert_eq!(typed("\r~x"), "\r~x");
        assert_eq!(typed("\r~\r~."), "\r~\r<Leave>");
        assert_eq!(typed("a~.\rb~d"), "a~.\rb~d", "not within a line");
    }

    #[test]
    fn pasted_text_holds_no_escape_keys() {
        let paste = "\x1b[200~a\r~.\r~d\x1b[201~";
        assert_eq!(typed(paste), paste);
        assert_eq!(typed(&format!("{paste}\r~.")), format!("{paste}\r<Leave>"));
        assert_eq!(
            typed("\x1b[200\x1b[200~\r~.\x1b[20\x1b[201~\r~."),
            "\x1b[200\x1b[200~\r~.\x1b[20\x1b[201~\r<Leave>"
        );
    }

    #[test]
    fn pieces_change_nothing_and_no_other_key_waits() {
        let keys = "x~.\r~~y\r~d\x1b[200~\r~.\x1b[201~z\r~q~\r\n~.";
        let whole = typed(keys);
        for cut in 0..keys.len() {
            let mut escapes = Escapes::new(Some(b'~'));
            let mut steps = escapes.take(&keys.as_bytes()[..cut]);
            steps.extend(escapes.take(&keys.as_bytes()[cut..]));
            assert_eq!(said(&steps), whole, "cut at {cut}");
        }
        // Every byte on its own, as keys come: what may wait is the escape character at the start of a line.
        for byte in 0..=255u8 {
            let mut escapes = Escapes::new(Some(b'~'));
            escapes.take(b"a");
            assert_eq!(escapes.take(&[byte]), [Step::Send(vec![byte])], "{byte:#x} within a line");
            let mut escapes = Escapes::new(Some(b'~'));
            let expected = if byte == b'~' { vec![] } else { vec![Step::Send(vec![byte])] };
            assert_eq!(escapes.take(&[byte]), expected, "{byte:#x} at the start of a line");
        }
    }

    #[test]
    fn another_character_and_none() {
        assert_eq!(said(&Escapes::new(Some(b'%')).take(b"~.\r%.")), "~.\r<Leave>");
        let all: Vec<u8> = (0..=255).chain(*b"\r~.").collect();
        assert_eq!(Escapes::new(None).take(&all), [Step::Send(all)]);
    }

    #[test]
    fn the_list_names_the_character() {
        let list = help(b'%');
        assert!(list.contains("%d ") && list.contains("%%") && !list.contains('~'), "{list}");
    }
}
