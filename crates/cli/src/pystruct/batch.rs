//! `unglue struct --batch`: requests as JSON lines in, answers as JSON lines out.

use std::io::{BufRead, BufReader, Read, Write};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use unglue_struct::{Error, Format, Python, Value, Values};

use super::Failure;
use super::json::{Given, from_hex, to_hex, to_json};

/// One line of the input. What a field means depends on the operation.
#[derive(Deserialize)]
struct Request<'a> {
    op: Operation,
    format: String,
    #[serde(borrow, default)]
    values: Vec<&'a RawValue>,
    hex: Option<String>,
    /// Missing is not `null`: Python has words for either.
    #[serde(borrow, default, deserialize_with = "given")]
    offset: Option<&'a RawValue>,
}

fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Pack,
    PackInto,
    Unpack,
    UnpackFrom,
    IterUnpack,
    Calcsize,
}

/// One line of the output.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Hex(String),
    Values(Vec<serde_json::Value>),
    Size(usize),
    Error(Fault),
}

/// Why a request has no result: the exception that Python raises, or a line that is no request.
#[derive(Serialize)]
struct Fault {
    r#type: &'static str,
    message: String,
}

impl Fault {
    /// The type of the error for a line that is no request.
    const BAD_REQUEST: &'static str = "BadRequest";

    fn new(r#type: &'static str, message: impl Into<String>) -> Fault {
        Fault { r#type, message: message.into() }
    }

    fn bad_request(message: impl Into<String>) -> Fault {
        Fault::new(Fault::BAD_REQUEST, message)
    }

    fn is_bad_request(&self) -> bool {
        self.r#type == Fault::BAD_REQUEST
    }
}

/// Answers every line of `input`. Answers come as soon as the input has none waiting, so that a program
/// can ask and wait.
///
/// `output` has a buffer, which is flushed then.
pub(super) fn run(input: impl Read, mut output: impl Write, python: Python) -> Result<(), Failure> {
    let mut input = BufReader::new(input);
    let mut bad_requests = 0_u64;
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).map_err(Failure::Read)? > 0 {
        if !line.trim_ascii().is_empty() {
            let answer = answer(&line, python);
            bad_requests += u64::from(matches!(&answer, Answer::Error(fault) if fault.is_bad_request()));
            writeln!(output, "{}", to_line(&answer)).map_err(Failure::Write)?;
        }
        if input.buffer().is_empty() {
            output.flush().map_err(Failure::Write)?;
        }
        line.clear();
    }
    output.flush().map_err(Failure::Write)?;
    match bad_requests {
        0 => Ok(()),
        count => Err(Failure::Usage(format!(
            "lines of the batch that were no requests: {count}. Their answers say what is wrong with each."
        ))),
    }
}

/// The line that answers `unpack`.
pub(super) fn values_line(values: Values<'_, '_>) -> String {
    to_line(&Answer::Values(values.map(to_json).collect()))
}

fn to_line(answer: &Answer) -> String {
    // Nothing in an answer can fail to be JSON: its keys are fixed, its floats are finite.
    serde_json::to_string(answer).unwrap_or_default()
}

fn answer(line: &[u8], python: Python) -> Answer {
    let request = serde_json::from_slice::<Request<'_>>(line).map_err(|error| Fault::bad_request(error.to_string()));
    request.and_then(|request| request.answer(python)).unwrap_or_else(Answer::Error)
}

impl Request<'_> {
    fn answer(&self, python: Python) -> Result<Answer, Fault> {
        let raised = |error: Error| Fault::new(error.exception().name(), error.says(python).to_string());
        let format = Format::parse(&self.format).map_err(raised)?;
        match self.op {
            Operation::Calcsize => Ok(Answer::Size(format.size())),
            Operation::Pack => self.pack(&format, raised),
            Operation::PackInto => self.pack_into(&format, raised),
            Operation::Unpack => format.unpack(&self.bytes()?).map(to_answer).map_err(raised),
            Operation::UnpackFrom => {
                let (bytes, offset) = (self.bytes()?, self.offset()?.unwrap_or(0));
                format.unpack_from(&bytes, offset).map(to_answer).map_err(raised)
            }
            Operation::IterUnpack => {
                let bytes = self.bytes()?;
                let records = format.iter_unpack(&bytes).map_err(raised)?;
                Ok(Answer::Values(records.map(|record| record.map(to_json).collect()).collect()))
            }
        }
    }

    fn pack(&self, format: &Format, raised: impl Fn(Error) -> Fault) -> Result<Answer, Fault> {
        let given = self.given()?;
        let values: Vec<Value<'_>> = given.iter().map(Given::value).collect();
        super::pack(format, &values).map(|record| Answer::Hex(to_hex(&record))).map_err(raised)
    }

    /// The number of values is checked first, then the buffer, the offset, the place, as CPython does it.
    fn pack_into(&self, format: &Format, raised: impl Fn(Error) -> Fault) -> Result<Answer, Fault> {
        let missing = |what| Fault::new("struct.error", format!("pack_into expected {what} argument"));
        let hex = self.hex.as_ref().ok_or_else(|| missing("buffer"))?;
        let given = self.given()?;
        let values: Vec<Value<'_>> = given.iter().map(Given::value).collect();
        if self.offset.is_some() && values.len() != format.len() {
            let call = unglue_struct::Call::PackInto;
            return Err(raised(Error::ItemCount { call, expected: format.len(), got: values.len() }));
        }
        let offset = self.offset()?.ok_or_else(|| missing("offset"))?;
        let mut buffer = from_hex(hex.as_bytes()).map_err(Fault::bad_request)?;
        format.pack_into(&mut buffer, offset, &values).map_err(raised)?;
        Ok(Answer::Hex(to_hex(&buffer)))
    }

    fn given(&self) -> Result<Vec<Given<'_>>, Fault> {
        self.values.iter().map(|raw| Given::read(raw).map_err(Fault::bad_request)).collect()
    }

    fn bytes(&self) -> Result<Vec<u8>, Fault> {
        let hex = self.hex.as_ref().ok_or_else(|| Fault::bad_request("\"hex\" is missing"))?;
        from_hex(hex.as_bytes()).map_err(Fault::bad_request)
    }

    /// The offset, with the exceptions that Python raises for what is none.
    fn offset(&self) -> Result<Option<isize>, Fault> {
        let Some(raw) = self.offset else {
            return Ok(None);
        };
        let type_name = match Given::read(raw).map_err(Fault::bad_request)? {
            Given::Int(number) => return isize::try_from(number).map(Some).map_err(|_| self.offset_too_large()),
            Given::Bool(truth) => return Ok(Some(truth.into())),
            Given::BigInt(_) => return Err(self.offset_too_large()),
            Given::Float(_) => "float",
            Given::Bytes(_) => "bytes",
            Given::Other { type_name, .. } => type_name,
        };
        Err(Fault::new("TypeError", format!("'{type_name}' object cannot be interpreted as an integer")))
    }

    fn offset_too_large(&self) -> Fault {
        match self.op {
            Operation::PackInto => Fault::new("IndexError", "cannot fit 'int' into an index-sized integer"),
            _ => Fault::new("OverflowError", "Python int too large to convert to C ssize_t"),
        }
    }
}

fn to_answer(values: Values<'_, '_>) -> Answer {
    Answer::Values(values.map(to_json).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(requests: &str) -> String {
        let mut output = Vec::new();
        let result = run(requests.as_bytes(), &mut output, Python::default());
        let told = if result.is_ok() { "" } else { "(bad requests)" };
        String::from_utf8(output).unwrap() + told
    }

    fn error(request: &str) -> (String, String) {
        let answer: serde_json::Value = serde_json::from_str(&answers(request)).unwrap();
        let part = |name| answer["error"][name].as_str().unwrap().to_owned();
        (part("type"), part("message"))
    }

    #[test]
    fn each_operation_answers_in_its_own_form() {
        let cases = [
            (r#"{"op":"pack","format":"<Ie","values":[1,0.5]}"#, r#"{"hex":"010000000038"}"#),
            (r#"{"op":"pack","format":">2s?c","values":[{"hex":"Ff"},true,{"hex":"00"}]}"#, r#"{"hex":"ff000100"}"#),
            (r#"{"op":"unpack","format":"<Ie","hex":"010000000038"}"#, r#"{"values":[1,0.5]}"#),
            (r#"{"op":"unpack","format":"?2s","hex":"026162"}"#, r#"{"values":[true,{"hex":"6162"}]}"#),
            (r#"{"op":"calcsize","format":"xi"}"#, r#"{"size":8}"#),
            (r#"{"op":"unpack_from","format":"B","hex":"010203","offset":-1}"#, r#"{"values":[3]}"#),
            (r#"{"op":"unpack_from","format":"B","hex":"010203"}"#, r#"{"values":[1]}"#),
            (r#"{"op":"iter_unpack","format":">H","hex":"00010002"}"#, r#"{"values":[[1],[2]]}"#),
            (r#"{"op":"pack_into","format":"B","hex":"aabbcc","offset":1,"values":[1]}"#, r#"{"hex":"aa01cc"}"#),
        ];
        for (request, answer) in cases {
            assert_eq!(answers(request), format!("{answer}\n"), "{request}");
        }
    }

    #[test]
    fn numbers_lose_nothing_on_the_way() {
        let request = r#"{"op":"pack","format":">Qqddd","values":[18446744073709551615,-9223372036854775808,"inf","nan",1e-400]}"#;
        let packed = r#"{"hex":"ffffffffffffffff80000000000000007ff00000000000007ff80000000000000000000000000000"}"#;
        assert_eq!(answers(request), format!("{packed}\n"));
        let request = r#"{"op":"unpack","format":">Qqdd","hex":"ffffffffffffffff8000000000000000fff00000000000007ff8000000000001"}"#;
        let unpacked = r#"{"values":[18446744073709551615,-9223372036854775808,"-inf","nan"]}"#;
        assert_eq!(answers(request), format!("{unpacked}\n"));
    }

    #[test]
    fn an_offset_that_is_none_gets_pythons_words() {
        let cases = [
            ("null", "TypeError", "'NoneType' object cannot be interpreted as an integer"),
            ("1.0", "TypeError", "'float' object cannot be interpreted as an integer"),
            (r#""1""#, "TypeError", "'str' object cannot be interpreted as an integer"),
            ("9223372036854775808", "OverflowError", "Python int too large to convert to C ssize_t"),
            ("-4", "struct.error", "offset -4 out of range for 3-byte buffer"),
        ];
        for (offset, kind, message) in cases {
            let request = format!(r#"{{"op":"unpack_from","format":"B","hex":"010203","offset":{offset}}}"#);
            assert_eq!(error(&request), (kind.to_owned(), message.to_owned()));
        }
        let request = r#"{"op":"pack_into","format":"B","hex":"00","offset":9223372036854775808,"values":[1]}"#;
        assert_eq!(error(request).0, "IndexError");
    }

    #[test]
    fn a_line_that_is_no_request_is_told_and_the_rest_is_answered() {
        let requests =
            "nonsense\n\n{\"op\":\"calcsize\",\"format\":\"i\"}\n{\"op\":\"unpack\",\"format\":\"i\",\"hex\":\"0\"}";
        let answers = answers(requests);
        let lines: Vec<_> = answers.lines().collect();
        assert!(lines[0].contains("BadRequest"));
        assert_eq!(lines[1], r#"{"size":4}"#);
        assert!(lines[2].contains("odd number"));
        assert_eq!(lines[3], "(bad requests)");
    }

    #[test]
    fn a_record_too_large_to_answer_is_refused_before_it_is_made() {
        assert_eq!(error(r#"{"op":"pack","format":"999999999999x"}"#).0, "MemoryError");
    }
}
