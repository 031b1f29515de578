//! Putting messages into frames.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use serde_json::{Map, Value};
use unglue_frame::{Enframer, Framing};

use super::{Failure, framing, input, json};
use crate::standard;

/// Write each line of a file as a frame.
#[derive(Debug, clap::Args)]
pub(super) struct Encode {
    /// Read lines of JSON, as decode --json writes them: {"fields": {…}, "data": {"text": …}}
    #[arg(long, conflicts_with = "whole")]
    json: bool,
    /// The whole file is one message, not each of its lines
    #[arg(long)]
    whole: bool,
    /// The value of a field; other fields are 0, or have the default of the framing
    #[arg(long = "field", value_name = "NAME=NUMBER", value_parser = field)]
    fields: Vec<(String, u64)>,
    /// The framing, such as u32be, lines or 'len:u16be type:u8 data[len]'
    notation: String,
    /// The file; - or nothing is stdin
    file: Option<PathBuf>,
}

fn field(text: &str) -> Result<(String, u64), String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=NUMBER")?;
    let number = number.parse().map_err(|error| format!("{number}: {error}"))?;
    Ok((name.into(), number))
}

impl Encode {
    pub(super) fn run(self) -> Result<(), Failure> {
        let framing = framing(&self.notation)?;
        let names: Vec<String> = framing.field_names().map(Into::into).collect();
        let values = self.values(&framing, &names)?;
        let (source, bytes) = input(self.file)?;
        let mut encoder =
            Encoder { enframer: Enframer::new(framing), names, values, wire: Vec::new(), out: standard::stdout() };
        let result = match (self.whole, self.json) {
            (true, _) => encoder.whole(bytes, &source),
            (_, json) => encoder.lines(bytes, &source, json),
        };
        encoder.out.flush().map_err(Failure::Write)?;
        result
    }

    fn values(&self, framing: &Framing, names: &[String]) -> Result<Vec<u64>, Failure> {
        let mut values: Vec<u64> = (0..names.len()).map(|index| framing.default_field(index)).collect();
        for (name, value) in &self.fields {
            let index = names.iter().position(|known| known == name);
            values[index.ok_or_else(|| no_field(name, names))?] = *value;
        }
        Ok(values)
    }
}

fn no_field(name: &str, names: &[String]) -> Failure {
    let known = if names.is_empty() { "no fields".into() } else { format!("the fields {}", names.join(", ")) };
    Failure::Usage(format!("the framing has no field {name} to set. It has {known}."))
}

struct Encoder<W: Write> {
    enframer: Enframer,
    names: Vec<String>,
    /// The fields' values where a message doesn't say them.
    values: Vec<u64>,
    wire: Vec<u8>,
    out: W,
}

impl<W: Write> Encoder<W> {
    fn whole(&mut self, mut bytes: impl Read, source: &str) -> Result<(), Failure> {
        let mut data = Vec::new();
        bytes.read_to_end(&mut data).map_err(|error| Failure::Read(source.into(), error))?;
        self.put(&self.values.clone(), &data, "the input")
    }

    fn lines(&mut self, bytes: impl Read, source: &str, json: bool) -> Result<(), Failure> {
        let mut lines = BufReader::new(bytes);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if !lines.buffer().contains(&b'\n') {
                // The next line may be long in coming.
                self.out.flush().map_err(Failure::Write)?;
            }
            let read = lines.read_until(b'\n', &mut line).map_err(|error| Failure::Read(source.into(), error))?;
            if read == 0 {
                break;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let place = format!("line {number} of {source}");
            if json { self.json_line(text, &place)? } else { self.put(&self.values.clone(), text, &place)? }
        }
        Ok(())
    }

    fn json_line(&mut self, line: &[u8], place: &str) -> Result<(), Failure> {
        let message = json::message(line).map_err(|reason| Failure::Message(format!("{place}: {reason}.")))?;
        if message.piece {
            return self.out.write_all(&message.data).map_err(Failure::Write);
        }
        let fields = self.fields_of(&message.fields, place)?;
        self.put(&fields, &message.data, place)
    }

    /// The fields in the framing's order. Others, such as the length that decoding shows, are left to it.
    fn fields_of(&self, given: &Map<String, Value>, place: &str) -> Result<Vec<u64>, Failure> {
        let mut values = self.values.clone();
        for (value, name) in values.iter_mut().zip(&self.names) {
            match given.get(name) {
                None => {}
                Some(number) => {
                    let wrong =
                        || Failure::Message(format!("{place}: its field {name} is not a whole number of 0 or more."));
                    *value = number.as_u64().ok_or_else(wrong)?;
                }
            }
        }
        Ok(values)
    }

    fn put(&mut self, fields: &[u64], data: &[u8], place: &str) -> Result<(), Failure> {
        self.wire.clear();
        let encoded = self.enframer.encode(fields, data, &mut self.wire);
        encoded.map_err(|error| Failure::Message(format!("{place}: {error}.")))?;
        self.out.write_all(&self.wire).map_err(Failure::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_a_name_and_a_number() {
        assert_eq!(field("kind=7"), Ok(("kind".into(), 7)));
        assert!(field("kind").is_err());
        assert!(field("kind=-1").is_err());
    }
}
