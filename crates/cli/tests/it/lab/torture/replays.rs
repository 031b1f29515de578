//! What a finding is written to: replay files and regression tests.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{has, home, json, python, text, torture, words};
use crate::run::UNGLUE;

/// Finds the bug of a broken program, with flags in front.
#[track_caller]
fn find(home: &Path, file: &str, end: &str, flags: &[&str]) -> Option<Output> {
    let words = words(file, home)?;
    let of = |role: &str| if role == end { "broken" } else { "right" };
    let server = format!("exec {words} server {} {{port}}", of("server"));
    let client = format!("{words} client {} {{port}}", of("client"));
    let output = torture(home, &[&["--runs", "8"], flags].concat(), &server, &client);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    Some(output)
}

fn run(home: &Path, command: &str) -> Output {
    let command = format!("timeout 100 {command}");
    super::command("sh").args(["-c", &command]).env("HOME", home).current_dir(home).output().expect("it runs")
}

/// Mends the programs that a file names.
fn mend(path: &Path) {
    let text = fs::read_to_string(path).expect("it was written");
    fs::write(path, text.replace("\"broken\"", "\"right\"").replace(" broken ", " right ")).expect("written");
}

#[test]
fn a_replay_file_finds_it_again_until_it_is_mended() {
    let home = home();
    let Some(found) = find(home.path(), "length_once.py", "server", &["--frame", "u32be"]) else { return };
    let told = text(&found);
    assert!(told.contains("of the client's 1st message, inside its header of 4 bytes"), "{told}");
    assert!(told.contains("again:  unglue lab torture --replay torture-replay.json"), "{told}");
    let again = run(home.path(), &format!("{UNGLUE} lab torture --replay torture-replay.json"));
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    mend(&home.path().join("torture-replay.json"));
    let mended = run(home.path(), &format!("{UNGLUE} lab torture --json --replay torture-replay.json"));
    assert_eq!(mended.status.code(), Some(0), "{}", text(&mended));
    assert_eq!(json(&mended)["found"], false);
}

/// The compiler of the toolchain that built this.
fn rustc() -> String {
    Path::new(env!("CARGO")).with_file_name("rustc").display().to_string()
}

/// A test in each language fails as long as the program is broken, and passes when it is right.
#[track_caller]
fn in_all_languages(file: &str, end: &str) {
    let home = home();
    let names = ["test_cut.py", "cut.test.js", "cut_test.go", "cut.rs"];
    let flags = names.iter().flat_map(|name| ["--test", name]).collect::<Vec<&str>>();
    let Some(found) = find(home.path(), file, end, &flags) else { return };
    assert!(names.iter().all(|name| text(&found).contains(&format!("test:   {name}"))), "{}", text(&found));
    let rustc = rustc();
    let runs: [(&str, &str, String); 4] = [
        ("test_cut.py", "python3", format!("{} -m unittest test_cut", python().expect("it ran the programs"))),
        ("cut.test.js", "node", "node --test cut.test.js".into()),
        ("cut_test.go", "go", "go test cut_test.go".into()),
        ("cut.rs", &rustc, format!("sh -c '{rustc} --edition 2024 --test cut.rs -o pieces && ./pieces'")),
    ];
    for (name, program, command) in runs {
        if !has(program) {
            eprintln!("skipped: {program} for {name} isn't installed");
            continue;
        }
        let broken = run(home.path(), &command);
        assert!(!broken.status.success(), "{name} passes with a broken program: {}", text(&broken));
        mend(&home.path().join(name));
        let right = run(home.path(), &command);
        assert!(right.status.success(), "{name} fails with a right program: {}", text(&right));
    }
}

#[test]
fn a_broken_client_has_a_test_in_each_language() {
    in_all_languages("recv_trusted.py", "client");
}

#[test]
fn a_broken_server_has_a_test_in_each_language() {
    in_all_languages("half_close.py", "server");
}

#[test]
fn a_narrow_path_has_a_test_where_the_language_can_make_one() {
    let home = home();
    let flags = ["--test", "test_cut.py", "--test", "cut.rs"];
    let Some(found) = find(home.path(), "short_write.py", "server", &flags) else { return };
    let told = text(&found);
    assert!(told.contains("test:   test_cut.py") && !told.contains("test:   cut.rs"), "{told}");
    assert!(told.contains("cut.rs: no test can be written: its standard library can't make a narrow path"), "{told}");
    let command = format!("{} -m unittest test_cut", python().expect("it ran the programs"));
    assert!(!run(home.path(), &command).status.success());
    mend(&home.path().join("test_cut.py"));
    let right = run(home.path(), &command);
    assert!(right.status.success(), "{}", text(&right));
}
