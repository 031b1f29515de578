//! What is typed and what is printed passes as it is.

use super::super::pty::OnTerminal;
use crate::host::Host;
use crate::run::{UNGLUE, finish, finish_with};

/// `unglue WORDS` on a terminal of the tests' own.
fn on_terminal(host: &Host, words: &[&str]) -> OnTerminal {
    OnTerminal::start(UNGLUE, host.client(words))
}

#[test]
fn every_byte_that_is_typed_arrives() {
    let host = Host::start();
    let target = host.target();
    // What is typed at once is one read of a terminal, which holds at most 4,095 bytes.
    let script = "stty raw -echo; printf ready; head -c 768 | od -An -v -tu1 > typed; printf done";
    let mut terminal = on_terminal(&host, &["shell", "--escape", "none", &target, "sh", "-c", script]);
    terminal.shows("ready", 0);
    // All bytes in order, each behind Enter, and backwards.
    let all: Vec<u8> =
        (0..=255).chain((0..=255).flat_map(|byte| [b'\r', byte]).take(256)).chain((0..=255).rev()).collect();
    terminal.types_bytes(&all);
    terminal.shows("done", 0);
    let (code, _, restored) = terminal.ended();
    assert!(code == 0 && restored);
    let typed = std::fs::read_to_string(host.root().join("typed")).expect("it was written");
    let typed: Vec<u8> = typed.split_whitespace().map(|number| number.parse().expect("a byte")).collect();
    assert_eq!(typed, all);
}

#[test]
fn every_byte_that_is_printed_is_shown() {
    let host = Host::start();
    let all: Vec<u8> = (0..=255).collect();
    std::fs::write(host.root().join("bytes"), all.repeat(300)).expect("written");
    let terminal = on_terminal(&host, &["shell", &host.target(), "sh", "-c", "stty raw; cat bytes; stty sane"]);
    let (code, shown, restored) = terminal.ended_with_bytes();
    assert!(code == 0 && restored);
    assert!(shown.windows(all.len() * 300).any(|window| window == all.repeat(300)), "{} bytes", shown.len());
}

#[test]
fn the_last_output_is_never_lost() {
    let host = Host::start();
    for size in [1, 4095, 4096, 100_000] {
        let script = format!("head -c {size} /dev/zero | tr '\\0' x; printf end");
        let done = finish(host.client(["exec", "-tt", &host.target(), "-c", &script])).expect(0);
        assert_eq!(done.text().len(), size + 3, "{size}");
        assert!(done.text().ends_with("xend"));
    }
}

#[test]
fn what_is_fed_ends_with_the_end_of_file() {
    let host = Host::start();
    let command = host.client(["exec", "-tt", &host.target(), "-c", "stty -echo; cat; echo \"then $?\"; exit 3"]);
    let done = finish_with(command, b"one\n~.\ntwo\n").expect(3);
    assert!(done.text().contains("one\r\n~.\r\ntwo\r\nthen 0\r\n"), "{done:?}");
}
