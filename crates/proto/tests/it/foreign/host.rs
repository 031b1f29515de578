//! A server with a few make-believe commands and files in memory.

use std::collections::HashMap;

use bytes::Bytes;
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::{AUTH_MESSAGE, CONTROL_MESSAGE};
use unglue_proto::message::exec::{self, Exec, Exit, Left, SpawnFailed, SpawnStep, Started, StreamEnd};
use unglue_proto::message::{Request, Tally, auth, transfer};
use unglue_proto::mux::{Direction, Event, Mux, Read, Role, StreamId};
use unglue_proto::{Code, Fault};
use unglue_testkit::Clock;

/// The server, from its first byte on.
pub(super) struct Host {
    clock: Clock,
    mux: Mux,
    /// Until the hello is through.
    door: Option<Inbox>,
    operations: HashMap<StreamId, Operation>,
    /// What is still to be written, and then finished.
    outbox: HashMap<StreamId, Bytes>,
    files: HashMap<Vec<u8>, Vec<u8>>,
}

struct Operation {
    inbox: Inbox,
    request: Option<Request>,
    /// The client's data, and its end.
    received: Vec<u8>,
    finished: bool,
    sent: Option<Tally>,
}

fn tally(data: &[u8]) -> Tally {
    Tally { bytes: data.len() as u64, blake3: blake3::hash(data).to_hex().to_string() }
}

fn message<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut wire = Vec::new();
    encode(message, &mut wire).expect("it is short");
    wire
}

impl Host {
    pub(super) fn new() -> Host {
        let clock = Clock::new();
        Host {
            mux: Mux::new(Role::Server, clock.now()),
            clock,
            door: Some(Inbox::new(AUTH_MESSAGE)),
            operations: HashMap::new(),
            outbox: HashMap::new(),
            files: HashMap::new(),
        }
    }

    /// Takes bytes of the client and gives the answer to them.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        let mut behind = bytes.to_vec();
        if let Some(mut inbox) = self.door.take() {
            inbox.feed(bytes);
            let Some(auth::FromClient::Hello(hello)) = inbox.next().expect("a hello") else {
                self.door = Some(inbox);
                return answer;
            };
            assert_eq!((hello.protocol.as_str(), hello.proof), (unglue_proto::PROTOCOL, None));
            let (protocol, agent) = (hello.protocol, "make-believe 1.0".into());
            let allow = vec!["exec".into(), "files".into()];
            answer = message(&auth::FromServer::Welcome(auth::Welcome {
                protocol,
                agent,
                user: "ada".into(),
                allow,
                journal: None,
                accepts: vec![],
            }));
            behind = inbox.into_rest();
        }
        self.mux.handle_input(&behind, self.clock.now()).expect("the client keeps to the protocol");
        while let Some(event) = self.mux.poll_event() {
            if let Event::Opened(id) = event
                && id.direction() == Direction::Bidirectional
            {
                self.operations.insert(id, Operation::new());
            }
        }
        let under_way: Vec<_> = self.operations.keys().copied().collect();
        under_way.into_iter().for_each(|id| self.go_on(id));
        loop {
            self.write_outbox();
            if !self.mux.poll_output(&mut answer, usize::MAX, self.clock.now()) {
                return answer;
            }
        }
    }

    /// Writes what the streams take.
    fn write_outbox(&mut self) {
        self.outbox.retain(|id, data| {
            *data = self.mux.write(*id, std::mem::take(data)).unwrap_or_default();
            if data.is_empty() {
                self.mux.finish(*id);
            }
            !data.is_empty()
        });
    }

    fn go_on(&mut self, id: StreamId) {
        let Some(mut operation) = self.operations.remove(&id) else { return };
        operation.listen(&mut self.mux, id);
        let done = match &operation.request {
            None => false,
            Some(Request::Exec(exec)) => self.exec(id, exec, &operation),
            Some(Request::Put(put)) => self.put(id, put, &operation),
            Some(Request::Get(get)) => self.get(id, get),
            Some(other) => panic!("the client asks for {other:?}"),
        };
        match done {
            true => self.mux.stop(id, Code::Cancelled),
            false => drop(self.operations.insert(id, operation)),
        }
    }

    /// Runs a command, once it can end.
    fn exec(&mut self, id: StreamId, exec: &Exec, operation: &Operation) -> bool {
        let words: Vec<&[u8]> = exec.argv.iter().map(|word| word.as_bytes()).collect();
        let stdin = StreamEnd::Eof;
        match words.split_first() {
            Some((&b"echo", words)) => self.ran(id, [&words.join(&b' ')[..], b"\n"].concat(), 0, None),
            Some((&b"false", _)) => self.ran(id, Vec::new(), 1, None),
            Some((&b"cat", _)) if operation.finished => {
                let received = operation.received.clone();
                self.ran(id, received.clone(), 0, Some((received, stdin)));
            }
            Some((&b"cat", _)) => return false,
            Some((&b"deaf", _)) => {
                let input = StreamId(exec.stdin.expect("an input"));
                // Its first frame may not be there yet.
                self.mux.expect(input).expect("a stream of the client's");
                self.mux.stop(input, Code::Cancelled);
                self.ran(id, Vec::new(), 0, Some((Vec::new(), StreamEnd::Abandoned)));
            }
            _ => {
                let spawn_failed =
                    SpawnFailed { errno: "ENOENT".into(), step: SpawnStep::Program, what: "not found".into() };
                self.report(id, Vec::new(), exec::Outcome::SpawnFailed(spawn_failed), None, None);
            }
        }
        true
    }

    fn ran(&mut self, id: StreamId, output: Vec<u8>, code: u8, stdin: Option<(Vec<u8>, StreamEnd)>) {
        let mut open = || self.mux.open(Direction::Unidirectional).expect("the client reads all");
        let (stdout, stderr) = (open(), open());
        let exit = Exit::Exited(code);
        let mut words = message(&exec::FromServer::Started(Started {
            pid: 1,
            stdout: stdout.0,
            stderr: Some(stderr.0),
            taken: 0,
            since: None,
            screen: None,
            from: 0,
        }));
        words.extend(message(&exec::FromServer::Exited(exit.clone())));
        let stdin = stdin.map(|(data, end)| exec::StreamReport { tally: tally(&data), end });
        let stream = exec::StreamReport { tally: tally(&output), end: StreamEnd::Eof };
        self.outbox.insert(stdout, output.into());
        self.outbox.insert(stderr, Bytes::new());
        self.report(id, words, exec::Outcome::Ended(exit), Some(stream), stdin);
    }

    fn report(
        &mut self,
        id: StreamId,
        mut words: Vec<u8>,
        outcome: exec::Outcome,
        stdout: Option<exec::StreamReport>,
        stdin: Option<exec::StreamReport>,
    ) {
        let descendants = stdout.is_some().then_some(Left::None);
        let report = exec::Report { outcome, stdout, stderr: None, stdin, descendants, wall_us: 1, sent: None };
        words.extend(message(&exec::FromServer::Outcome(Box::new(report))));
        self.outbox.insert(id, words.into());
    }

    /// Stores a file, once all of it has come.
    fn put(&mut self, id: StreamId, put: &transfer::Put, operation: &Operation) -> bool {
        let Some(sent) = operation.sent.as_ref().filter(|_| operation.finished) else { return false };
        let received = tally(&operation.received);
        let outcome = match received.verify(sent, "the file") {
            Ok(()) => transfer::Outcome::Done(received),
            Err(fault) => transfer::Outcome::Failed(fault),
        };
        self.files.insert(put.path.0.clone(), operation.received.clone());
        self.outbox.insert(id, message(&transfer::FromServer::Outcome(outcome)).into());
        true
    }

    fn get(&mut self, id: StreamId, get: &transfer::Get) -> bool {
        use transfer::{File, FromServer, Outcome, Time};
        let words = match self.files.get(&get.path.0) {
            None => {
                let fault = Fault::system(Code::System, "no such file").errno("ENOENT").at(get.path.as_bytes());
                message(&FromServer::Outcome(Outcome::Failed(fault)))
            }
            Some(file) => {
                let data = self.mux.open(Direction::Unidirectional).expect("the client reads all");
                self.outbox.insert(data, file.clone().into());
                let modified = Time { seconds: 0, nanoseconds: 0 };
                let found = File { data: data.0, size: Some(file.len() as u64), mode: 0o644, modified };
                [message(&FromServer::File(found)), message(&FromServer::Outcome(Outcome::Done(tally(file))))].concat()
            }
        };
        self.outbox.insert(id, words.into());
        true
    }
}

impl Operation {
    fn new() -> Operation {
        let inbox = Inbox::new(CONTROL_MESSAGE);
        Operation { inbox, request: None, received: Vec::new(), finished: false, sent: None }
    }

    /// Takes what has come on the control stream and on the data stream.
    fn listen(&mut self, mux: &mut Mux, id: StreamId) {
        while let Read::Data(data) = mux.read(id, usize::MAX) {
            self.inbox.feed(&data);
        }
        if self.request.is_none() {
            self.request = self.inbox.next().expect("a request");
        }
        let data = match &self.request {
            Some(Request::Exec(exec)) => exec.stdin,
            Some(Request::Put(put)) => {
                if let Some(transfer::FromClient::Sent(tally)) = self.inbox.next().expect("the client's last word") {
                    self.sent = Some(tally);
                }
                Some(put.data)
            }
            _ => None,
        };
        let deaf = matches!(&self.request, Some(Request::Exec(exec)) if exec.argv[0].as_bytes() == b"deaf");
        let Some(data) = data.filter(|_| !deaf).map(StreamId) else { return };
        mux.expect(data).expect("a stream of the client's");
        loop {
            match mux.read(data, usize::MAX) {
                Read::Data(data) => self.received.extend_from_slice(&data),
                Read::Finished => self.finished = true,
                Read::Blocked | Read::Reset(_) => return,
            }
        }
    }
}
