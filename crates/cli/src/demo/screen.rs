//! How the demo looks. Colours are left out where standard output is no terminal.

use std::io::Write;
use std::time::Duration;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use super::Stopped;
use super::stage::Stage;
use crate::complaint::printable;
use crate::standard;

const TITLE: Style = Style::new().bold();
const PROMPT: Style = AnsiColor::Cyan.on_default().bold();
const ERROR: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();

/// What a line says about the matter.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// As it should not be.
    Bad,
    /// A remark.
    Faint,
}

/// Standard output, with styles.
pub(super) struct Screen(AutoStream<Box<dyn Write>>);

impl Screen {
    /// Standard output.
    pub(super) fn stdout() -> Screen {
        Screen(standard::styled_stdout())
    }

    /// Says what is set up.
    pub(super) fn opening(&mut self, stage: &Stage) -> Result<(), Stopped> {
        let (address, directory) = (stage.address(), stage.directory().display());
        writeln!(self.0, "{TITLE}unglue demo{TITLE:#}: a server on {address}, its host key {}", stage.fingerprint())?;
        writeln!(self.0, "{FAINT}keys and files are in {directory}, which is removed at the end{FAINT:#}")?;
        Ok(())
    }

    /// Says how long it took.
    pub(super) fn closing(&mut self, took: Duration) -> Result<(), Stopped> {
        writeln!(
            self.0,
            "\n{FAINT}done in {:.1} s; now the server ends, and its directory is removed{FAINT:#}",
            took.as_secs_f64()
        )?;
        self.0.flush()?;
        Ok(())
    }

    /// Begins an act.
    pub(super) fn title(&mut self, number: u8, title: &str) -> Result<(), Stopped> {
        writeln!(self.0, "\n{TITLE}{number}  {title}{TITLE:#}")?;
        Ok(())
    }

    /// Shows what was typed.
    pub(super) fn prompt(&mut self, command: &str) -> Result<(), Stopped> {
        writeln!(self.0, "\n{PROMPT}>>:{PROMPT:#} {TITLE}{command}{TITLE:#}")?;
        Ok(())
    }

    /// Shows what came on standard output.
    pub(super) fn output(&mut self, lines: &[String]) -> Result<(), Stopped> {
        for line in lines {
            writeln!(self.0, "{}", printable(line))?;
        }
        Ok(())
    }

    /// Shows what came on standard error.
    pub(super) fn error_output(&mut self, lines: &[String]) -> Result<(), Stopped> {
        for line in lines {
            writeln!(self.0, "{ERROR}{}{ERROR:#}", printable(line))?;
        }
        Ok(())
    }

    /// An indented line about what was shown.
    pub(super) fn remark(&mut self, tone: Tone, text: &str) -> Result<(), Stopped> {
        let style = match tone {
            Tone::Good => GOOD,
            Tone::Bad => BAD,
            Tone::Faint => FAINT,
        };
        writeln!(self.0, "    {style}{}{style:#}", printable(text))?;
        Ok(())
    }
}

/// A number with its thousands apart: `10,000,000`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for at in (first..digits.len()).step_by(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&digits[at..at + 3]);
    }
    text
}

/// The beginning of a digest: enough to compare by eye.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_apart() {
        let counts = [0, 999, 1000, 10_000_000, 123_456].map(super::count);
        assert_eq!(counts, ["0", "999", "1,000", "10,000,000", "123,456"]);
    }
}
