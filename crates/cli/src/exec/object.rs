//! The JSON object of `--json` and `--outcome`: how a command ended, where it can't be confused with what it printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use unglue::{Exit, Explained, Left, Outcome, Report, StreamEnd, StreamReport};

/// The whole object. Every field is always there; `null` means that it isn't known, or doesn't apply.
#[derive(Debug, Serialize)]
pub(crate) struct Object<'a> {
    /// The operation's id; `null` if it didn't come to an operation.
    id: Option<&'a str>,
    outcome: OutcomeObject<'a>,
    stdout: Option<OutputObject<'a>>,
    stderr: Option<OutputObject<'a>>,
    stdin: Option<OutputObject<'a>>,
    descendants: Option<&'a Left>,
    /// From the request to the outcome, in milliseconds.
    wall_ms: f64,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<&'a Explained>,
}

/// An outcome as docs/cli.md has it: a command's own end has no key around it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum OutcomeObject<'a> {
    Exited { exited: u8 },
    Signalled { signalled: &'a str, core: bool },
    NotKept { not_kept: Box<OutcomeObject<'a>> },
    Ended(&'a Exit),
    Other(&'a Outcome),
}

#[derive(Debug, Serialize)]
struct OutputObject<'a> {
    bytes: u64,
    blake3: &'a str,
    end: &'a StreamEnd,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
    /// The cap, in bytes, if `data` was cut there.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_cut_at: Option<u64>,
}

/// Bytes in JSON: text where they are UTF-8.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Data {
    Text(String),
    Base64(String),
}

impl Data {
    /// These bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Data {
        match String::from_utf8(bytes) {
            Ok(text) => Data::Text(text),
            Err(error) => Data::Base64(STANDARD.encode(error.into_bytes())),
        }
    }
}

/// The first bytes of an output, up to a cap.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    data: Vec<u8>,
    cap: u64,
    cut: bool,
}

impl Kept {
    /// Nothing yet, and at most `cap` bytes.
    pub(crate) fn up_to(cap: u64) -> Kept {
        Kept { data: Vec::new(), cap, cut: false }
    }

    /// Takes what still has room.
    pub(crate) fn take(&mut self, data: &[u8]) {
        let room = usize::try_from(self.cap - self.data.len() as u64).unwrap_or(usize::MAX);
        self.data.extend_from_slice(&data[..data.len().min(room)]);
        self.cut |= data.len() > room;
    }

    fn into_data(mut self) -> Data {
        if self.cut {
            self.data.truncate(whole_characters(&self.data));
        }
        Data::of(self.data)
    }
}

/// How many bytes there are without a character that the cap has cut in two.
fn whole_characters(data: &[u8]) -> usize {
    match std::str::from_utf8(data) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => data.len(),
    }
}

impl<'a> Object<'a> {
    /// The object of a report. `kept` is the beginning of standard output and standard error, if it belongs in there.
    pub(crate) fn new(id: Option<&'a str>, report: &'a Report, kept: Option<(Kept, Kept)>) -> Object<'a> {
        let (stdout, stderr) = kept.map_or((None, None), |(stdout, stderr)| (Some(stdout), Some(stderr)));
        Object {
            id,
            outcome: OutcomeObject::from(&report.outcome),
            stdout: report.stdout.as_ref().map(|stream| OutputObject::new(stream, stdout)),
            stderr: report.stderr.as_ref().map(|stream| OutputObject::new(stream, stderr)),
            stdin: report.stdin.as_ref().map(|stream| OutputObject::new(stream, None)),
            descendants: report.descendants.as_ref(),
            wall_ms: report.wall_us as f64 / 1000.0,
            explained: None,
        }
    }

    /// With what the streams waited for.
    pub(crate) fn explained(self, explained: Option<&'a Explained>) -> Object<'a> {
        Object { explained, ..self }
    }

    /// The object on one line, with its line end.
    pub(crate) fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

impl<'a> From<&'a Outcome> for OutcomeObject<'a> {
    fn from(outcome: &'a Outcome) -> OutcomeObject<'a> {
        match outcome {
            Outcome::Ended(Exit::Exited(code)) => OutcomeObject::Exited { exited: *code },
            Outcome::Ended(Exit::Signalled(by)) => OutcomeObject::Signalled { signalled: &by.signal, core: by.core },
            Outcome::Ended(exit) => OutcomeObject::Ended(exit),
            Outcome::NotKept(before) => OutcomeObject::NotKept { not_kept: Box::new(OutcomeObject::from(&**before)) },
            outcome => OutcomeObject::Other(outcome),
        }
    }
}

impl<'a> OutputObject<'a> {
    fn new(stream: &'a StreamReport, kept: Option<Kept>) -> OutputObject<'a> {
        let data_cut_at = kept.as_ref().filter(|kept| kept.cut).map(|kept| kept.cap);
        let data = kept.map(Kept::into_data);
        OutputObject { bytes: stream.tally.bytes, blake3: &stream.tally.blake3, end: &stream.end, data, data_cut_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue::Tally;

    fn kept(cap: u64, pieces: &[&[u8]]) -> Kept {
        let mut kept = Kept::up_to(cap);
        pieces.iter().for_each(|piece| kept.take(piece));
        kept
    }

    #[test]
    fn text_stays_text_and_bytes_become_base64() {
        assert_eq!(kept(10, &[b"na\xc3", b"\xafve"]).into_data(), Data::Text("naïve".into()));
        assert_eq!(kept(10, &[b"\xff"]).into_data(), Data::Base64("/w==".into()));
        assert_eq!(kept(10, &[b"\xc3"]).into_data(), Data::Base64("ww==".into()), "cut by the command, not by us");
    }

    #[test]
    fn a_cut_is_reported_and_splits_no_character() {
        let kept = kept(3, &[b"na\xc3\xafve"]);
        assert!(kept.cut);
        assert_eq!(kept.into_data(), Data::Text("na".into()));
    }

    #[test]
    fn an_end_has_its_documented_form() {
        let killed = Exit::signalled("SIGKILL", false);
        let json = |outcome| serde_json::to_string(&OutcomeObject::from(&outcome)).expect("it serialises");
        assert_eq!(json(Outcome::Ended(killed)), r#"{"signalled":"SIGKILL","core":false}"#);
        let later = r#"{"suspended":{"until":"noon"}}"#;
        assert_eq!(json(serde_json::from_str(later).expect("an outcome")), later);
    }

    #[test]
    fn the_object_has_the_documented_form() {
        let stream = |bytes| StreamReport { tally: Tally { bytes, blake3: "ab".into() }, end: StreamEnd::Eof };
        let report = Report {
            outcome: Outcome::exited(3),
            stdout: Some(stream(5)),
            stderr: Some(stream(0)),
            stdin: None,
            descendants: Some(Left::None),
            wall_us: 1500,
            sent: None,
        };
        let object = Object::new(Some("i"), &report, Some((kept(2, &[b"hello"]), kept(2, &[]))));
        let line = String::from_utf8(object.to_line().expect("it serialises")).expect("UTF-8");
        let expected = concat!(
            r#"{"id":"i","outcome":{"exited":3},"stdout":{"bytes":5,"blake3":"ab","end":"eof","data":{"text":"he"},"#,
            r#""data_cut_at":2},"stderr":{"bytes":0,"blake3":"ab","end":"eof","data":{"text":""}},"#,
            r#""stdin":null,"descendants":"none","wall_ms":1.5}"#,
            "\n"
        );
        assert_eq!(line, expected);
    }
}
