//! Logs: one line for each event, on standard error, with nothing in it that could act on a terminal or break the line.

use std::io::{self, Write};

use tracing::Level;

/// Names the level of the log: `error`, `warn`, `info`, `debug`, `trace`.
const VARIABLE: &str = "UNGLUE_LOG";

/// Starts a server's log: from `info` on, unless the variable says otherwise.
pub(crate) fn start_server_log(json: bool) {
    start(level().unwrap_or(Level::INFO), json);
}

/// Starts a client's log, if the variable asks for one.
pub(crate) fn start_client_log() {
    if let Some(level) = level() {
        start(level, false);
    }
}

fn level() -> Option<Level> {
    std::env::var(VARIABLE).ok()?.parse().ok()
}

fn start(level: Level, json: bool) {
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_writer(|| OneLine).with_target(false).with_ansi(false);
    // There is only one; a second would be a bug, and the first goes on.
    let _ = match json {
        true => tracing::subscriber::set_global_default(log.json().flatten_event(true).finish()),
        false => tracing::subscriber::set_global_default(log.finish()),
    };
}

/// Standard error, for whole lines: what a peer says may hold anything.
struct OneLine;

impl Write for OneLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(escaped(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn escaped(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    crate::complaint::printable(&text) + "\n"
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_event_stays_on_its_line() {
        assert_eq!(super::escaped(b"a\nb\x1b[31m\n"), "a\\nb\\u{1b}[31m\n");
        assert_eq!(super::escaped("naïve\n".as_bytes()), "naïve\n");
    }
}
