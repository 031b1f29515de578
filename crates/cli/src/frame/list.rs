//! What can be named: presets, protocols, and the parts of a layout.

use std::io::{self, Write};

use unglue_frame::{Preset, Protocol, presets, protocols};

use super::Failure;
use crate::standard;

/// List the framings and protocols that have a name, with a frame of each protocol, and the syntax of layouts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unglue frame list              all of them
  unglue frame list redis http   those with one of these words in their name, notation or meaning
  unglue frame list --json mqtt  one JSON array; a protocol has an example frame in hex")]
pub(super) struct List {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    /// List only those that contain one of these words
    words: Vec<String>,
}

const LAYOUTS: &str = "
A layout lists the parts of a frame in the order of the wire:
  name:INT       a number: u8, u16be, u16le, u24… to u64…, varint, varint(4), varint(padded); in digits hex(4), oct(11),
                 dec(6), or hex, oct, dec with a fixed byte after them
  0f, ff*16      bytes that must be there, in hex
  _, _*3         unused bytes
  data[len]      the message, as long as the number len gives; data[len-4] if len counts four bytes more
                 data[len*4] counts units of 4 bytes; data[len&fff] has the length in some bits of len; last|len:u32be
                 names the others
  pad[p]         as many unused bytes as the number p gives
  sum8           a checksum over the data; also crc16, crc16-modbus, crc16-xmodem, crc16-x25, crc32, crc32c;
                 crc32(all,le) covers all bytes before it and has its lowest byte first; crc32(from=type,to=data)
Examples: \"flag:u8 len:u32be data[len]\" (gRPC), \"tag:u8 len:u32be data[len-4]\" (PostgreSQL)
Options in parentheses: max=BYTES (default 8M), incl (the length counts itself), toolong=fail|skip|cut,
  empty=allow|deny, last=allow|deny (of lines and delimiters); such as u32be(max=1M, incl)";

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let presets: Vec<&Preset> =
            presets().iter().filter(|preset| self.wants(&[preset.notation, preset.meaning])).collect();
        let protocols: Vec<&Protocol> = protocols().iter().filter(|protocol| self.wants(&texts(protocol))).collect();
        if presets.is_empty() && protocols.is_empty() {
            return Err(Failure::Message(format!(
                "nothing has {} in its name, notation or meaning. Without words, unglue frame list shows all there is.",
                self.words.join(" or ")
            )));
        }
        let mut out = standard::stdout();
        let written = match self.json {
            true => writeln!(out, "{}", json(&presets, &protocols)),
            false => table(&mut out, &presets, &protocols, self.words.is_empty()),
        };
        written.and_then(|()| out.flush()).map_err(Failure::Write)
    }

    fn wants(&self, texts: &[&str]) -> bool {
        let has = |word: &String| {
            let word = word.to_lowercase();
            texts.iter().any(|text| text.to_lowercase().contains(&word))
        };
        self.words.is_empty() || self.words.iter().any(has)
    }
}

fn texts(protocol: &Protocol) -> [&str; 3] {
    [protocol.name, protocol.notation.unwrap_or_default(), protocol.meaning]
}

fn table(out: &mut impl Write, presets: &[&Preset], protocols: &[&Protocol], all: bool) -> io::Result<()> {
    for preset in presets {
        writeln!(out, "  {:<26} {}", preset.notation, preset.meaning)?;
    }
    if !protocols.is_empty() {
        let space = if presets.is_empty() { "" } else { "\n" };
        writeln!(
            out,
            "{space}Protocols, each with the notation that it stands for, if one can say it, and a frame in hex:"
        )?;
    }
    for protocol in protocols {
        writeln!(out, "  {:<15} {}", protocol.name, protocol.meaning)?;
        if let Some(notation) = protocol.notation {
            writeln!(out, "  {:<15} {notation}", "")?;
        }
        writeln!(out, "  {:<15} {}", "", hex(protocol.example))?;
    }
    if all { writeln!(out, "{LAYOUTS}") } else { Ok(()) }
}

fn json(presets: &[&Preset], protocols: &[&Protocol]) -> serde_json::Value {
    let presets =
        presets.iter().map(|preset| serde_json::json!({"notation": preset.notation, "meaning": preset.meaning}));
    let protocols = protocols.iter().map(|protocol| {
        serde_json::json!({
            "notation": protocol.name, "meaning": protocol.meaning, "stands_for": protocol.notation,
            "example_hex": hex(protocol.example),
        })
    });
    presets.chain(protocols).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> List {
        List { json: false, words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn words_are_looked_for_in_names_notations_and_meanings() {
        let found = |words: &[&str]| -> Vec<&str> {
            let list = list(words);
            let wanted = protocols().iter().filter(|protocol| list.wants(&texts(protocol)));
            wanted.map(|protocol| protocol.name).collect()
        };
        assert_eq!(found(&["MQTT"]), ["mqtt"]);
        assert_eq!(found(&["rabbitmq", "seq:u8"]), ["amqp", "mysql"]);
        assert_eq!(found(&[]).len(), protocols().len());
        assert_eq!(found(&["no such protocol"]), [""; 0]);
    }

    #[test]
    fn a_protocol_is_shown_with_its_notation_and_a_frame() {
        let mqtt = protocols().iter().find(|protocol| protocol.name == "mqtt").expect("a name");
        let mut out = Vec::new();
        table(&mut out, &[], &[mqtt], false).expect("a vector takes it");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("  mqtt            MQTT 3 and 5\n"), "{text}");
        assert!(text.contains("hdr:u8 len:varint(4) data[len]\n"), "{text}");
        assert!(text.ends_with("30060003612f6278\n"), "{text}");
        assert_eq!(json(&[], &[mqtt])[0]["example_hex"], "30060003612f6278");
        assert_eq!(json(&[], &[mqtt])[0]["notation"], "mqtt");
    }
}
