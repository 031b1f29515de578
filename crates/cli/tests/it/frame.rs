//! `unglue frame`: live pipes, prefixes, what is left out, and inputs that aren't there.

use std::io::Write as _;
use std::process::Stdio;

use super::run::{Finished, UNGLUE, clean, finish, finish_with, start};

fn frame(words: &[&str], input: &[u8]) -> Finished {
    finish_with(clean(UNGLUE).arg("frame").args(words), input)
}

#[test]
fn a_live_pipe_shows_each_frame_as_it_comes() {
    let mut decode = start(clean(UNGLUE).args(["frame", "decode", "lines"]).stdin(Stdio::piped()));
    let mut keyboard = decode.keyboard();
    for word in ["first", "second"] {
        writeln!(keyboard, "{word}").expect("it reads");
        decode.shown(word);
    }
    drop(keyboard);
    decode.finish().expect(0);

    let mut encode = start(clean(UNGLUE).args(["frame", "encode", "netstring"]).stdin(Stdio::piped()));
    let mut keyboard = encode.keyboard();
    for (word, shown) in [("first", "5:first,"), ("second", "6:second,")] {
        writeln!(keyboard, "{word}").expect("it reads");
        encode.shown(shown);
    }
    drop(keyboard);
    encode.finish().expect(0);
}

#[test]
fn frames_that_are_left_out_are_counted() {
    let wire = b"\x01a\x03bcd\x04efgh\x01i";
    let done = frame(&["decode", "--raw", "u8(max=2, toolong=skip)"], wire).expect(0);
    assert_eq!(done.text(), "ai");
    done.complains("2 frames of 9 bytes in all were left out");
    let check = frame(&["check", "--json", "u8(max=2, toolong=skip)"], wire).expect(0).json();
    assert_eq!(check["skipped"], serde_json::json!({"frames": 2, "bytes": 9}));
    assert_eq!((&check["frames"], &check["parsed_bytes"]), (&2.into(), &wire.len().into()));
    let check = frame(&["check", "--json", "u8(max=2, toolong=cut)"], wire).expect(0).json();
    assert_eq!((&check["frames"], &check["parsed_bytes"]), (&4.into(), &wire.len().into()));
    let check = frame(&["check", "--json", "slip"], b"a\xc0b\xc0\xc0\xc0").expect(0).json();
    assert_eq!(check["parsed_bytes"], 6, "ends of no frames are parsed, too");
}

#[test]
fn a_prefix_is_left_out() {
    let wire = b"HTTP/1.1 101\r\n\r\n\x03one\x03two";
    for words in [&["--after", r"\r\n\r\n"][..], &["--skip", "16"], &["--skip", "5", "--after", r"101\r\n\x0d\n"]] {
        let done = frame(&[&["decode", "--raw"], words, &["u8"]].concat(), wire).expect(0);
        assert_eq!(done.text(), "onetwo", "{words:?}");
    }
    let check = frame(&["check", "--json", "--skip", "16", "u8"], wire).expect(0).json();
    assert_eq!((&check["frames"], &check["parsed_bytes"]), (&2.into(), &24.into()));
    frame(&["decode", "--after", "nowhere", "u8"], wire).expect(1).complains("isn't in the 24 bytes");
    frame(&["decode", "--skip", "1K", "u8"], wire)
        .expect(1)
        .complains("the input has 24 bytes, and --skip leaves out 1024");
    frame(&["decode", "--after", "", "u8"], wire).expect(125).complains("--after");
    assert!(frame(&["decode", "--skip", "much", "u8"], wire).expect(125).stderr.contains("a number of bytes"));
}

#[test]
fn a_closed_input_is_not_an_empty_one() {
    let closed = format!("exec {UNGLUE} frame decode lines <&-");
    finish(clean("/bin/sh").args(["-c", &closed])).expect(125).complains("stdin");
    // Nothing to read is nothing wrong.
    finish(clean(UNGLUE).args(["frame", "decode", "lines"])).expect(0);
    frame(&["decode", "lines"], b"").expect(0);
}

#[test]
fn the_last_line_may_lack_its_end_where_that_is_asked_for() {
    frame(&["decode", "--raw", "lines"], b"a\nb").expect(1).complains("the input ended after 1 bytes of it");
    assert_eq!(frame(&["decode", "--raw", "lines(last=allow)"], b"a\nb").expect(0).text(), "ab");
}
