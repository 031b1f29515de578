//! The words of two versions of Python, and the exceptions that go with them.

use unglue_struct::{Error, Exception, Format, Python, Value};

use crate::pack;

const HUGE: i128 = 1 << 70;

fn in_3_11(text: &str, number: i128) -> String {
    pack(text, &[number.into()]).unwrap_err().says(Python::V3_11).to_string()
}

#[test]
fn python_3_11_names_four_codes_in_its_native_routines() {
    let little = if cfg!(target_endian = "little") { "<" } else { ">" };
    assert_eq!(in_3_11("b", 200), "byte format requires -128 <= number <= 127");
    assert_eq!(in_3_11(">B", -1), "ubyte format requires 0 <= number <= 255");
    assert_eq!(in_3_11("h", 70_000), "short format requires -32768 <= number <= 32767");
    assert_eq!(in_3_11(&format!("{little}H"), -1), "ushort format requires 0 <= number <= 65535");
}

#[test]
fn python_3_11_has_other_words_for_the_other_byte_order() {
    let other = if cfg!(target_endian = "little") { ">" } else { "<" };
    let with = |codes: &str| format!("{other}{codes}");
    assert_eq!(in_3_11(&with("h"), 70_000), "'h' format requires -32768 <= number <= 32767");
    assert_eq!(in_3_11(&with("H"), -1), "argument out of range");
    assert_eq!(in_3_11(&with("q"), HUGE), "int too large to convert");
    assert_eq!(in_3_11(&with("Q"), -1), "int too large to convert");
}

#[test]
fn python_3_11_refuses_what_no_c_type_holds_before_it_looks_at_the_range() {
    for text in ["b", "H", "i", "I", "q", "Q", "n", "N", ">i"] {
        assert_eq!(in_3_11(text, HUGE), "argument out of range", "{text}");
    }
    assert_eq!(in_3_11("I", -1), "argument out of range");
    assert_eq!(in_3_11("I", 1 << 40), "'I' format requires 0 <= number <= 4294967295");
}

#[test]
fn python_3_13_says_the_same_of_every_integer_code() {
    for (text, range) in
        [("b", "-128 <= number <= 127"), (">H", "0 <= number <= 65535"), ("<L", "0 <= number <= 4294967295")]
    {
        let code = text.trim_start_matches(['<', '>']);
        let error = pack(text, &[HUGE.into()]).unwrap_err();
        assert_eq!(error.to_string(), format!("'{code}' format requires {range}"));
    }
}

#[test]
fn what_ascii_lacks_is_shown_as_pythons_codec_shows_it() {
    let cases = [
        ("é", r"'ascii' codec can't encode character '\xe9' in position 0: ordinal not in range(128)"),
        ("i€", r"'ascii' codec can't encode character '\u20ac' in position 1: ordinal not in range(128)"),
        ("😀", r"'ascii' codec can't encode character '\U0001f600' in position 0: ordinal not in range(128)"),
        ("ié€i", "'ascii' codec can't encode characters in position 1-2: ordinal not in range(128)"),
    ];
    for (text, words) in cases {
        let error = Format::parse(text).unwrap_err();
        assert_eq!((error.exception(), error.to_string().as_str()), (Exception::UnicodeEncodeError, words));
    }
}

#[test]
fn a_float_overflows_where_an_integer_is_a_struct_error() {
    let float = pack("<e", &[1e9.into()]).unwrap_err();
    let integer = pack("<e", &[1_000_000_000.into()]).unwrap_err();
    assert_eq!(float.exception().name(), "OverflowError");
    assert_eq!(integer.exception().name(), "struct.error");
}

#[test]
fn a_value_of_the_wrong_type_gets_its_codes_words() {
    let stranger = [Value::Other { truth: true }];
    for (text, words) in [
        ("i", "required argument is not an integer"),
        ("P", "required argument is not an integer"),
        ("e", "required argument is not a float"),
        ("d", "required argument is not a float"),
        ("2s", "argument for 's' must be a bytes object"),
        ("2p", "argument for 'p' must be a bytes object"),
        ("0p", "argument for 'p' must be a bytes object"),
    ] {
        assert_eq!(pack(text, &stranger).unwrap_err().to_string(), words, "{text}");
    }
    assert!(matches!(pack("i", &[1.0.into()]), Err(Error::Field { .. })));
}
