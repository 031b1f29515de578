//! Tuples of Rust's types.

use unglue_struct::{Error, Value};

use crate::format;

#[test]
fn a_tuple_takes_every_kind_of_field() {
    let format = format(">bHiQ?c3s4pef");
    let bytes = format.pack_as((-1_i8, 2_u16, -3_i32, u64::MAX, true, b"c", b"sss", b"pp", 0.5_f64, 1.5_f32)).unwrap();
    type Record<'b> = (i8, u16, i32, u64, bool, [u8; 1], &'b [u8], &'b [u8], f64, f64);
    let record: Record<'_> = format.unpack_as(&bytes).unwrap();
    assert_eq!(record, (-1, 2, -3, u64::MAX, true, *b"c", b"sss".as_slice(), b"pp".as_slice(), 0.5, 1.5));
}

#[test]
fn an_integer_goes_into_any_type_that_holds_it() {
    let format = format("<BHq");
    let bytes = format.pack_as((255_u8, 65_535_u16, -1_i64)).unwrap();
    assert_eq!(format.unpack_as(&bytes), Ok((255_i16, 65_535_u64, -1_i32)));
    let error = format.unpack_as::<(u8, u8, i64)>(&bytes).unwrap_err();
    assert!(matches!(error, Error::WrongType { index: 1, wanted: "u8", .. }), "{error:?}");
    assert_eq!(error.to_string(), "value 1, of code 'H', does not fit into u8");
    assert!(matches!(format.unpack_as::<(u8, u16, u64)>(&bytes), Err(Error::WrongType { index: 2, .. })));
}

#[test]
fn a_value_of_another_kind_is_refused() {
    let format = format("<If");
    let bytes = format.pack_as((1_u32, 1.0_f64)).unwrap();
    assert!(matches!(format.unpack_as::<(f64, f64)>(&bytes), Err(Error::WrongType { index: 0, .. })));
    assert!(matches!(format.unpack_as::<(u32, u32)>(&bytes), Err(Error::WrongType { index: 1, .. })));
    assert!(matches!(format.unpack_as::<(bool, Value)>(&bytes), Err(Error::WrongType { index: 0, .. })));
}

#[test]
fn the_number_of_values_must_agree() {
    let format = format("<2H");
    let expected = Error::FieldCount { expected: 1, got: 2 };
    assert_eq!(format.unpack_as::<(u16,)>(&[0; 4]), Err(expected));
    assert_eq!(format.unpack_as::<(u16, u16, u16)>(&[0; 4]), Err(Error::FieldCount { expected: 3, got: 2 }));
    assert!(matches!(format.unpack_as::<(u16, u16)>(&[0; 3]), Err(Error::WrongSize { .. })));
    assert!(matches!(format.pack_as((1_u16,)), Err(Error::ItemCount { expected: 2, got: 1, .. })));
}
