//! What the fuzzers of the multiplexer and of the control messages check.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::{CONTROL_MESSAGE, LINK_UNREAD, LINK_UNSENT, LINK_WINDOWS};
use unglue_proto::message::{Request, auth, exec, transfer};
use unglue_proto::mux::{Config, Direction, Event, Memory, Mux, Read, Role, SharedMemory, StreamId};

/// What an end made of its input.
#[derive(Debug, PartialEq)]
struct Seen {
    opened: Vec<StreamId>,
    pongs: Vec<u64>,
    read: Vec<(StreamId, Vec<u8>, Option<Read>)>,
    fault: Option<String>,
}

/// Gives an end these bytes in chunks of these sizes, reads nothing before the end, and then everything.
fn run(role: Role, wire: &[u8], shared: &Arc<SharedMemory>, mut size: impl FnMut() -> usize) -> Seen {
    let now = Instant::now();
    let mut config = Config::default();
    config.memory = Memory::default().shared_with(shared);
    let mut mux = Mux::with_config(role, now, &config);
    for direction in [Direction::Bidirectional, Direction::Unidirectional] {
        let id = mux.open(direction).expect("the limit is far away");
        mux.write(id, vec![1; 100_000].into()).expect("it is open");
    }
    mux.ping();
    mux.poll_output(&mut Vec::new(), usize::MAX, now);
    let (mut rest, mut fault) = (wire, None);
    while !rest.is_empty() && fault.is_none() {
        let (chunk, after) = rest.split_at(size().clamp(1, rest.len()));
        rest = after;
        fault = mux.handle_input(chunk, now).err().map(|fault| fault.to_string());
    }
    let [unread, windows, unsent] = mux.memory_taken();
    assert!(unread <= LINK_UNREAD && windows <= LINK_WINDOWS && unsent <= LINK_UNSENT);
    let mut seen = Seen { opened: Vec::new(), pongs: Vec::new(), read: Vec::new(), fault };
    let mut readable = Vec::new();
    while let Some(event) = mux.poll_event() {
        match event {
            Event::Opened(id) => seen.opened.push(id),
            // Several events about pongs or reads may be one in larger chunks.
            Event::Pong(number) => seen.pongs = vec![number],
            Event::Readable(id) if !readable.contains(&id) => readable.push(id),
            _ => {}
        }
    }
    for id in readable {
        let (mut all, mut end) = (Vec::new(), None);
        loop {
            match mux.read(id, 1000) {
                Read::Data(data) => all.extend_from_slice(&data),
                Read::Blocked => break,
                other => {
                    end = Some(other);
                    break;
                }
            }
        }
        seen.read.push((id, all, end));
    }
    // What it answers is whole frames, and short of what it was given.
    let mut answer = Vec::new();
    while mux.poll_output(&mut answer, 1000, now) {}
    assert!(!mux.has_output());
    let mut frames = &answer[..];
    while let Some((head, data)) = frames.split_at_checked(9) {
        let len = u32::from_be_bytes(head[..4].try_into().expect("four bytes")) as usize;
        frames = data.get(len..).expect("a whole frame");
    }
    assert!(frames.is_empty());
    let _ = mux.handle_timeout(now + Duration::from_secs(11));
    seen
}

/// An input is a byte for the role, and what such an end receives.
pub fn mux(input: &[u8]) {
    let Some((role, wire)) = input.split_first() else { return };
    let role = if role & 1 == 0 { Role::Server } else { Role::Client };
    let shared = Arc::new(SharedMemory::default());
    let whole = run(role, wire, &shared, || usize::MAX);
    assert_eq!(run(role, wire, &shared, || 1), whole, "byte by byte");
    assert_eq!(run(role, wire, &shared, || 7), whole, "in pieces");
    assert_eq!(shared.taken(), [0; 3], "memory is still counted");
}

/// All messages of one kind at the front of the bytes, and whether the rest is none; in chunks of this size.
fn messages<T: DeserializeOwned + Serialize>(wire: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let mut inbox = Inbox::new(CONTROL_MESSAGE);
    let mut taken = Vec::new();
    for chunk in wire.chunks(size.max(1)) {
        inbox.feed(chunk);
        loop {
            match inbox.next::<T>() {
                Ok(Some(message)) => {
                    let mut again = Vec::new();
                    encode(&message, &mut again).expect("what was understood can be said");
                    taken.push(again);
                }
                Ok(None) => break,
                Err(_) => return (taken, false),
            }
        }
    }
    (taken, true)
}

fn check<T: DeserializeOwned + Serialize>(wire: &[u8]) {
    let (whole, well) = messages::<T>(wire, usize::MAX);
    assert_eq!(messages::<T>(wire, 1), (whole.clone(), well), "byte by byte");
    for message in whole {
        let (again, well) = messages::<T>(&message, usize::MAX);
        assert!(well && again.len() == 1, "{:?}", String::from_utf8_lossy(&message));
    }
}

/// An input is what a control stream carries, or what comes before the streams.
pub fn control(input: &[u8]) {
    check::<Request>(input);
    check::<auth::FromClient>(input);
    check::<auth::FromServer>(input);
    check::<exec::FromClient>(input);
    check::<exec::FromServer>(input);
    check::<transfer::FromClient>(input);
    check::<transfer::FromServer>(input);
}
