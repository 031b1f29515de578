//! The protocols that have a name: each is tried with a frame of its own.

use super::framing;
use unglue_frame::{Deframer, Enframer, protocols};

#[test]
fn each_name_takes_its_example_and_writes_it_again() {
    for protocol in protocols() {
        let framing = framing(protocol.name);
        let mut deframer = Deframer::new(framing.clone());
        let mut input = protocol.example;
        let frame = deframer.decode(&mut input).unwrap_or_else(|error| panic!("{}: {error}", protocol.name));
        // A JSON number alone would need what follows it; here it doesn't.
        let frame = frame.unwrap_or_else(|| panic!("{}: its example is not a whole frame", protocol.name));
        let fields: Vec<u64> = (0..frame.field_count()).map(|index| frame.field(index)).collect();
        let mut wire = Vec::new();
        Enframer::new(framing).encode(&fields, frame.data(), &mut wire).unwrap();
        assert_eq!(wire, protocol.example, "{}", protocol.name);
        assert!(deframer.decode(&mut input).unwrap().is_none(), "{} has more than one frame", protocol.name);
    }
}

#[test]
fn a_name_stands_for_its_notation() {
    for protocol in protocols() {
        if let Some(notation) = protocol.notation {
            assert_eq!(framing(protocol.name), framing(notation), "{}", protocol.name);
            assert_eq!(framing(&framing(protocol.name).to_string()), framing(notation), "{}", protocol.name);
        }
    }
    assert_eq!(framing("tls(max=1K)").to_string(), "type:u8 ver:u16be len:u16be data[len] (max=1K)");
    assert_eq!(framing("redis(max=1M)").to_string(), "resp(max=1M)");
}

#[test]
fn names_are_in_order_and_none_comes_twice() {
    let names: Vec<_> = protocols().iter().map(|protocol| protocol.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}

#[test]
fn the_documentation_has_every_name() {
    let docs = include_str!("../../../docs/framing.md");
    for protocol in protocols() {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` |", protocol.name)));
        let row = row.unwrap_or_else(|| panic!("docs/framing.md has no row for {}", protocol.name));
        if let Some(notation) = protocol.notation {
            assert!(row.contains(&format!("`{notation}`")), "{}: {row}", protocol.name);
        }
    }
}
