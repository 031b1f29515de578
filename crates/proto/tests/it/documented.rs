//! PROTOCOL.md and SECURITY.md against the code: every kind, name, field and code is documented, every kind has a golden
//! vector, and the numbers are those of `limits.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use unglue_proto::message::{self, Request, exec, files, forward, jobs, transfer, tree, waits};
use unglue_proto::{Code, limits};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("it is in the workspace")
}

/// The messages of the golden vectors, as JSON; those of later versions are left out.
fn vectors() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/unglue-1/messages");
    let mut messages = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of vectors") {
        let path = entry.expect("an entry").path();
        if path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains("later")) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a vector");
        let json = text.lines().find_map(|line| line.strip_prefix("# {")).expect("a vector shows its JSON");
        messages.push(serde_json::from_str(&format!("{{{json}")).expect("JSON"));
    }
    messages
}

fn each_key(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            found.insert(key.clone());
            each_key(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| each_key(value, found)),
        _ => {}
    }
}

/// Those that the document has neither as code (`` `name` ``) nor in an example (`"name"`).
fn missing<'a>(document: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let is_there = |name: &str| document.contains(&format!("`{name}`")) || document.contains(&format!("\"{name}\""));
    names.into_iter().filter(|name| !is_there(name)).collect()
}

/// All kinds of messages but those of the opening, which has vectors for each (`golden/messages.rs`).
const KINDS: &[&[&str]] = &[
    Request::KINDS,
    exec::Lease::KINDS,
    message::Compress::KINDS,
    exec::FromClient::KINDS,
    exec::FromServer::KINDS,
    exec::Exit::KINDS,
    exec::Outcome::KINDS,
    transfer::FromClient::KINDS,
    transfer::FromServer::KINDS,
    transfer::Outcome::KINDS,
    tree::FromServer::KINDS,
    tree::Outcome::KINDS,
    files::Verb::KINDS,
    files::FromServer::KINDS,
    files::Outcome::KINDS,
    jobs::From::KINDS,
    jobs::FromServer::KINDS,
    jobs::Reply::KINDS,
    forward::Place::KINDS,
    forward::FromServer::KINDS,
    forward::Outcome::KINDS,
    forward::FromListener::KINDS,
    forward::FromClient::KINDS,
    waits::FromServer::KINDS,
];

const NAMES: &[&[&str]] = &[
    exec::SpawnStep::NAMES,
    exec::StreamEnd::NAMES,
    exec::Left::NAMES,
    tree::Way::NAMES,
    tree::Layout::NAMES,
    files::EntryKind::NAMES,
    jobs::State::NAMES,
    exec::KNOWN,
    transfer::PUT_KNOWN,
    transfer::GET_KNOWN,
    tree::KNOWN,
    files::KNOWN,
    jobs::ATTACH_KNOWN,
    forward::CONNECT_KNOWN,
    forward::LISTEN_KNOWN,
];

#[test]
fn every_kind_has_a_golden_vector() {
    let mut keys = BTreeSet::new();
    vectors().iter().for_each(|message| each_key(message, &mut keys));
    let without: Vec<_> = KINDS.concat().into_iter().filter(|kind| !keys.contains(*kind)).collect();
    assert!(without.is_empty(), "{without:?}: no vector has them");
}

#[test]
fn every_kind_name_and_field_is_in_the_document() {
    let protocol = document("PROTOCOL.md");
    let absent = missing(&protocol, KINDS.iter().chain(NAMES).copied().flatten().copied());
    assert!(absent.is_empty(), "{absent:?}: not in PROTOCOL.md");
    let mut fields = BTreeSet::new();
    vectors().iter().for_each(|message| each_key(message, &mut fields));
    let absent = missing(&protocol, fields.iter().map(String::as_str));
    assert!(absent.is_empty(), "{absent:?}: fields that are not in PROTOCOL.md");
}

#[test]
fn every_outcome_is_in_the_document_of_the_command() {
    let command = document("docs/cli.md");
    let outcomes = exec::Exit::KINDS.iter().chain(exec::Outcome::KINDS).filter(|kind| **kind != "ended");
    let absent: Vec<_> = outcomes.filter(|kind| !command.contains(&format!("| `{{\"{kind}\":"))).collect();
    assert!(absent.is_empty(), "{absent:?}: no line in the table of outcomes in docs/cli.md");
}

#[test]
fn every_code_is_in_the_document_with_its_number() {
    let protocol = document("PROTOCOL.md");
    let codes: Vec<Code> = (1..).map(Code::from_wire).take_while(|code| *code != Code::Other).collect();
    for code in &codes {
        let name = serde_json::to_value(code).expect("a name");
        let cell = format!("| {} | `{}` |", *code as u32, name.as_str().expect("text"));
        assert!(protocol.contains(&cell), "{cell}");
    }
    assert!(!protocol.contains(&format!("| {} | `", codes.len() + 1)), "a code that nothing has");
}

/// `4194304` is 4 MiB, `65536` is 64 KiB.
fn size(bytes: u64) -> String {
    match bytes {
        whole if whole.is_multiple_of(1 << 20) => format!("{} MiB", whole >> 20),
        whole => format!("{} KiB", whole >> 10),
    }
}

/// With a comma between the thousands.
fn number(value: u64) -> String {
    match value {
        small @ ..1000 => small.to_string(),
        large => format!("{},{:03}", number(large / 1000), large % 1000),
    }
}

#[test]
fn the_numbers_of_the_protocol_are_those_of_the_code() {
    let protocol = document("PROTOCOL.md");
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    let rows = [
        format!("| data of a frame | {} bytes |", number(limits::FRAME_PAYLOAD as u64)),
        format!("| control message | {} |", size(limits::CONTROL_MESSAGE as u64)),
        format!("| message of the opening | {} |", size(limits::AUTH_MESSAGE as u64)),
        format!("| arguments, and variables, of a command | {} each |", number(message::exec::STRINGS as u64)),
        format!("| keys in an offer | {};", limits::AUTH_TRIES),
        format!("| first credit of a stream | {} bytes |", number(limits::INITIAL_WINDOW)),
        format!("| window of a stream | grows up to {} |", size(limits::MAX_WINDOW)),
        format!(
            "| streams of one opener | {} bidirectional, {} unidirectional |",
            number(limits::BIDIRECTIONAL_STREAMS as u64),
            number(limits::UNIDIRECTIONAL_STREAMS as u64)
        ),
        format!("| unread bytes of a link | {} |", size(limits::LINK_UNREAD)),
        format!(
            "| forwarded connections | {} per link, {} per server |",
            number(limits::CONNECTIONS_PER_LINK as u64),
            number(limits::CONNECTIONS_PER_SERVER as u64)
        ),
        format!(
            "| places that are listened on | {} per link, {} per server |",
            limits::LISTENERS_PER_LINK,
            limits::LISTENERS_PER_SERVER
        ),
        format!("| connecting to a place, its name's lookup included | {} |", seconds(limits::CONNECT)),
        format!("| from `accepted` to `taken` or `declined` | {} |", seconds(limits::TAKE)),
        format!("| reason of a go-away | {} bytes |", number(limits::GO_AWAY_REASON as u64)),
        format!("| TLS handshake | {} |", seconds(limits::HANDSHAKE)),
        format!("| first message after the handshake | {} |", seconds(limits::FIRST_MESSAGE)),
        format!("| from `sign` to `hello` | {} |", seconds(limits::SIGNATURE)),
        format!("| from `hello` to `welcome` | {} |", seconds(limits::WELCOME)),
        format!("| time without sending | {} |", seconds(limits::HEARTBEAT)),
        format!("| time without receiving | {} |", seconds(limits::SILENCE)),
        format!("| a command waits for others to end | {} |", seconds(limits::TURN)),
        format!("| from the request to `started` or a final message | {} |", seconds(limits::START)),
        format!("| from `exited` and the ends of both outputs to the outcome | {} |", seconds(limits::OUTCOME)),
        format!("| from the end of a transfer's data to `sent` or the outcome | {} |", seconds(limits::FINAL_MESSAGE)),
        format!(
            "accepts {} transfers on one link and {} on all links",
            limits::TRANSFERS_PER_LINK,
            limits::TRANSFERS_PER_SERVER
        ),
    ];
    let wrong: Vec<_> = rows.iter().filter(|row| !protocol.contains(*row)).collect();
    assert!(wrong.is_empty(), "PROTOCOL.md doesn't have {wrong:#?}");
}

#[test]
fn the_budgets_of_memory_are_those_of_the_code() {
    let security = document("SECURITY.md");
    let budgets = |link, server| format!(" | {} | {} | ", size(link), size(server));
    let unread = budgets(limits::LINK_UNREAD, limits::SERVER_UNREAD);
    let rows = [
        format!("unread bytes in first windows ({} per stream)", size(limits::INITIAL_WINDOW)),
        format!("control messages of running operations{unread}"),
        format!("| credit beyond first windows{}", budgets(limits::LINK_WINDOWS, limits::SERVER_WINDOWS)),
        format!(
            "| bytes written but not sent, beyond {} per stream{}",
            size(limits::SEND_RESERVE as u64),
            budgets(limits::LINK_UNSENT, limits::SERVER_UNSENT)
        ),
        format!("| from the TCP connection to the end of the handshake | {} s |", limits::HANDSHAKE.as_secs()),
        format!("| from the end of the handshake to the first message | {} s |", limits::FIRST_MESSAGE.as_secs()),
        format!("(an ssh-agent may ask its user first) | {} s |", limits::SIGNATURE.as_secs()),
        format!("| keys that one connection may offer or prove | {} |", limits::AUTH_TRIES),
        format!("| longest message before authentication | {} |", size(limits::AUTH_MESSAGE as u64)),
    ];
    let wrong: Vec<_> = rows.iter().filter(|row| !security.contains(*row)).collect();
    assert!(wrong.is_empty(), "SECURITY.md doesn't have {wrong:#?}");
}
