//! One line of a list: a JSON object that describes a command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use unglue::{Exec, Octets, new_id};

use crate::args::span::parse_timeout;

/// A command of a list.
#[derive(Debug)]
pub(super) struct Job {
    /// The number of its line, from 1 on.
    pub(super) line: u64,
    /// The id that it was given, which others may need.
    pub(super) given: Option<String>,
    /// The id that it runs under.
    pub(super) id: String,
    pub(super) exec: Exec,
    pub(super) stdin: Option<Bytes>,
    /// The ids that must have succeeded first.
    pub(super) needs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    argv: Vec<Octets>,
    id: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Octets>,
    cwd: Option<Octets>,
    timeout: Option<Limit>,
    stdin: Option<Octets>,
    #[serde(default)]
    needs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Limit {
    Seconds(f64),
    Span(String),
}

impl Limit {
    fn span(&self) -> Result<Duration, String> {
        let span = match self {
            Limit::Seconds(seconds) => parse_timeout(&seconds.to_string()),
            Limit::Span(text) => parse_timeout(text),
        };
        span.map_err(|why| format!("timeout: {why}"))
    }
}

/// Reads a line; `None` if it is empty.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: u64, text: &[u8]) -> Result<Option<Job>, String> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with(b"{") {
        return Err("it is not an object".into());
    }
    let typed: Typed = serde_json::from_slice(text).map_err(|error| json_error(&error))?;
    if typed.argv.first().is_none_or(|program| program.as_bytes().is_empty()) {
        return Err("argv has no program".into());
    }
    if let Some(name) = typed.env.keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(format!("env: {name:?} can't be the name of a variable"));
    }
    if typed.id.as_ref().is_some_and(String::is_empty) {
        return Err("the id is empty".into());
    }
    let mut exec = Exec::new(typed.argv.into_iter().map(OsString::from));
    for (name, value) in typed.env {
        exec = exec.env(name, value);
    }
    if let Some(cwd) = typed.cwd {
        exec = exec.cwd(OsString::from(cwd));
    }
    if let Some(limit) = typed.timeout {
        exec = exec.timeout(limit.span()?);
    }
    if typed.stdin.is_some() {
        exec = exec.with_stdin();
    }
    let (exec, id) = match &typed.id {
        Some(id) => (exec.id(id), id.clone()),
        None => {
            let id = new_id();
            (exec.fresh_id(&id), id)
        }
    };
    let stdin = typed.stdin.map(|stdin| Bytes::from(stdin.0));
    Ok(Some(Job { line, given: typed.id, id, exec, stdin, needs: typed.needs }))
}

/// What serde_json says, whose own line is always the first.
fn json_error(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = br#" {"argv":["sh",{"base64":"/w=="}],"id":"a","env":{"A":"b"},"cwd":"d","timeout":1.5,"stdin":"x","needs":["b"]} "#;
        let job = parse(3, line).expect("it is right").expect("a job");
        assert_eq!((job.line, job.id.as_str(), job.given.as_deref()), (3, "a", Some("a")));
        assert_eq!((job.stdin.as_deref(), job.needs.as_slice()), (Some(&b"x"[..]), &["b".to_owned()][..]));
        assert!(parse(1, b"  \r").expect("nothing").is_none());
        let unnamed = parse(1, br#"{"argv":["true"],"timeout":"2m"}"#).expect("right").expect("a job");
        assert!(unnamed.given.is_none() && !unnamed.id.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, why) in [
            ("{", "EOF"),
            ("[]", "not an object"),
            ("{}", "missing field `argv`"),
            (r#"{"argv":[]}"#, "argv has no program"),
            (r#"{"argv":[""]}"#, "argv has no program"),
            (r#"{"argv":["x"],"agrv":1}"#, "unknown field `agrv`"),
            (r#"{"argv":["x"],"timeout":"soon"}"#, "timeout"),
            (r#"{"argv":["x"],"timeout":0}"#, "timeout"),
            (r#"{"argv":["x"],"env":{"A=B":"c"}}"#, "A=B"),
            (r#"{"argv":["x"],"id":""}"#, "the id is empty"),
            (r#"{"argv":["x"]} {"argv":["y"]}"#, "trailing characters"),
        ] {
            let error = parse(1, text.as_bytes()).expect_err(text);
            assert!(error.contains(why) && !error.contains("line 1"), "{text}: {error}");
        }
    }
}
