//! `infer`, `explain` and `dissect`, as a user calls them.

use std::fs;
use std::path::PathBuf;

use super::super::run::{Finished, UNGLUE, clean, finish};

fn lab(words: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a directory");
    finish(clean(UNGLUE).arg("lab").args(words).env("HOME", home.path()))
}

fn capture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../lab/tests/captures").join(name);
    path.to_str().expect("text").to_owned()
}

#[test]
fn a_capture_is_inferred_as_one_object() {
    let found = lab(&["infer", "--json", &capture("python-multiprocessing.pcapng")]).expect(0).json();
    assert_eq!((&found["verdict"], &found["candidates"][0]["notation"]), (&"certain".into(), &"u32be".into()));
    assert!(found["candidates"][0]["score"].as_f64().is_some_and(|bits| bits > 32.0));
    assert!(found["candidates"][0]["evidence"].as_array().is_some_and(|lines| !lines.is_empty()));
    assert_eq!(found["streams"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_dump_is_inferred_in_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let (dump, nothing) = (directory.path().join("dump.txt"), directory.path().join("empty"));
    let words = ["one", "three", "eleven", "four", "seventeen", "to", "twenty-one", "nine"];
    let hex: String = words
        .iter()
        .map(|word| {
            let bytes = [&(word.len() as u16).to_be_bytes()[..], word.as_bytes()].concat();
            bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>() + "\n"
        })
        .collect();
    fs::write(&dump, hex).expect("written");
    fs::write(&nothing, "").expect("written");
    let done = lab(&["infer", dump.to_str().expect("text")]).expect(0);
    assert!(done.text().contains("\nu16be    "), "{done:?}");
    lab(&["infer", nothing.to_str().expect("text")]).expect(1).complains("there is no stream with bytes in it");
    lab(&["infer", "/nowhere/at/all"]).expect(125).complains("/nowhere/at/all: ");
}

#[test]
fn a_length_is_explained() {
    let done = lab(&["explain", "1195725856"]).expect(0);
    assert!(done.text().contains("certain   an HTTP request: `GET ` in ASCII"), "{done:?}");
    let found =
        lab(&["explain", "--json", "Adjusted frame length exceeds 1048576: 1213486160 - discarded"]).expect(0).json();
    assert_eq!((&found["value"], &found["limit"]), (&1_213_486_160u64.into(), &1_048_576u64.into()));
    assert_eq!(found["readings"][0]["sure"], "certain");
    lab(&["explain", "--", "-1"]).expect(0);
    lab(&["explain", "hello"]).expect(125).complains("there is no number in \"hello\"");
}

#[test]
fn a_capture_is_dissected() {
    let file = capture("java-writeutf.pcapng");
    let done = lab(&["dissect", &file, "--frame", "u16be", "--json"]).expect(0);
    let lines: Vec<serde_json::Value> =
        done.text().lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(lines.len(), 32);
    assert!(lines.iter().any(|line| line["data"]["text"] == "seen: message number 0 "), "{done:?}");
    lab(&["dissect", &file, "--frame", "u32be"]).expect(1);
    lab(&["dissect", &file, "--frame", "u33be"]).expect(125).complains("no framing is called u33be");
    lab(&["dissect", "/dev/null", "--frame", "u32be"]).expect(125).complains("it is not a capture");
}
