//! Predictions against a model: a line editor at the other end of a slow link, and a terminal that shows what is written to it.

use super::super::picture::Picture;
use super::*;

const MS: Duration = Duration::from_millis(1);
const SIZE: (u16, u16) = (6, 30);

/// A program that echoes, reads passwords without an echo, and has a mode in which keys do something else.
#[derive(Default)]
struct Program {
    line: String,
    password: bool,
    commands: bool,
}

impl Program {
    fn answer(&mut self, key: u8) -> String {
        match key {
            b'\r' if self.password => {
                self.password = false;
                "\r\n$ ".into()
            }
            b'\r' => {
                let line = std::mem::take(&mut self.line);
                self.password = line == "su";
                if self.password { "\r\nPassword: ".into() } else { format!("\r\nyou typed {line}\r\n$ ") }
            }
            _ if self.password => String::new(),
            0x1b => {
                self.commands = !self.commands;
                String::new()
            }
            _ if self.commands => "\x1b[31m#\x1b[m\x08".into(),
            0x7f => match self.line.pop() {
                Some(_) => "\x08 \x08".into(),
                None => "\x07".into(),
            },
            key => {
                self.line.push(char::from(key));
                // As readline does at times: the character in a piece of its own style.
                if key == b'z' { "\x1b[4mz\x1b[24m".into() } else { char::from(key).to_string() }
            }
        }
    }
}

/// Client, link, program and terminal, with a clock of their own.
struct World {
    start: Instant,
    now: Instant,
    delay: Duration,
    predictor: Predictor,
    /// What the client knows of the screen.
    known: Picture,
    /// What the user sees.
    seen: Picture,
    program: Program,
    up: VecDeque<(Instant, u8)>,
    down: VecDeque<(Instant, String)>,
    /// Since when the user sees something that the program has not printed, and that it will not.
    most_shown: usize,
}

impl World {
    fn new(delay: Duration) -> World {
        let start = Instant::now();
        let mut world = World {
            start,
            now: start,
            delay,
            predictor: Predictor::default(),
            known: Picture::new(SIZE),
            seen: Picture::new(SIZE),
            program: Program::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            most_shown: 0,
        };
        world.prints("$ ");
        world
    }

    fn prints(&mut self, text: &str) {
        let erased = self.predictor.erase(self.known.screen());
        self.seen.pass(&erased);
        self.check_clean();
        self.seen.pass(text.as_bytes());
        self.known.pass(text.as_bytes());
        self.predictor.output(self.known.screen(), self.now);
        self.draws();
    }

    /// Without predictions, the terminal is what the program made of it.
    fn check_clean(&mut self) {
        let (seen, known) = (self.seen.screen(), self.known.screen());
        let state = |screen: Shown<'_>| screen.state().escape_ascii().to_string();
        assert_eq!(state(seen), state(known), "at {:?}", self.now - self.start);
        assert_eq!(seen.cursor(), known.cursor());
    }

    fn draws(&mut self) {
        let drawn = self.predictor.draw(self.known.screen());
        self.seen.pass(&drawn);
        let shown = self.predictor.drawn.as_ref().map_or(0, |drawn| usize::from(drawn.cells.1 - drawn.cells.0) + 1);
        self.most_shown = self.most_shown.max(shown);
    }

    fn types(&mut self, keys: &[u8]) {
        let erased = self.predictor.erase(self.known.screen());
        self.seen.pass(&erased);
        self.predictor.typed(keys, self.known.screen(), self.now);
        self.draws();
        self.up.extend(keys.iter().map(|&key| (self.now + self.delay / 2, key)));
    }

    /// Lets time pass.
    fn waits(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += MS;
            while self.up.front().is_some_and(|(at, _)| *at <= self.now) {
                let answer = self.up.pop_front().map(|(_, key)| self.program.answer(key)).unwrap_or_default();
                if !answer.is_empty() {
                    self.down.push_back((self.now + self.delay / 2, answer));
                }
            }
            while self.down.front().is_some_and(|(at, _)| *at <= self.now) {
                let text = self.down.pop_front().map(|(_, text)| text).unwrap_or_default();
                self.prints(&text);
            }
            if self.predictor.deadline().is_some_and(|deadline| deadline <= self.now) {
                let erased = self.predictor.erase(self.known.screen());
                self.seen.pass(&erased);
                self.predictor.expire(self.now);
                self.draws();
            }
            self.check_ages();
        }
    }

    /// What is shown ahead is never older than a round trip.
    fn check_ages(&self) {
        if self.predictor.drawn.is_some() {
            let oldest = self.predictor.pending.first().expect("what is drawn is pending").at;
            assert!(self.now - oldest <= self.delay + 2 * MS, "{:?} at {:?}", self.now - oldest, self.now - self.start);
        }
    }

    fn seen(&mut self) -> String {
        self.seen.screen().text()
    }
}

#[test]
fn typing_is_shown_at_once_once_an_echo_was_seen() {
    let mut world = World::new(100 * MS);
    world.types(b"e");
    assert_eq!(world.seen(), "$", "nothing is known yet");
    world.waits(120 * MS);
    assert_eq!(world.seen(), "$ e");
    for key in b"cho hi" {
        world.types(&[*key]);
        world.waits(10 * MS);
    }
    assert_eq!(world.seen(), "$ echo hi");
    let screen = world.seen.screen();
    assert!(screen.cell(0, 8).expect("a cell").is_underlined() && !screen.cell(0, 2).expect("a cell").is_underlined());
    assert_eq!(screen.cursor(), (0, 9));
    world.types(b"\x7f\x7f");
    assert_eq!(world.seen().trim_end(), "$ echo");
    world.waits(200 * MS);
    assert_eq!(world.seen().trim_end(), "$ echo");
    assert!(!world.seen.screen().cell(0, 3).expect("a cell").is_underlined());
    world.check_clean();
}

#[test]
fn a_password_is_never_shown() {
    let mut world = World::new(100 * MS);
    world.types(b"s");
    world.waits(150 * MS);
    world.types(b"u");
    world.types(b"\r");
    world.waits(20 * MS);
    world.most_shown = 0;
    for key in b"geheim" {
        world.types(&[*key]);
        world.waits(40 * MS);
        assert!(!world.seen().contains('g'), "{}", world.seen());
    }
    assert_eq!(world.most_shown, 1, "the u of su, and nothing else");
    world.types(b"\r");
    world.waits(500 * MS);
    world.check_clean();
}

#[test]
fn a_quick_link_needs_no_predictions() {
    let mut world = World::new(4 * MS);
    for key in b"echo hello" {
        world.types(&[*key]);
        world.waits(3 * MS);
    }
    world.waits(20 * MS);
    assert_eq!((world.seen().as_str(), world.most_shown), ("$ echo hello", 0));
}

#[test]
fn a_prediction_that_does_not_come_true_is_removed_after_a_round_trip() {
    let mut world = World::new(100 * MS);
    world.types(b"a");
    world.waits(150 * MS);
    world.program.commands = true;
    world.types(b"b");
    assert_eq!(world.seen(), "$ ab");
    world.waits(102 * MS);
    assert!(!world.seen().contains('b'), "{}", world.seen());
    world.waits(100 * MS);
    world.check_clean();
    // A program that says nothing at all.
    world.program.commands = false;
    world.types(b"\x7f\x7fx");
    world.waits(300 * MS);
    world.program.password = true;
    world.types(b"y");
    world.waits(101 * MS);
    assert!(!world.seen().contains('y'), "{}", world.seen());
}

#[test]
fn a_full_line_and_a_filled_one_are_left_to_the_program() {
    let mut world = World::new(50 * MS);
    for _ in 0..60 {
        world.types(b"m");
        world.waits(7 * MS);
    }
    world.waits(200 * MS);
    world.check_clean();
    let mut world = World::new(50 * MS);
    world.types(b"a");
    world.waits(60 * MS);
    world.prints("\x1b7 suggestion\x1b8");
    world.types(b"b");
    assert_eq!(world.predictor.pending.len(), 1, "a blank is free");
    world.types(b"c");
    assert_eq!(world.predictor.pending.len(), 1, "text is not");
}

#[test]
fn any_keys_at_any_time_leave_the_screen_as_the_program_made_it() {
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    for round in 0..60 {
        let mut world = World::new(Duration::from_millis(10 + random(200)));
        for _ in 0..120 {
            let keys: &[&[u8]] =
                &[b"a", b"z", b" ", b"su", b"\x7f", b"\r", b"\x1b", b"\x1b[C", b"\xc3", b"pasted text", b"q"];
            world.types(keys[random(keys.len() as u64) as usize]);
            world.waits(Duration::from_millis(random(120)));
            if random(40) == 0 {
                world.prints("\r\nanother program prints\r\n$ ");
            }
        }
        world.waits(Duration::from_secs(2));
        assert!(world.predictor.drawn.is_none(), "round {round}");
        world.check_clean();
    }
}
