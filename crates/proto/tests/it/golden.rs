//! P10: what was once released decodes for ever, and encodes to the same bytes.
//!
//! `crates/proto/golden/unglue-1/` holds one file for each kind of frame and message, both directions of a tree and of a delta, and both of a whole
//! link. Until the first release they are a draft and may change: `UNGLUE_GOLDEN=write cargo test -p unglue-proto golden`
//! writes them anew. After it a vector that changes is a break of the protocol, and needs a new version.

mod deltas;
mod frames;
mod link;
mod messages;
mod records;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where the vectors of this version are.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/unglue-1")
}

/// Asserts that `bytes` are those of the vector, or writes them there if that was asked for. Gives the vector's bytes.
#[track_caller]
fn check(name: &str, meaning: &str, bytes: &[u8]) -> Vec<u8> {
    let path = directory().join(name).with_extension("hex");
    if env::var("UNGLUE_GOLDEN").is_ok_and(|value| value == "write") {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory for the vectors");
        fs::write(&path, render(meaning, bytes)).expect("written");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden = parse(&text);
    assert_eq!(
        bytes.escape_ascii().to_string(),
        golden.escape_ascii().to_string(),
        "{name} is no longer encoded as it was"
    );
    golden
}

/// Comments, then bytes in hexadecimal, 32 a line.
fn render(meaning: &str, bytes: &[u8]) -> String {
    let mut text = String::from("# unglue/1, a draft until the first release\n");
    meaning.lines().for_each(|line| text.push_str(&format!("# {line}\n")));
    for line in bytes.chunks(32) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&hex.join(" "));
        text.push('\n');
    }
    text
}

fn parse(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits"))
        .collect()
}

/// The vectors of a part, by name without extension.
fn names(part: &str) -> Vec<String> {
    let entries = fs::read_dir(directory().join(part)).expect("a directory of vectors");
    let name = |entry: fs::DirEntry| entry.path().file_stem().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| format!("{part}/{}", name(entry.expect("an entry")))).collect();
    names.sort();
    names
}
