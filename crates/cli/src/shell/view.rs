//! The terminal as this client writes to it: the program's output, untouched, and at times something of the client's own over it.

use std::time::Instant;

use bytes::Bytes;
use unglue::screen::Shown;

use super::picture::{Picture, Size};
use super::predict::Predictor;
use super::screen::Screen;
use super::{status, terminal};

/// What is shown, and what is about to be.
pub(super) struct View {
    pub(super) screen: Screen,
    /// Only where standard output is a terminal: a file gets the program's output and nothing else.
    over: Option<Over>,
}

/// What this client shows over the program's output.
struct Over {
    picture: Picture,
    predictor: Option<Predictor>,
    /// The row of the line about the link.
    status: Option<u16>,
}

impl View {
    /// Nothing yet, on a terminal of this size, if it is one.
    pub(super) fn new(screen: Screen, size: Option<Size>, predicts: bool) -> View {
        let over =
            |size| Over { picture: Picture::new(size), predictor: predicts.then(Predictor::default), status: None };
        View { screen, over: size.map(over) }
    }

    /// Whether output waits for the terminal.
    pub(super) fn is_busy(&self) -> bool {
        !self.screen.is_idle()
    }

    /// Shows what the program prints.
    pub(super) fn output(&mut self, data: &Bytes, now: Instant) {
        let Some(over) = &mut self.over else { return self.screen.push(data) };
        over.remove_status(&mut self.screen);
        terminal::shown(data);
        match &mut over.predictor {
            None => {
                self.screen.push(data);
                over.picture.pass(data);
            }
            Some(predictor) => {
                let erased = predictor.erase(over.picture.screen());
                self.screen.push(&erased);
                self.screen.push(data);
                over.picture.pass(data);
                let screen = over.picture.screen();
                predictor.output(screen, now);
                self.screen.push(&predictor.draw(screen));
            }
        }
    }

    /// Shows what is expected of these keys.
    pub(super) fn typed(&mut self, keys: &[u8], now: Instant) {
        self.predict(|predictor, screen| predictor.typed(keys, screen, now));
    }

    /// When predictions must have come true.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.over.as_ref()?.predictor.as_ref()?.deadline()
    }

    /// Removes predictions that should have come true by now.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.predict(|predictor, _| predictor.expire(now));
        }
    }

    fn predict(&mut self, change: impl FnOnce(&mut Predictor, Shown<'_>)) {
        if let Some(Over { picture, predictor: Some(predictor), .. }) = &mut self.over {
            let screen = picture.screen();
            let erased = predictor.erase(screen);
            change(predictor, screen);
            let drawn = predictor.draw(screen);
            self.screen.push(&erased);
            self.screen.push(&drawn);
        }
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: Size) {
        self.predict(|predictor, _| predictor.give_up());
        if let Some(over) = &mut self.over {
            over.remove_status(&mut self.screen);
            over.picture.resize(size);
        }
    }

    /// Shows a line about the link.
    pub(super) fn tell(&mut self, text: &str) {
        self.predict(|predictor, _| predictor.give_up());
        if let Some(over) = &mut self.over {
            let screen = over.picture.screen();
            let row = *over.status.get_or_insert_with(|| status::row(screen));
            self.screen.push(&status::draw(screen, row, text));
        }
    }

    /// Removes the line about the link.
    pub(super) fn tell_no_more(&mut self) {
        if let Some(over) = &mut self.over {
            over.remove_status(&mut self.screen);
        }
    }

    /// Prints lines of this client's own where the cursor is, as part of what is shown.
    pub(super) fn print(&mut self, lines: &str) {
        if self.over.is_some() {
            let lines = Bytes::from(format!("\r\n{lines}\r\n"));
            self.output(&lines, Instant::now());
        }
    }

    /// Whether the emulation lags behind.
    pub(super) fn lags(&self) -> bool {
        self.over.as_ref().is_some_and(|over| over.picture.lags())
    }

    /// Uses a pause.
    pub(super) fn rest(&mut self) {
        if let Some(over) = &mut self.over {
            over.picture.rest();
        }
    }

    /// Leaves the program's output alone on the terminal.
    pub(super) fn clear(&mut self) {
        self.predict(|predictor, _| predictor.give_up());
        self.tell_no_more();
    }
}

impl Over {
    fn remove_status(&mut self, screen: &mut Screen) {
        if let Some(row) = self.status.take() {
            screen.push(&status::remove(self.picture.screen(), row));
        }
    }
}
