//! What an event looks like: one line, text or JSON.
//!
//! ```text
//! 2026-11-26T01:06:05.123456Z  INFO event="accepted" peer="192.0.2.1:50000" key="SHA256:…"
//! {"timestamp":"2026-11-26T01:06:05.123456Z","level":"INFO","event":"accepted","peer":"192.0.2.1:50000","key":"SHA256:…"}
//! ```
//!
//! In both, a value is JSON: a number, `true`, `false`, or a quoted string. A peer that chooses the text of a value can't end it, so one event
//! can't pass for another. A value ends after [`LONGEST`] bytes; `NAME_cut` has then the number of bytes that were left out.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::printable::misleads;

/// The longest value, in bytes of its JSON form without the quotes.
const LONGEST: usize = 400;

/// The form of the lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    /// JSON objects, rather than text.
    pub(super) json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = self.begin(*event.metadata().level());
        event.record(&mut line);
        out.write_str(&line.end())
    }
}

impl Lines {
    /// The line that reports lost ones.
    pub(super) fn dropped(self, lines: u64) -> String {
        let mut line = self.begin(Level::WARN);
        line.string("event", "log_lines_dropped");
        line.plain("lines", lines);
        line.end()
    }

    fn begin(self, level: Level) -> Line {
        let mut time = String::new();
        // A string takes everything.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let text = match self.json {
            true => format!("{{\"timestamp\":\"{time}\",\"level\":\"{level}\""),
            false => format!("{time} {level:>5}"),
        };
        Line { text, json: self.json }
    }
}

/// A line in the making.
struct Line {
    text: String,
    json: bool,
}

impl Line {
    fn name(&mut self, name: &str) {
        // Writing to a string can't fail, here and below.
        let _ = match self.json {
            true => write!(self.text, ",\"{name}\":"),
            false => write!(self.text, " {name}="),
        };
    }

    fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.text, "{value}");
    }

    fn string(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        self.text.push('"');
        let mut quoted = Quoted { end: self.text.len() + LONGEST, line: &mut self.text, cut: 0 };
        let _ = write!(quoted, "{value}");
        let cut = quoted.cut;
        self.text.push('"');
        if cut > 0 {
            self.plain(&format!("{name}_cut"), cut);
        }
    }

    fn end(mut self) -> String {
        self.text.push_str(if self.json { "}\n" } else { "\n" });
        self.text
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.string(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.plain(field.name(), value),
            false => self.string(field.name(), value),
        }
    }
}

/// The inside of a JSON string (RFC 8259, section 7), up to a length. What acts on a terminal is escaped, too.
struct Quoted<'a> {
    line: &'a mut String,
    /// The length of the line at which the string is full.
    end: usize,
    /// How many bytes of the value were left out.
    cut: usize,
}

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.find(is_escaped).unwrap_or(rest.len());
            let kept = boundary(rest, plain.min(self.room()));
            self.line.push_str(&rest[..kept]);
            rest = &rest[kept..];
            let Some(c) = rest.chars().next() else { break };
            let escaped = if kept == plain { escape(c) } else { String::new() };
            if escaped.is_empty() || escaped.len() > self.room() {
                self.cut += rest.len();
                break;
            }
            self.line.push_str(&escaped);
            rest = &rest[c.len_utf8()..];
        }
        Ok(())
    }
}

impl Quoted<'_> {
    /// How many bytes may still follow.
    fn room(&self) -> usize {
        if self.cut > 0 { 0 } else { self.end - self.line.len() }
    }
}

/// The last boundary of characters up to this place.
fn boundary(text: &str, place: usize) -> usize {
    (0..=place).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\') || misleads(c)
}

fn escape(c: char) -> String {
    match c {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: bool, name: &str, value: &str) -> String {
        let mut line = Lines { json }.begin(Level::INFO);
        line.string(name, value);
        line.end()
    }

    fn object(line: &str) -> serde_json::Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn every_character_is_valid_json_and_comes_back() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            if !c.is_ascii() && !misleads(c) && !(c as u32).is_multiple_of(61) {
                continue;
            }
            let value = format!("a{c}b");
            let line = line(true, "why", &value);
            assert_eq!(line.lines().count(), 1, "{c:?}");
            assert_eq!(object(&line)["why"], value.as_str(), "{c:?}");
            let inside = line.strip_suffix('\n').expect("a line");
            assert!(!inside.chars().any(misleads), "{inside:?}");
        }
    }

    #[test]
    fn a_value_can_not_pass_for_another_event() {
        let value = "x\" event=\"accepted\" peer=\"192.0.2.1:1\n2026-01-01T00:00:00Z  INFO event=\"accepted\"";
        let line = line(false, "why", value);
        assert_eq!(line.lines().count(), 1, "{line}");
        let quoted = line.split_once("why=").expect("the field").1;
        assert_eq!(serde_json::from_str::<String>(quoted).expect("one string to the end of the line"), value);
    }

    #[test]
    fn a_long_value_is_cut_and_the_rest_is_counted() {
        for (unit, escaped) in [("x", 1), ("\u{7f}", 6), ("\u{e9}", 2), ("\u{202e}", 6)] {
            let value = unit.repeat(100_000);
            let line = line(true, "why", &value);
            let object = object(&line);
            let kept = object["why"].as_str().expect("a string");
            assert_eq!(kept.len(), LONGEST / escaped * unit.len(), "{unit:?}");
            assert_eq!(object["why_cut"], value.len() - kept.len(), "{unit:?}");
            assert!(line.len() < 600, "{} bytes", line.len());
        }
        assert!(object(&line(true, "why", &"x".repeat(LONGEST))).get("why_cut").is_none());
    }

    #[test]
    fn lost_lines_are_reported() {
        let line = Lines { json: true }.dropped(3);
        let object = object(&line);
        assert_eq!((object["event"].as_str(), object["lines"].as_u64()), (Some("log_lines_dropped"), Some(3)));
        assert_eq!(object["level"], "WARN");
    }
}
