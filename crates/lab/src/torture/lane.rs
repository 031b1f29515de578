//! One direction of one connection: takes what its sender sends, and delivers it as the plan says.

use std::io::{self, ErrorKind, Read as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::plan::{Act, Cut, Plan, Towards};
use super::queue::Queues;
use super::transcript::Stream;
use crate::kernel;

/// How long a receiver may take none of the bytes before a cut; then those behind it are sent all the same.
const GRACE: Duration = Duration::from_millis(100);
/// The same for a receiver that has not read to the cut a few times.
const SHORT_GRACE: Duration = Duration::from_millis(5);
const FEW: u32 = 3;
/// How long the bytes before a cut are left alone where it can't be seen whether they were read.
const UNSEEN: Duration = Duration::from_millis(20);
/// How often it is looked whether they were.
const LOOK: Duration = Duration::from_micros(150);
/// How long a sender that finds little room isn't read from at first.
const PAUSE: Duration = Duration::from_millis(300);
/// How many bytes may wait to be delivered; then no more are read.
const BACKLOG: usize = 1 << 20;

/// What all lanes of a run share.
pub(super) struct Clock {
    pub(super) now: Instant,
    /// Counts events.
    pub(super) order: u64,
    /// When something last happened.
    pub(super) active: Instant,
    /// How long bytes are held for others that should arrive with them, after the last that came.
    pub(super) hold: Duration,
    /// In which order the plan's cuts took effect; by their place in the plan.
    pub(super) applied: Vec<Option<u64>>,
}

impl Clock {
    fn happened(&mut self) -> u64 {
        self.active = self.now;
        self.order += 1;
        self.order
    }
}

#[derive(Debug)]
enum Wait {
    Nothing,
    /// Until the receiver has read all; it has read something at `progress`. Then for so long.
    Read {
        unread: u64,
        progress: Instant,
        then: Duration,
    },
    Until(Instant),
}

pub(super) struct Lane {
    cuts: Vec<(usize, Cut)>,
    joins: Vec<Join>,
    pub(super) stream: Stream,
    pending: Vec<u8>,
    sent: u64,
    last_came: Instant,
    ended: bool,
    reset: bool,
    /// The end was passed on, or the receiver is gone.
    closed: bool,
    wait: Wait,
    full: bool,
    missed: u32,
    /// The sender finds little room: when its first bytes were there.
    narrow: bool,
    paused: Option<Instant>,
}

#[derive(Debug)]
struct Join {
    index: usize,
    from: u64,
    until: u64,
    released: bool,
}

/// What a lane waits for.
pub(super) struct Wants {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) wake: Option<Instant>,
}

impl Lane {
    pub(super) fn new(plan: &Plan, connection: usize, towards: Towards, now: Instant) -> Lane {
        let (mut cuts, mut joins) = (Vec::new(), Vec::new());
        for (index, cut) in plan.of_lane(connection, towards) {
            match cut.act {
                Act::Join { until } => {
                    let until = until.unwrap_or(u64::MAX);
                    joins.push(Join { index, from: cut.after, until, released: false });
                }
                Act::Narrow => {}
                _ => cuts.push((index, cut.clone())),
            }
        }
        cuts.reverse();
        Lane {
            cuts,
            joins,
            stream: Stream::default(),
            pending: Vec::new(),
            sent: 0,
            last_came: now,
            ended: false,
            reset: false,
            closed: false,
            wait: Wait::Nothing,
            full: false,
            missed: 0,
            narrow: plan.is_narrow(towards),
            paused: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.closed
    }

    /// Whether it holds bytes back on purpose.
    pub(super) fn is_holding(&self) -> bool {
        !self.closed
            && (!matches!(self.wait, Wait::Nothing)
                || self.held().is_some()
                || self.paused.is_some_and(|since| since.elapsed() < PAUSE))
    }

    pub(super) fn wants(&self, clock: &Clock) -> Wants {
        if self.closed {
            return Wants { read: false, write: false, wake: None };
        }
        let pausing = self.paused.map(|since| since + PAUSE).filter(|until| *until > clock.now);
        let wake = match &self.wait {
            Wait::Read { .. } => Some(clock.now + LOOK),
            Wait::Until(until) => Some(*until),
            Wait::Nothing => self.held().map(|_| self.last_came + clock.hold),
        };
        Wants {
            read: !self.ended && pausing.is_none() && (self.pending.len() < BACKLOG || self.held().is_some()),
            write: self.full && matches!(self.wait, Wait::Nothing),
            wake: wake.into_iter().chain(pausing).min(),
        }
    }

    /// Reads what there is, and delivers what may be.
    pub(super) fn pump(&mut self, from: &TcpStream, to: &TcpStream, queues: &Queues, clock: &mut Clock) {
        if self.closed {
            return;
        }
        if self.narrow && self.paused.is_none() && from.peek(&mut [0]).is_ok() {
            self.paused = Some(clock.now);
            clock.happened();
        }
        if !self.narrow || self.paused.is_some() {
            self.take(from, clock);
        }
        if self.deliver(to, queues, clock).is_err() {
            // The receiver is gone: its sender learns it as any network would tell it.
            self.closed = true;
            clock.happened();
            let _ = from.shutdown(Shutdown::Both);
        }
    }

    fn take(&mut self, mut from: &TcpStream, clock: &mut Clock) {
        let mut buffer = [0; 1 << 16];
        while self.wants(clock).read {
            match from.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    self.stream.ended = Some(clock.happened());
                }
                Ok(n) => {
                    self.stream.add(&buffer[..n], clock.happened());
                    self.pending.extend_from_slice(&buffer[..n]);
                    self.last_came = clock.now;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    (self.ended, self.reset) = (true, true);
                    self.stream.ended = Some(clock.happened());
                }
            }
        }
    }

    fn deliver(&mut self, to: &TcpStream, queues: &Queues, clock: &mut Clock) -> io::Result<()> {
        loop {
            if !self.waited(to, queues, clock) {
                return Ok(());
            }
            self.release(clock);
            if self.held().is_some() {
                return Ok(());
            }
            let limit = self.limit();
            let ready = usize::try_from(limit - self.sent).unwrap_or(usize::MAX).min(self.pending.len());
            if ready == 0 {
                return if self.ended && self.pending.is_empty() { self.end(to, clock) } else { Ok(()) };
            }
            // With its sender's end, if that is to arrive together with it.
            let joined = self.ended && self.joins.iter().any(|join| join.until == u64::MAX && join.from <= self.sent);
            let flags = if joined && ready == self.pending.len() { SendFlags::MORE } else { SendFlags::empty() };
            match rustix::net::send(to, &self.pending[..ready], flags | SendFlags::NOSIGNAL) {
                Ok(n) => {
                    self.pending.drain(..n);
                    self.sent += n as u64;
                    self.full = false;
                    clock.happened();
                }
                Err(rustix::io::Errno::AGAIN) => {
                    self.full = true;
                    return Ok(());
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.cut_here(to, clock);
            if self.closed {
                return Ok(());
            }
        }
    }

    /// Passes the sender's end on.
    fn end(&mut self, to: &TcpStream, clock: &mut Clock) -> io::Result<()> {
        self.closed = true;
        clock.happened();
        match self.reset {
            true => to.shutdown(Shutdown::Both),
            false => to.shutdown(Shutdown::Write),
        }
        .or(Ok(()))
    }

    /// The hold that the bytes to deliver are under.
    fn held(&self) -> Option<&Join> {
        if self.pending.is_empty() {
            return None;
        }
        self.joins.iter().find(|join| !join.released && join.from <= self.sent && self.sent < join.until)
    }

    /// Ends a hold whose bytes are all there, or whose time is up.
    fn release(&mut self, clock: &mut Clock) {
        let (came, sent, ended) = (self.stream.total, self.sent, self.ended);
        let late = clock.now >= self.last_came + clock.hold;
        for join in &mut self.joins {
            let active = !join.released && join.from <= sent && sent < join.until && came > sent;
            if active && (came >= join.until || ended || late) {
                join.released = true;
                clock.applied[join.index] = Some(clock.order);
            }
        }
    }

    /// How far may be sent in one go.
    fn limit(&mut self) -> u64 {
        let sent = self.sent;
        // What arrives together isn't cut, neither by another hold's beginning.
        let inside = |at: u64| {
            self.joins.iter().any(|join| join.from <= sent && sent < join.until && join.from < at && at < join.until)
        };
        while self.cuts.last().is_some_and(|(_, cut)| cut.after <= sent || inside(cut.after)) {
            self.cuts.pop();
        }
        let cut = self.cuts.last().map(|(_, cut)| cut.after);
        let join = self.joins.iter().map(|join| join.from).filter(|from| *from > sent && !inside(*from)).min();
        cut.into_iter().chain(join).min().unwrap_or(u64::MAX)
    }

    /// Begins what the plan has for the place just reached.
    fn cut_here(&mut self, to: &TcpStream, clock: &mut Clock) {
        while let Some((index, cut)) = self.cuts.last().filter(|(_, cut)| cut.after == self.sent).cloned() {
            self.cuts.pop();
            clock.applied[index] = Some(clock.order);
            let then = match cut.act {
                Act::Stall { ms } => Duration::from_millis(ms),
                _ => Duration::ZERO,
            };
            self.wait = Wait::Read { unread: u64::MAX, progress: clock.now, then };
            if cut.act == Act::HalfClose {
                let _ = to.shutdown(Shutdown::Write);
                self.closed = true;
            }
        }
        if self.joins.iter().any(|join| join.from == self.sent && self.sent > 0) {
            self.wait = Wait::Read { unread: u64::MAX, progress: clock.now, then: Duration::ZERO };
        }
    }

    /// Whether the lane may go on.
    fn waited(&mut self, to: &TcpStream, queues: &Queues, clock: &mut Clock) -> bool {
        match &mut self.wait {
            Wait::Nothing => return true,
            Wait::Until(until) if *until > clock.now => return false,
            Wait::Until(_) => {}
            Wait::Read { unread, progress, then } => {
                let since = clock.now.saturating_duration_since(*progress);
                let grace = if self.missed >= FEW { SHORT_GRACE } else { GRACE };
                let (over, missed) = match queues.of_peer(to) {
                    Some(queue) if queue.arrived >= self.sent && queue.unread == 0 => (true, false),
                    Some(queue) if queue.unread < *unread => {
                        (*unread, *progress) = (queue.unread, clock.now);
                        (false, false)
                    }
                    Some(_) => (since >= grace, true),
                    None => {
                        (since >= UNSEEN && kernel::unacknowledged(to).is_ok_and(|n| n == 0) || since >= GRACE, false)
                    }
                };
                if !over {
                    return false;
                }
                self.missed = if missed { self.missed + 1 } else { 0 };
                let then = *then;
                if !then.is_zero() {
                    self.wait = Wait::Until(clock.now + then);
                    return false;
                }
            }
        }
        self.wait = Wait::Nothing;
        clock.happened();
        true
    }
}
