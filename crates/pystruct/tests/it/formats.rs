//! Parsing: sizes, alignment, counts, and what is no format.

use unglue_struct::{Code, Error, Format};

use crate::{format, says};

fn size(text: &str) -> usize {
    format(text).size()
}

#[test]
fn native_alignment_pads_before_an_item_and_never_after_the_last() {
    assert_eq!(size("xi"), 8);
    assert_eq!(size("ix"), 5);
    assert_eq!(size("bhb"), 5);
    assert_eq!(size("bd"), 16);
    assert_eq!(size("<xi"), 5);
}

#[test]
fn a_trailing_count_of_zero_aligns_the_end() {
    assert_eq!(size("ih0i"), 8);
    assert_eq!(size("@bi0q"), 8);
    assert_eq!(size("llh0l"), 3 * size("l"));
    assert_eq!(size("<llh0l"), 10);
}

#[test]
fn standard_sizes_are_the_same_everywhere() {
    for mark in ["<", ">", "!", "="] {
        for (codes, expected) in [("cbB?sp", 6), ("hHe", 6), ("iIlLf", 20), ("qQd", 24)] {
            assert_eq!(size(&format!("{mark}{codes}")), expected, "{mark}{codes}");
        }
    }
}

#[test]
fn n_and_capital_n_and_p_exist_in_native_mode_only() {
    for code in ["n", "N", "P"] {
        assert_eq!(size(code), size_of::<usize>());
        assert_eq!(size(&format!("@{code}")), size_of::<usize>());
        for mark in ["=", "<", ">", "!"] {
            assert_eq!(says(Format::parse(&format!("{mark}{code}"))), "bad char in struct format");
        }
    }
}

#[test]
fn whitespace_separates_parts_and_never_a_count_from_its_code() {
    assert_eq!(size("< i\t2h\n\r\x0b\x0cb "), 9);
    assert_eq!(says(Format::parse("4 i")), "bad char in struct format");
    assert_eq!(says(Format::parse(" <i")), "bad char in struct format");
}

#[test]
fn a_count_is_a_length_for_strings_and_a_repetition_for_the_rest() {
    assert_eq!((format("10s").len(), format("10p").len(), format("10c").len()), (1, 1, 10));
    assert_eq!((format("0s").len(), format("0c").len(), format("3x").len()), (1, 0, 0));
    assert_eq!(format("007h").len(), 7);
}

#[test]
fn a_count_at_the_end_has_nothing_to_count() {
    for text in ["5", "c12345", "14s42"] {
        assert_eq!(Format::parse(text), Err(Error::CountWithoutCode));
    }
}

#[test]
fn sizes_end_at_the_largest_signed_one() {
    assert_eq!(says(Format::parse("9223372036854775808b")), "total struct size too long");
    for text in ["99999999999999999999999x", "18446744073709551616s", "9223372036854775807x2x", "9223372036854775808"] {
        assert_eq!(Format::parse(text), Err(Error::TooLong), "{text}");
    }
    if cfg!(target_pointer_width = "64") {
        assert_eq!(size("9223372036854775807b"), isize::MAX as usize);
        assert_eq!(Format::parse("4611686018427387904H"), Err(Error::TooLong));
        assert_eq!(Format::parse("9223372036854775807xi"), Err(Error::TooLong));
    }
}

#[test]
fn the_first_error_from_the_left_is_told() {
    assert!(matches!(Format::parse("iZ5"), Err(Error::BadChar { position: 1, found: b'Z' })));
    assert!(matches!(Format::parse("2 Z"), Err(Error::BadChar { position: 1, found: b' ' })));
    assert_eq!(Format::parse("9223372036854775808Z"), Err(Error::TooLong));
}

#[test]
fn nul_and_what_ascii_lacks_are_told_before_all_else() {
    assert_eq!(Format::parse("Z\0"), Err(Error::EmbeddedNull));
    assert_eq!(Format::parse("\0é"), Err(Error::NotAscii { first: 'é', start: 1, end: 2 }));
    assert!(matches!(Format::parse_bytes(b"i\xff"), Err(Error::BadChar { position: 1, found: 0xff })));
}

#[test]
fn fields_and_layout_tell_where_everything_lies() {
    let format = format("@bh0sx2i");
    let fields: Vec<_> = format.fields().map(|field| (field.code, field.offset, field.size)).collect();
    assert_eq!(
        fields,
        [(Code::SignedByte, 0, 1), (Code::Short, 2, 2), (Code::Bytes, 4, 0), (Code::Int, 8, 4), (Code::Int, 12, 4)]
    );
    let parts: Vec<_> = format.layout().map(|part| (part.code, part.count, part.padding, part.offset)).collect();
    assert_eq!(
        parts,
        [
            (Code::SignedByte, 1, 0, 0),
            (Code::Short, 1, 1, 2),
            (Code::Bytes, 0, 0, 4),
            (Code::Pad, 1, 0, 4),
            (Code::Int, 2, 3, 8)
        ]
    );
    assert_eq!(format.fields().len(), format.len());
}
