//! A whole link: `echo hi` over a transport that authenticates by itself, both directions from their first byte.

use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::{AUTH_MESSAGE, CONTROL_MESSAGE};
use unglue_proto::message::{Request, Tally, auth, exec};
use unglue_proto::mux::{Direction, Mux, Read, Role, StreamId};

use super::check;
use crate::pair::{Pair, output, read_all, write};
use crate::wire::*;

const STDOUT: StreamId = StreamId(3);
const STDERR: StreamId = StreamId(7);

fn message<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut wire = Vec::new();
    encode(message, &mut wire).expect("it is short");
    wire
}

fn hello() -> auth::FromClient {
    let (protocol, agent) = (unglue_proto::PROTOCOL.into(), "example 1.0".into());
    auth::FromClient::Hello(auth::Hello { protocol, agent, user: None, proof: None, accepts: vec![] })
}

fn welcome() -> auth::FromServer {
    let (protocol, agent) = (unglue_proto::PROTOCOL.into(), "unglue 0.1.0".into());
    auth::FromServer::Welcome(auth::Welcome {
        protocol,
        agent,
        user: "ada".into(),
        allow: vec!["exec".into()],
        journal: None,
        accepts: vec![],
    })
}

fn request() -> Request {
    let json = br#"{"exec":{"id":"a","argv":["echo","hi"],"descendants":"kill"}}"#;
    serde_json::from_slice(json).expect("a request")
}

fn last_words() -> [exec::FromServer; 3] {
    let exit = exec::Exit::Exited(0);
    let stream = |bytes, blake3: &str| {
        Some(exec::StreamReport { tally: Tally { bytes, blake3: blake3.into() }, end: exec::StreamEnd::Eof })
    };
    let report = exec::Report {
        outcome: exec::Outcome::Ended(exit.clone()),
        stdout: stream(3, "0b8b60248fad7ac6dfac221b7e01a8b91c772421a15b387dd1fb2d6a94aee438"),
        stderr: stream(0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        stdin: None,
        descendants: Some(exec::Left::None),
        wall_us: 1234,
        sent: None,
    };
    let started = exec::Started {
        pid: 4711,
        stdout: STDOUT.0,
        stderr: Some(STDERR.0),
        taken: 0,
        since: None,
        screen: None,
        from: 0,
    };
    [exec::FromServer::Started(started), exec::FromServer::Exited(exit), exec::FromServer::Outcome(Box::new(report))]
}

fn client_speaks(pair: &mut Pair) -> Vec<u8> {
    let control = pair.client.open(Direction::Bidirectional).unwrap();
    write(&mut pair.client, control, &message(&request()));
    pair.client.finish(control);
    pair.send()
}

fn server_answers(pair: &mut Pair) -> Vec<u8> {
    let [started, exited, outcome] = last_words();
    let stdout = pair.server.open(Direction::Unidirectional).unwrap();
    let stderr = pair.server.open(Direction::Unidirectional).unwrap();
    let mut wire = Vec::new();
    let mut flush = |server: &mut Mux| wire.extend(output(server, &pair.clock));
    write(&mut pair.server, CLIENT_BIDI, &message(&started));
    flush(&mut pair.server);
    write(&mut pair.server, stdout, b"hi\n");
    pair.server.finish(stdout);
    pair.server.finish(stderr);
    flush(&mut pair.server);
    write(&mut pair.server, CLIENT_BIDI, &message(&exited));
    write(&mut pair.server, CLIENT_BIDI, &message(&outcome));
    pair.server.finish(CLIENT_BIDI);
    flush(&mut pair.server);
    wire
}

/// Splits the message before the streams off.
fn opening<T: serde::de::DeserializeOwned>(wire: &[u8]) -> (T, Vec<u8>) {
    let mut inbox = Inbox::new(AUTH_MESSAGE);
    inbox.feed(wire);
    let first = inbox.next().expect("it is understood").expect("it is whole");
    (first, inbox.into_rest())
}

#[test]
fn a_command_from_first_byte_to_last() {
    let mut pair = Pair::new();
    let client = [message(&hello()), client_speaks(&mut pair)].concat();
    let server = [message(&welcome()), server_answers(&mut pair)].concat();
    let client = check("link/exec-client", "everything that the client sends for `echo hi`", &client);
    let server = check("link/exec-server", "everything that the server answers", &server);
    assert_eq!(super::names("link"), ["link/exec-client", "link/exec-server"]);

    let (first, rest) = opening::<auth::FromClient>(&client);
    assert_eq!(first, hello());
    let mut mux = Mux::new(Role::Server, pair.clock.now());
    mux.handle_input(&rest, pair.clock.now()).unwrap();
    let (bytes, end) = read_all(&mut mux, CLIENT_BIDI);
    assert_eq!((opening::<Request>(&bytes).0, end), (request(), Read::Finished));

    let (first, rest) = opening::<auth::FromServer>(&server);
    assert_eq!(first, welcome());
    let mut mux = Mux::new(Role::Client, pair.clock.now());
    mux.open(Direction::Bidirectional);
    mux.handle_input(&rest, pair.clock.now()).unwrap();
    assert_eq!(read_all(&mut mux, STDOUT), (b"hi\n".to_vec(), Read::Finished));
    assert_eq!(read_all(&mut mux, STDERR), (vec![], Read::Finished));
    let mut inbox = Inbox::new(CONTROL_MESSAGE);
    inbox.feed(&read_all(&mut mux, CLIENT_BIDI).0);
    for want in last_words() {
        assert_eq!(inbox.next::<exec::FromServer>().unwrap(), Some(want));
    }
}
