//! The four ways to refuse an offset, the sizes, and records one after the other.

use unglue_struct::{Error, Value};

use crate::{format, says};

#[test]
fn an_offset_past_the_end_is_told_with_all_the_numbers() {
    assert_eq!(
        says(format("b").pack_into(&mut [0], 5, &[1.into()])),
        "pack_into requires a buffer of at least 6 bytes for packing 1 bytes at offset 5 (actual buffer size is 1)"
    );
    assert_eq!(
        says(format("b").unpack_from(&[0], 5)),
        "unpack_from requires a buffer of at least 6 bytes for unpacking 1 bytes at offset 5 (actual buffer size is 1)"
    );
}

#[test]
fn a_negative_offset_too_near_the_end_has_no_space() {
    let mut buffer = [0; 10];
    assert_eq!(says(format("<I").pack_into(&mut buffer, -2, &[1.into()])), "no space to pack 4 bytes at offset -2");
    assert_eq!(says(format("<I").unpack_from(&buffer, -2)), "not enough data to unpack 4 bytes at offset -2");
}

#[test]
fn a_negative_offset_before_the_start_is_out_of_range() {
    let mut buffer = [0; 10];
    let expected = "offset -11 out of range for 10-byte buffer";
    assert_eq!(says(format("<B").pack_into(&mut buffer, -11, &[1.into()])), expected);
    assert_eq!(says(format("<B").unpack_from(&buffer, -11)), expected);
    assert!(matches!(format("<B").unpack_from(&buffer, isize::MIN), Err(Error::OffsetOutOfRange { .. })));
}

#[test]
fn the_largest_offset_overflows_nothing() {
    let required = isize::MAX.unsigned_abs() + 4;
    let offset = isize::MAX;
    assert_eq!(
        says(format("<I").unpack_from(&[0; 10], offset)),
        format!(
            "unpack_from requires a buffer of at least {required} bytes for unpacking 4 bytes at offset {offset} \
             (actual buffer size is 10)"
        )
    );
}

#[test]
fn a_negative_offset_counts_from_the_end() {
    let format = format("<H");
    for (offset, expected) in [(-2, 0x0403), (-4, 0x0201), (2, 0x0403)] {
        assert_eq!(format.unpack_from(&[1, 2, 3, 4], offset).unwrap().next(), Some(Value::Int(expected)));
    }
}

#[test]
fn an_empty_record_lies_anywhere_up_to_the_end() {
    let format = format("");
    assert_eq!(format.unpack_from(b"abc", 3).unwrap().count(), 0);
    assert_eq!(format.unpack_from(b"abc", -3).unwrap().count(), 0);
    assert!(matches!(format.unpack_from(b"abc", 4), Err(Error::BufferTooSmall { .. })));
}

#[test]
fn unpack_wants_exactly_the_size() {
    for bytes in [b"abc".as_slice(), b"abcde"] {
        assert_eq!(says(format("i").unpack(bytes)), "unpack requires a buffer of 4 bytes");
    }
}

#[test]
fn iter_unpack_wants_whole_records_of_some_size() {
    assert_eq!(
        says(format("<i").iter_unpack(b"abc")),
        "iterative unpacking requires a buffer of a multiple of 4 bytes"
    );
    assert_eq!(says(format("").iter_unpack(b"")), "cannot iteratively unpack with a struct of length 0");
    assert_eq!(format("<i").iter_unpack(b"").unwrap().len(), 0);
    let format = format(">IB");
    let records: Vec<Vec<Value>> =
        format.iter_unpack(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).unwrap().map(Iterator::collect).collect();
    assert_eq!(records, [[0x0102_0304.into(), 5.into()], [0x0607_0809.into(), Value::Int(10)]]);
}
