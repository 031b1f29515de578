//! Values and bytes: the traps that each code has.

use unglue_struct::{BigInt, FieldError, Value};

use crate::{format, pack, says, unpack};

fn float(text: &str, bytes: &[u8]) -> f64 {
    match unpack(text, bytes)[..] {
        [Value::Float(number)] => number,
        ref other => panic!("{other:?} is not one float"),
    }
}

#[test]
fn native_f_makes_an_infinity_of_what_standard_f_refuses() {
    let number = [3.5e38.into()];
    assert_eq!(pack("f", &number).unwrap(), f32::INFINITY.to_ne_bytes());
    assert_eq!(pack("@f", &number).unwrap(), f32::INFINITY.to_ne_bytes());
    for text in ["<f", ">f", "=f", "!f"] {
        assert_eq!(says(pack(text, &number)), "float too large to pack with f format");
    }
    assert_eq!(pack("<f", &[f64::INFINITY.into()]).unwrap(), f32::INFINITY.to_le_bytes());
}

#[test]
fn e_takes_65519_99_and_refuses_65520() {
    assert_eq!(pack("<e", &[65519.99.into()]).unwrap(), [0xff, 0x7b]);
    for text in ["<e", ">e", "e"] {
        assert_eq!(says(pack(text, &[65520.0.into()])), "float too large to pack with e format");
        assert_eq!(says(pack(text, &[65520.into()])), "int too large to convert");
    }
}

#[test]
fn a_nan_keeps_its_payload_in_d_its_upper_bits_in_f_and_its_sign_in_e() {
    let nan = f64::from_bits(0xfff0_0000_2000_0001);
    assert_eq!(pack(">d", &[nan.into()]).unwrap(), nan.to_bits().to_be_bytes());
    assert_eq!(pack(">f", &[nan.into()]).unwrap(), [0xff, 0xc0, 0, 1]);
    assert_eq!(pack(">e", &[nan.into()]).unwrap(), [0xfe, 0]);
    assert_eq!(float(">d", &nan.to_bits().to_be_bytes()).to_bits(), nan.to_bits());
    assert_eq!(float(">f", &[0x7f, 0x80, 0, 1]).to_bits(), 0x7ff8_0000_2000_0000);
    assert_eq!(float(">e", &[0xfc, 1]).to_bits(), 0xfff8_0000_0000_0000);
}

#[test]
fn capital_p_takes_minus_one_and_reads_it_as_the_highest_address() {
    let all = [0xff; size_of::<usize>()];
    assert_eq!(pack("P", &[(-1).into()]).unwrap(), all);
    assert_eq!(unpack("P", &all), [Value::from(usize::MAX)]);
    assert_eq!(pack("P", &[isize::MIN.into()]).unwrap(), isize::MIN.to_ne_bytes());
    for number in [i128::from(u64::MAX) + 1, i128::MIN] {
        assert_eq!(says(pack("P", &[number.into()])), "int too large to convert");
    }
}

#[test]
fn question_mark_is_truth() {
    let truths = [1.into(), 2.into(), f64::NAN.into(), b"0".into(), true.into(), Value::Other { truth: true }];
    assert_eq!(pack("6?", &truths).unwrap(), [1; 6]);
    let falsehoods = [0.into(), (-0.0).into(), b"".into(), false.into(), Value::Other { truth: false }];
    assert_eq!(pack("<5?", &falsehoods).unwrap(), [0; 5]);
    assert_eq!(unpack("3?", &[0, 1, 0x80]), [false.into(), true.into(), Value::Bool(true)]);
}

#[test]
fn c_wants_exactly_one_byte() {
    assert_eq!(pack("c", &[b"a".into()]).unwrap(), b"a");
    for value in [b"".as_slice().into(), b"ab".into(), 97.into(), Value::Other { truth: true }] {
        assert_eq!(says(pack("c", &[value])), "char format requires a bytes object of length 1");
    }
}

#[test]
fn s_cuts_and_fills_up_with_zeros() {
    for (text, expected) in [("0s", ""), ("1s", "h"), ("5s", "hello"), ("8s", "hello\0\0\0")] {
        assert_eq!(pack(text, &[b"hello".into()]).unwrap(), expected.as_bytes());
    }
    assert_eq!(says(pack("3s", &[5.into()])), "argument for 's' must be a bytes object");
}

#[test]
fn zero_s_takes_and_yields_one_empty_value() {
    assert_eq!(unpack("0s", b""), [Value::Bytes(b"")]);
    assert_eq!(unpack("<0s0sB", &[7]), [Value::Bytes(b""), Value::Bytes(b""), 7.into()]);
    assert_eq!(says(pack("0s", &[])), "pack expected 1 items for packing (got 0)");
}

#[test]
fn p_has_a_length_byte_that_stops_at_255() {
    let cases = [("0p", ""), ("p", "\0"), ("2p", "\x01a"), ("4p", "\x03abc"), ("6p", "\x03abc\0\0")];
    for (text, expected) in cases {
        assert_eq!(pack(text, &[b"abc".into()]).unwrap(), expected.as_bytes());
    }
    let long = pack("1000p", &[[b'x'; 1000].as_slice().into()]).unwrap();
    assert_eq!((long[0], &long[1..]), (255, [b'x'; 999].as_slice()));
    assert_eq!(unpack("1000p", &long), [Value::Bytes(&[b'x'; 255])]);
}

#[test]
fn p_reads_no_further_than_its_field() {
    assert_eq!(unpack("3pB", &[200, b'a', b'b', 9]), [Value::Bytes(b"ab"), 9.into()]);
    assert_eq!(unpack("0p", b""), [Value::Bytes(b"")]);
    assert_eq!(unpack("p", &[5]), [Value::Bytes(b"")]);
}

#[test]
fn integers_of_any_size_are_converted_exactly_or_refused() {
    let two_to_the_200 = BigInt::from_decimal("1606938044258990275541962092341162602522202993782792835301376").unwrap();
    assert_eq!(pack("<d", &[two_to_the_200.into()]).unwrap(), 2_f64.powi(200).to_le_bytes());
    assert_eq!(says(pack("<f", &[two_to_the_200.into()])), "int too large to convert");
    let nines = "9".repeat(400);
    let too_large = [BigInt::from_decimal(&nines).unwrap().into()];
    assert_eq!(says(pack("d", &too_large)), "required argument is not a float");
    assert_eq!(says(pack("<b", &too_large)), "'b' format requires -128 <= number <= 127");
    assert_eq!(pack("?", &too_large).unwrap(), [1]);
}

#[test]
fn integers_round_to_the_nearest_float_ties_to_even() {
    let above_2_to_the_53 = [9_007_199_254_740_993_i64.into()];
    assert_eq!(pack("<d", &above_2_to_the_53).unwrap(), 9_007_199_254_740_992_f64.to_le_bytes());
}

#[test]
fn the_classic_range_error_has_cpythons_words() {
    let error = pack("i", &[1_111_111_111_111_i64.into()]);
    assert_eq!(says(error), "'i' format requires -2147483648 <= number <= 2147483647");
}

#[test]
fn an_error_tells_which_value_it_was_and_what_it_got() {
    let error = pack("<2BxH", &[1.into(), 2.into(), (-3).into()]).unwrap_err();
    let unglue_struct::Error::Field { index, reason: FieldError::OutOfRange { got, min, max, .. }, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!((index, got, min, max), (2, -3, 0, 65535));
}

#[test]
fn padding_is_written_as_zeros() {
    let mut buffer = [0xff; 12];
    format("@bxxi").pack_into(&mut buffer, 2, &[1.into(), 2.into()]).unwrap();
    let mut expected = [0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    expected[6..10].copy_from_slice(&2_i32.to_ne_bytes());
    assert_eq!(buffer, expected);
}

#[test]
fn a_refused_value_leaves_the_fields_before_it_and_zeros() {
    let mut buffer = [0xff; 4];
    let error = format("<4B").pack_into(&mut buffer, 0, &[1.into(), 2.into(), 300.into(), 4.into()]);
    assert_eq!(says(error), "'B' format requires 0 <= number <= 255");
    assert_eq!(buffer, [1, 2, 0, 0]);
}

#[test]
fn a_record_that_no_memory_holds_is_an_error() {
    let error = |size| pack(&format!("{size}x"), &[]).unwrap_err();
    assert_eq!(error(isize::MAX - 100).exception().name(), "MemoryError");
    assert_eq!(error(isize::MAX).exception().name(), "OverflowError");
    assert_eq!(error(isize::MAX).to_string(), "byte string is too large");
}
