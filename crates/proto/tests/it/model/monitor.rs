//! Reads along on the wire: what may follow what, and who may send how much.

use std::collections::HashMap;

use unglue_proto::limits::{FRAME_PAYLOAD, INITIAL_WINDOW, MAX_WINDOW, SEND_BUFFER};
use unglue_proto::mux::{Role, StreamId};

use super::user::User;
use crate::wire::*;

/// One direction of a stream, as it is seen on the wire.
#[derive(Default)]
struct Half {
    sent: u64,
    granted: Option<u64>,
    ended: bool,
    stopped: bool,
}

/// Everything that was seen, by stream and by the end that writes.
#[derive(Default)]
pub(super) struct Monitor {
    halves: HashMap<(StreamId, bool), Half>,
}

impl Monitor {
    /// Takes whole frames that an end has sent.
    pub(super) fn watch(&mut self, from: Role, wire: &[u8]) {
        for seen in frames(wire) {
            assert!(seen.data.len() <= FRAME_PAYLOAD);
            match seen.kind {
                DATA | FIN | RESET => self.half(seen.stream, from).write(&seen),
                STOP | WINDOW => self.half(seen.stream, from.peer()).answer(&seen),
                STREAMS => assert_eq!(seen.stream.initiator(), from.peer()),
                kind => panic!("nobody asked for a frame of kind {kind}"),
            }
        }
    }

    fn half(&mut self, stream: StreamId, writer: Role) -> &mut Half {
        self.halves.entry((stream, writer == Role::Server)).or_default()
    }

    /// Holds what was taken from the writers and given to the readers against the bounds.
    pub(super) fn assert_bounds(&mut self, users: &[User; 2]) {
        for user in users {
            for (stream, written) in user.written() {
                let half = self.half(stream, user.role);
                assert!(half.ended || written - half.sent <= SEND_BUFFER as u64, "{stream}: the send buffer overflows");
            }
            for (stream, read) in user.read() {
                let half = self.half(stream, user.role.peer());
                let held = half.sent.saturating_sub(read);
                assert!(held <= MAX_WINDOW, "{stream}: {held} bytes lie unread");
                assert!(half.granted.unwrap_or(0) <= read + MAX_WINDOW, "{stream}: more credit than a window");
            }
        }
    }
}

impl Half {
    fn write(&mut self, seen: &Seen) {
        assert!(!self.ended, "{}: something follows its end", seen.stream);
        if seen.kind != RESET {
            self.sent += seen.data.len() as u64;
        }
        let granted = self.granted.unwrap_or(INITIAL_WINDOW);
        assert!(self.sent <= granted, "{}: {} bytes of {granted}", seen.stream, self.sent);
        self.ended = seen.kind != DATA;
    }

    fn answer(&mut self, seen: &Seen) {
        assert!(!self.stopped, "{}: something follows its stop", seen.stream);
        if seen.kind == STOP {
            self.stopped = true;
            return;
        }
        let granted = u64::from_be_bytes(seen.data.as_slice().try_into().expect("eight bytes"));
        assert!(granted > self.granted.unwrap_or(INITIAL_WINDOW), "{}: credit that gives nothing", seen.stream);
        self.granted = Some(granted);
    }
}
