//! A transfer's progress, on a terminal.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unglue::{Moved, Progress};

use crate::complaint::printable;

/// What a bar shows on a terminal of at least so many columns: under way, and once the file is there. The name takes what is
/// left, so that no line is longer than the terminal is wide.
const STYLES: [Style; 4] = [
    Style {
        columns: 84,
        under_way: "{wide_msg} {bytes:>10}/{total_bytes:<10} [{bar:16}] {binary_bytes_per_sec:>12} {eta:>4}",
        done: "{wide_msg} {total_bytes:>10} {binary_bytes_per_sec:>12}  done",
    },
    Style {
        columns: 60,
        under_way: "{wide_msg} {bytes:>10} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4}",
        done: "{wide_msg} {total_bytes:>10} {binary_bytes_per_sec:>12}  done",
    },
    Style { columns: 36, under_way: "{wide_msg} {bytes:>10} {percent:>3}%", done: "{wide_msg} {total_bytes:>10} done" },
    Style { columns: 0, under_way: "{wide_msg} {percent:>3}%", done: "{wide_msg} done" },
];

struct Style {
    columns: u16,
    under_way: &'static str,
    done: &'static str,
}

/// The style for a terminal of so many columns.
fn style(columns: u16) -> &'static Style {
    STYLES.iter().find(|style| columns >= style.columns).unwrap_or(&STYLES[STYLES.len() - 1])
}

/// The columns of the terminal at standard error; as if there were many where that isn't known.
fn columns() -> u16 {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => 80,
    }
}

/// A bar on standard error; nothing where that is not a terminal.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar with a file's name.
    pub(crate) fn of(name: &str) -> Bar {
        if !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_message(printable(name));
        set(&bar, style(columns()).under_way);
        Bar(Some(bar))
    }

    /// What tells the bar how far it is. It never goes backwards, and grows if the file did.
    pub(crate) fn listener(&self) -> Option<Progress> {
        let bar = self.0.clone()?;
        let mut reached = 0;
        let mut width = columns();
        Some(Box::new(move |moved: Moved| {
            reached = moved.bytes.max(reached);
            // The terminal may have been resized.
            let now = columns();
            if std::mem::replace(&mut width, now) != now {
                set(&bar, style(now).under_way);
            }
            bar.set_length(moved.size.unwrap_or(0).max(reached));
            bar.set_position(reached);
        }))
    }

    /// The file is there.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.0 {
            set(&bar, style(columns()).done);
            bar.finish();
            // It leaves the cursor behind itself. There is nowhere to complain about a closed stderr.
            let _ = writeln!(std::io::stderr());
        }
    }

    /// It is not: the bar makes room for the reason.
    pub(crate) fn clear(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

fn set(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of some columns that keeps what is written to it.
    #[derive(Debug, Clone)]
    struct Terminal(u16, Arc<Mutex<Vec<String>>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            self.0
        }

        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn write_line(&self, line: &str) -> std::io::Result<()> {
            self.write_str(line)
        }

        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.1.lock().expect("no panic").push(text.to_owned());
            Ok(())
        }

        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_fits_every_terminal() {
        let name = "a-rather-long-name-of-a-file-that-somebody-wants-to-have-elsewhere-".repeat(4);
        for columns in 20..=200 {
            let written = Arc::new(Mutex::new(Vec::new()));
            for template in [style(columns).under_way, style(columns).done] {
                let target = ProgressDrawTarget::term_like(Box::new(Terminal(columns, written.clone())));
                let bar = ProgressBar::with_draw_target(Some(5_000_000_000_000), target).with_message(name.clone());
                set(&bar, template);
                bar.set_position(1_234_567_890_123);
                bar.force_draw();
                bar.abandon();
            }
            let written = written.lock().expect("no panic");
            let lines: Vec<&str> = written.iter().map(String::as_str).filter(|line| !line.trim().is_empty()).collect();
            assert!(lines.len() >= 2, "{columns}: {lines:?}");
            for line in lines {
                let width = line.trim_end().chars().count();
                assert!(width <= usize::from(columns), "{width} of {columns} columns: {line:?}");
                assert!(line.starts_with("a"), "no room for the name in {columns} columns: {line:?}");
            }
        }
    }

    #[test]
    fn a_bar_never_goes_backwards() {
        let bar = Bar(Some(ProgressBar::hidden()));
        let mut listener = bar.listener().expect("a listener");
        [(5, 10), (3, 10), (12, 10)].into_iter().for_each(|(done, total)| listener(Moved::new(done, Some(total))));
        let bar = bar.0.expect("a bar");
        assert_eq!((bar.position(), bar.length()), (12, Some(12)));
    }
}
