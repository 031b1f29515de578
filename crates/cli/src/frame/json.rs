//! Frames as lines of JSON, both ways.

use std::io::{self, Write};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use unglue_frame::{Frame, Part};

/// Writes a frame as a line.
pub(super) fn frame(out: &mut impl Write, frame: &Frame<'_>) -> io::Result<()> {
    let fields: Map<String, Value> = frame.fields().map(|(name, value)| (name.into(), value.into())).collect();
    let mut line = json!({ "offset": frame.offset(), "fields": fields, "data": data(frame.data()) });
    match frame.part() {
        Part::Whole => {}
        Part::Header { body } => line["body"] = body.into(),
        Part::Piece { left } => line["left"] = left.into(),
    }
    if frame.is_cut() {
        line["cut"] = true.into();
    }
    writeln!(out, "{line}")
}

/// Text where the bytes are UTF-8, else base64.
fn data(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

/// A message to encode.
pub(super) struct Message {
    pub(super) fields: Map<String, Value>,
    pub(super) data: Vec<u8>,
    /// A piece of a body: its bytes follow as they are.
    pub(super) piece: bool,
}

/// Reads a line as [`frame`] writes it; only `data` must be there.
pub(super) fn message(line: &[u8]) -> Result<Message, String> {
    let mut value: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("it is not a JSON object: {error}"))?;
    let fields = match value.remove("fields") {
        Some(Value::Object(fields)) => fields,
        None => Map::new(),
        Some(_) => return Err("its fields are no object".into()),
    };
    let data = value.get("data").map_or((None, None), |data| (data.get("text"), data.get("base64")));
    let data = match data {
        (Some(Value::String(text)), None) => text.clone().into_bytes(),
        (None, Some(Value::String(text))) => {
            BASE64_STANDARD.decode(text).map_err(|error| format!("its base64 is wrong: {error}"))?
        }
        _ => return Err(r#"its data must be {"text": …} or {"base64": …}"#.into()),
    };
    Ok(Message { fields, data, piece: value.contains_key("left") })
}

#[cfg(test)]
mod tests {
    use unglue_frame::{Deframer, Framing};

    use super::{frame, message};

    fn line_of(notation: &str, wire: &[u8]) -> String {
        let framing: Framing = notation.parse().expect("a notation");
        let (mut deframer, mut out) = (Deframer::new(framing), Vec::new());
        let found = deframer.decode(&mut &wire[..]).expect("good bytes").expect("a whole frame");
        frame(&mut out, &found).expect("a vector takes it");
        String::from_utf8(out).expect("JSON")
    }

    #[test]
    fn text_is_text_and_other_bytes_are_base64() {
        assert_eq!(
            line_of("kind:u8 len:u8 data[len]", b"\x07\x03a\"b"),
            "{\"data\":{\"text\":\"a\\\"b\"},\"fields\":{\"kind\":7,\"len\":3},\"offset\":0}\n"
        );
        assert!(line_of("u8", b"\x02\xff\xfe").contains(r#"{"base64":"//4="}"#));
        assert!(line_of("u8(max=1, toolong=cut)", b"\x02ab").contains(r#""cut":true"#));
    }

    #[test]
    fn what_decode_prints_encode_reads() {
        for wire in [&b"\x03abc"[..], b"\x02\xff\0", b"\0"] {
            let read = message(line_of("u8", wire).trim_end().as_bytes()).expect("its own line");
            assert_eq!((&read.data[..], read.piece), (&wire[1..], false));
        }
        for wrong in ["", "{}", "[]", r#"{"data":"x"}"#, r#"{"data":{"base64":"?"}}"#, r#"{"data":{"text":1}}"#] {
            assert!(message(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
