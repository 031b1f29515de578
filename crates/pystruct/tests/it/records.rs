//! Structs in place of tuples, and single-precision floats.

use unglue_struct::{Error, Format, Record, Value};

use crate::format;

#[derive(Clone, Debug, PartialEq, Record)]
#[record("<IHHQd")]
struct Plain {
    id: u32,
    kind: u16,
    flags: u16,
    length: u64,
    ratio: f64,
}

#[derive(Debug, PartialEq, Record)]
#[record(">B3s?4pfx2s")]
struct Borrowing<'a>(u8, &'a [u8], bool, Vec<u8>, f32, [u8; 2]);

#[derive(Debug, PartialEq, Record)]
#[record("!14B")]
struct Wide {
    a: u8,
    b: u8,
    c: u16,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
    m: u8,
    n: i64,
}

#[derive(Debug, PartialEq, Record)]
struct Generic<T, const N: usize> {
    value: T,
    tag: [u8; N],
}

#[test]
fn a_struct_is_packed_and_unpacked_as_the_tuple_of_its_fields_is() {
    let plain = Plain { id: 1, kind: 2, flags: 3, length: u64::MAX, ratio: -0.5 };
    let bytes = plain.pack().unwrap();
    assert_eq!(bytes, Plain::format().unwrap().pack_as((1_u32, 2_u16, 3_u16, u64::MAX, -0.5)).unwrap());
    assert_eq!(Plain::unpack(&bytes), Ok(plain.clone()));
    // The same struct with another format: big-endian, with padding.
    let other = format(">I2xHHxQd");
    let bytes = other.pack_as(&plain).unwrap();
    assert_eq!(bytes.len(), other.size());
    assert_eq!(other.unpack_as(&bytes), Ok(plain));
}

#[test]
fn a_struct_may_borrow_its_strings_and_have_any_number_of_fields() {
    let borrowing = Borrowing(9, b"abc", true, b"xyz".to_vec(), 1.5, *b"hi");
    let bytes = borrowing.pack().unwrap();
    assert_eq!(bytes, b"\x09abc\x01\x03xyz\x3f\xc0\0\0\0hi");
    let back = Borrowing::unpack(&bytes).unwrap();
    assert_eq!(back, borrowing);
    assert!(bytes.as_ptr_range().contains(&back.1.as_ptr()), "the string was copied");
    let bytes: Vec<u8> = (1..=14).collect();
    let wide = Wide::unpack(&bytes).unwrap();
    assert_eq!((wide.a, wide.c, wide.n), (1, 3, 14));
    assert_eq!(wide.pack(), Ok(bytes));
}

#[test]
fn a_generic_struct_takes_a_format_at_run_time() {
    let format = format("<h2s");
    let bytes = format.pack_as(&Generic { value: -2_i32, tag: *b"ok" }).unwrap();
    assert_eq!(bytes, b"\xfe\xffok");
    assert_eq!(format.unpack_as(&bytes), Ok(Generic { value: -2_i64, tag: *b"ok" }));
}

#[test]
fn a_field_that_doesnt_fit_is_named_by_its_index() {
    let error = format("<IHHqd").unpack_as::<Plain>(&[0xff; 24]).unwrap_err();
    assert!(matches!(error, Error::WrongType { index: 3, wanted: "u64", .. }), "{error:?}");
    assert_eq!(format("<IH").unpack_as::<Plain>(&[0; 6]), Err(Error::FieldCount { expected: 5, got: 2 }));
    assert!(matches!(Plain::unpack(&[0; 3]), Err(Error::WrongSize { expected: 24, got: 3 })));
    let wide = Wide { c: 300, ..Wide::unpack(&[0; 14]).unwrap() };
    assert!(matches!(wide.pack(), Err(Error::Field { index: 2, .. })));
}

#[test]
fn a_single_takes_what_it_holds_exactly() {
    for order in ["<", ">", "@", "="] {
        let singles: Format = format(&format!("{order}2f"));
        let bytes = singles.pack_as((0.1_f32, f32::MIN_POSITIVE / 2.0)).unwrap();
        // Beside each other they mirror a tuple; behind a string they don't.
        assert_eq!(singles.unpack_as(&bytes), Ok((0.1_f32, f32::MIN_POSITIVE / 2.0)));
        let mixed = format(&format!("{order}4sfe"));
        let bytes = mixed.pack_as((b"abcd", -0.0_f32, 0.25_f32)).unwrap();
        let (_, zero, quarter): (&[u8], f32, f32) = mixed.unpack_as(&bytes).unwrap();
        assert_eq!((zero.to_bits(), quarter), ((-0.0_f32).to_bits(), 0.25));
    }
    let double = format("<d");
    let unpack = |number: f64| double.unpack_as::<(f32,)>(&double.pack_as((number,)).unwrap());
    assert_eq!(unpack(0.5), Ok((0.5,)));
    assert_eq!(unpack(f64::INFINITY), Ok((f32::INFINITY,)));
    for number in [0.1, 1e300, 1e-300] {
        assert!(matches!(unpack(number), Err(Error::WrongType { index: 0, wanted: "f32", .. })), "{number}");
    }
}

#[test]
fn a_nan_reads_the_same_whether_or_not_the_record_mirrors_its_tuple() {
    for bits in [0x7f80_0001_u32, 0xffff_ffff, 0x7fc0_1234, 0xff80_0000] {
        let plain = format("<f");
        let (single,): (f32,) = plain.unpack_as(&bits.to_le_bytes()).unwrap();
        let padded = [&[0], &bits.to_le_bytes()[..]].concat();
        let (other,): (f32,) = format("<xf").unpack_as(&padded).unwrap();
        assert_eq!(single.to_bits(), other.to_bits(), "{bits:x}");
        let Some(Value::Float(double)) = plain.unpack(&bits.to_le_bytes()).unwrap().next() else { panic!() };
        assert_eq!(single.is_nan(), double.is_nan());
    }
}
