//! Two ends joined by byte vectors.

use bytes::Bytes;
use unglue_proto::mux::{Event, Mux, Read, Role, StreamId};
use unglue_proto::{Code, Fault};
use unglue_testkit::Clock;

/// A client and a server on one clock.
pub(crate) struct Pair {
    pub(crate) client: Mux,
    pub(crate) server: Mux,
    pub(crate) clock: Clock,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        let clock = Clock::new();
        let (client, server) = (Mux::new(Role::Client, clock.now()), Mux::new(Role::Server, clock.now()));
        Pair { client, server, clock }
    }

    /// Carries everything from the client to the server; gives what it was.
    pub(crate) fn send(&mut self) -> Vec<u8> {
        carry(&mut self.client, &mut self.server, &self.clock)
    }

    /// Carries everything from the server to the client; gives what it was.
    pub(crate) fn answer(&mut self) -> Vec<u8> {
        carry(&mut self.server, &mut self.client, &self.clock)
    }

    /// Carries everything both ways until both ends are silent.
    pub(crate) fn settle(&mut self) {
        while self.client.has_output() || self.server.has_output() {
            self.send();
            self.answer();
        }
    }
}

fn carry(from: &mut Mux, to: &mut Mux, clock: &Clock) -> Vec<u8> {
    let wire = output(from, clock);
    to.handle_input(&wire, clock.now()).expect("one end of ours never breaks the protocol of the other");
    wire
}

/// Everything that an end has to send.
pub(crate) fn output(mux: &mut Mux, clock: &Clock) -> Vec<u8> {
    let mut wire = Vec::new();
    while mux.poll_output(&mut wire, usize::MAX, clock.now()) {}
    assert!(!mux.has_output(), "it has output, and gives none");
    wire
}

/// Everything that has happened at an end.
pub(crate) fn events(mux: &mut Mux) -> Vec<Event> {
    std::iter::from_fn(|| mux.poll_event()).collect()
}

/// Writes all of `data`, which fits.
pub(crate) fn write(mux: &mut Mux, stream: StreamId, data: &[u8]) {
    let rest = mux.write(stream, Bytes::copy_from_slice(data)).expect("the stream is open");
    assert!(rest.is_empty(), "{} bytes were not taken", rest.len());
}

/// What a stream has to read now, and how it has ended, if it has.
pub(crate) fn read_all(mux: &mut Mux, stream: StreamId) -> (Vec<u8>, Read) {
    let mut all = Vec::new();
    loop {
        match mux.read(stream, usize::MAX) {
            Read::Data(data) => all.extend_from_slice(&data),
            end => return (all, end),
        }
    }
}

/// A server that is given these bytes, and what it says to them.
pub(crate) fn server_given(wire: &[u8]) -> (Mux, Result<(), Fault>) {
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let result = server.handle_input(wire, clock.now());
    (server, result)
}

/// The code of the fault that a server finds in these bytes.
pub(crate) fn refusal(wire: &[u8]) -> (Code, String) {
    let fault = server_given(wire).1.expect_err("a fault");
    (fault.code, fault.what)
}
