//! What holds for every format and every value.

use proptest::collection::vec;
use proptest::prelude::*;
use unglue_struct::{Code, Field, Format, Value};

fn any_format() -> impl Strategy<Value = String> {
    let part = ("[0-9]{0,2}", prop::sample::select(b"xcbB?hHiIlLqQefdsp".as_slice()));
    (prop::sample::select(vec!["", "@", "=", "<", ">", "!"]), vec(part, 0..8)).prop_map(|(mark, parts)| {
        let parts = parts.into_iter().map(|(count, code)| format!("{count}{}", char::from(code)));
        mark.chars().map(String::from).chain(parts).collect()
    })
}

/// A value that survives the way there and back, made from eight bytes.
fn fitting(field: Field, seed: u64) -> Owned {
    let bits = (field.size * 8) as u32;
    match field.code {
        Code::Char => Owned::Bytes(vec![seed as u8]),
        // A Pascal string is as long as its field allows.
        Code::Pascal => Owned::Bytes(vec![seed as u8; field.size.saturating_sub(1).min(255)]),
        Code::Bytes => Owned::Bytes(vec![seed as u8; field.size]),
        Code::Bool => Owned::Bool(seed & 1 == 1),
        Code::Half => Owned::Float(f64::from(seed as u8) / 16.0),
        Code::Float => Owned::Float(f64::from(seed as u16) / 128.0),
        Code::Double => Owned::Float(seed as f64),
        code if code.letter().is_ascii_lowercase() => Owned::Int(i128::from(seed as i64 >> (64 - bits))),
        _ => Owned::Int(i128::from(seed >> (64 - bits))),
    }
}

#[derive(Debug)]
enum Owned {
    Bytes(Vec<u8>),
    Bool(bool),
    Float(f64),
    Int(i128),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Owned::Bytes(bytes) => Value::Bytes(bytes),
            Owned::Bool(truth) => Value::Bool(*truth),
            Owned::Float(number) => Value::Float(*number),
            Owned::Int(number) => Value::Int(*number),
        }
    }
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(text in any_format(), seed in any::<u64>()) {
        let format = Format::parse(&text).unwrap();
        let mixed = |index: usize| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index as u32 % 64);
        let owned: Vec<Owned> = format.fields().enumerate().map(|(index, field)| fitting(field, mixed(index))).collect();
        let values: Vec<Value> = owned.iter().map(Owned::value).collect();
        let bytes = format.pack(&values).unwrap();
        prop_assert_eq!(bytes.len(), format.size());
        let unpacked: Vec<Value> = format.unpack(&bytes).unwrap().collect();
        prop_assert_eq!(unpacked, values);
    }

    #[test]
    fn any_bytes_of_the_right_size_unpack(text in any_format(), seed in any::<u8>()) {
        let format = Format::parse(&text).unwrap();
        let bytes: Vec<u8> = (0..format.size()).map(|index| seed.wrapping_mul(index as u8 | 1)).collect();
        let values = format.unpack(&bytes).unwrap();
        prop_assert_eq!(values.len(), format.len());
        prop_assert_eq!(values.count(), format.len());
    }

    #[test]
    fn any_text_is_a_format_or_an_error(text in "[@=<>!]?[ 0-9xcbB?hHiIlLqQnNefdspPzZ\\x00é]{0,30}") {
        match Format::parse(&text) {
            Ok(format) => {
                prop_assert_eq!(format.as_str(), text.as_str());
                prop_assert!(format.size() <= isize::MAX as usize);
                let end = format.layout().map(|part| part.offset + part.size()).max().unwrap_or(0);
                prop_assert_eq!(end, format.size());
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_record_found_at_an_offset_is_the_one_put_there(offset in -12_isize..12, number in any::<u32>()) {
        let format = Format::parse("<I").unwrap();
        let mut buffer = [0; 10];
        let packed = format.pack_into(&mut buffer, offset, &[number.into()]);
        let found = format.unpack_from(&buffer, offset).map(|mut values| values.next());
        prop_assert_eq!(packed.is_ok(), found.is_ok());
        if let Ok(value) = found {
            prop_assert_eq!(value, Some(Value::from(number)));
        }
    }
}
