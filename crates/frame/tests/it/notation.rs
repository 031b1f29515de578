//! The notation: parsed, printed, refused.

use unglue_frame::{Framing, Int, Layout, TooLong, presets};

#[test]
fn canonical_forms_parse_to_themselves() {
    for (text, canonical) in [
        ("u32be(max=1M)", "u32be(max=1M)"),
        (" u32be( incl ,max=1048577 ) ", "u32be(incl, max=1048577)"),
        ("varint(10)", "varint"),
        ("varint(4, empty=deny)", "varint(4, empty=deny)"),
        ("delim(\"\\r\\n\")", "crlf"),
        ("delim(\"\\x00\")", "nul"),
        ("delim(\"a, \\\"b)\\xff\", toolong=cut)", "delim(\"a, \\\"b)\\xff\", toolong=cut)"),
        ("lines(toolong=fail, empty=allow, max=8M)", "lines"),
        ("fixed:1024", "fixed:1K"),
        ("flag:u8   len:u32be data[len]", "flag:u8 len:u32be data[len]"),
        ("tag:u8 len:u32be data[len-4] (max=1M)", "tag:u8 len:u32be data[len-4] (max=1M)"),
        ("03 00 len:u16be data[len-4]", "03 00 len:u16be data[len-4]"),
        ("ff*16 len:u16be t:u8 data[len-19]", "ff*16 len:u16be t:u8 data[len-19]"),
        ("_ _*2 len:varint(4) data[len+1] CE", "_*3 len:varint(4) data[len+1] ce"),
        ("01 t:u8 id:u16be n:u16be p:u8 _ data[n] pad[p]", "01 t:u8 id:u16be n:u16be p:u8 _ data[n] pad[p]"),
        ("68 len:u16be 68 data[len] sum8( all , le ) 16", "68 len:u16be 68 data[len] sum8(all,le) 16"),
    ] {
        let framing: Framing = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(framing.to_string(), canonical);
        assert_eq!(canonical.parse::<Framing>().unwrap(), framing, "{canonical}");
    }
}

#[test]
fn every_preset_of_the_list_parses() {
    for preset in presets() {
        preset.notation.parse::<Framing>().unwrap_or_else(|error| panic!("{}: {error}", preset.notation));
    }
}

#[test]
fn errors_point_at_the_column() {
    for (text, column, says) in [
        ("", 1, "there is nothing"),
        ("u33be", 1, "no framing is called u33be"),
        ("u32be(max=1X)", 7, "max=BYTES"),
        ("u32be(mix=1)", 7, "no option is called mix"),
        ("u32be(max=1", 12, ", or )"),
        ("u32be(max=1) x", 13, "the end of the notation"),
        ("lines(incl)", 7, "incl has no meaning"),
        ("slip(empty=deny)", 6, "empty has no meaning"),
        ("u32be(max=1M, max=2M)", 15, "max stands there twice"),
        ("u32be(incl, incl)", 13, "incl stands there twice"),
        ("u32le+json(body=n, toolong=skip)", 20, "toolong=skip has no meaning"),
        ("fixed:0", 7, "at least one byte"),
        ("delim(\"\")", 7, "1 to 32 bytes"),
        ("delim(\"é\\q\")", 9, "an escape"),
        ("delim(\"a", 9, "a closing quote"),
        ("len:u33be data[len]", 5, "no integer is called u33be"),
        ("len:u32be data[size]", 16, "no field size stands before it"),
        ("len:u32be data[len-]", 20, "a number of bytes"),
        ("len:u32be data[len] pad[p]", 25, "no field p stands before it"),
        ("len:u32be data[len] len:u8", 21, "two fields are called len"),
        ("len:u32be foo data[len]", 11, "foo is no part"),
        ("len:u32be", 10, "no data"),
        ("len:u32be data[len] x:varint", 21, "varint behind the data"),
        ("sum8 len:u32be data[len]", 1, "can't stand before the data"),
        ("len:u32be data[len] data[len]", 21, "data twice"),
        ("a:u8 b:u8 data[a] data[b]", 19, "twice"),
        ("varint(11)", 8, "1 to 10 bytes"),
        ("ff*9999 len:u8 data[len]", 4, "a count"),
    ] {
        let error = text.parse::<Framing>().expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn what_is_built_prints_as_it_would_be_written() {
    let layout = Layout::new().literal(&[3]).literal(&[0]).length("len", Int::U16BE).data_plus(-4);
    let framing = layout.build().unwrap().max(1 << 10).too_long(TooLong::Skip).unwrap();
    assert_eq!(framing.to_string(), "03 00 len:u16be data[len-4] (max=1K, toolong=skip)");
    assert_eq!(framing.to_string().parse::<Framing>().unwrap(), framing);
}
