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
    let mut value: Value = serde_json::from_slice(line).map_err(|error| format!("it is no JSON: {error}"))?;
    let fields = match value["fields"].take() {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return Err("its fields are no object".into()),
    };
    let data = match (&value["data"]["text"], &value["data"]["base64"]) {
        (Value::String(text), Value::Null) => text.clone().into_bytes(),
        (Value::Null, Value::String(text)) => {
            BASE64_STANDARD.decode(text).map_err(|error| format!("its base64 is wrong: {error}"))?
        }
        _ => return Err(r#"its data must be {"text": …} or {"base64": …}"#.into()),
    };
    Ok(Message { fields, data, piece: !value["left"].is_null() })
}
