//! The wire: a thread that takes packets from one host's device and gives them to the other's, later.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Side;
use super::carrier_thread::CarrierThread;
use super::segment::{Record, Segment};

/// How many packets are taken from a device before those that are due are given out.
const BATCH: usize = 64;

/// The wire's handle. The thread ends with it.
#[derive(Debug)]
pub(super) struct Wire {
    shared: Arc<Mutex<Shared>>,
    thread: CarrierThread,
}

/// What the thread and its handle both see.
#[derive(Debug, Default)]
struct Shared {
    record: Record,
    /// Whether the packets towards this side are kept.
    held: [bool; 2],
    refused: u64,
}

impl Wire {
    /// Joins two devices: that of the near and that of the far host.
    pub(super) fn between(devices: [OwnedFd; 2], delay: Duration) -> io::Result<Wire> {
        for device in &devices {
            rustix::fs::fcntl_setfl(device, OFlags::RDWR | OFlags::NONBLOCK)?;
        }
        let (heard, bell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let carrier = Carrier {
            devices,
            heard,
            shared: Arc::clone(&shared),
            began: Instant::now(),
            delay,
            under_way: Default::default(),
            buffer: vec![0; usize::from(u16::MAX)],
        };
        Ok(Wire { shared, thread: CarrierThread::start(bell, move || carrier.run())? })
    }

    /// Once this has returned, no packet reaches that side.
    pub(super) fn hold(&self, towards: Side) {
        lock(&self.shared).held[towards as usize] = true;
    }

    /// Gives that side what was kept, in order, and what follows.
    pub(super) fn release(&self, towards: Side) {
        lock(&self.shared).held[towards as usize] = false;
        self.thread.ring();
    }

    pub(super) fn segments(&self) -> Vec<Segment> {
        lock(&self.shared).record.segments.clone()
    }

    pub(super) fn refused(&self) -> u64 {
        lock(&self.shared).refused
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's own.
struct Carrier {
    devices: [OwnedFd; 2],
    heard: OwnedFd,
    shared: Arc<Mutex<Shared>>,
    began: Instant,
    delay: Duration,
    /// Packets towards each side, and when they are due.
    under_way: [VecDeque<(Instant, Vec<u8>)>; 2],
    buffer: Vec<u8>,
}

impl Carrier {
    /// Carries packets until the bell or a device is gone.
    fn run(mut self) {
        while self.wait().is_ok_and(|bell_is_there| bell_is_there)
            && self.take_in(Side::Near).is_ok()
            && self.take_in(Side::Far).is_ok()
        {
            self.give_out();
        }
    }

    /// Sleeps until a packet comes in, one is due, or the bell rings. False: the bell is gone.
    fn wait(&self) -> rustix::io::Result<bool> {
        let timeout = self.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let [near, far] = &self.devices;
        let mut fds = [near, far, &self.heard].map(|fd| PollFd::new(fd, PollFlags::IN));
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => return Ok(true),
            result => result?,
        };
        let rang = fds[2].revents();
        if rang.contains(PollFlags::IN) {
            rustix::io::read(&self.heard, &mut [0; 64])?;
        }
        Ok(!rang.contains(PollFlags::HUP))
    }

    /// When the first packet is due that isn't kept.
    fn next_due(&self) -> Option<Instant> {
        let held = lock(&self.shared).held;
        let lanes = self.under_way.iter().zip(held).filter(|(_, held)| !held);
        lanes.filter_map(|(lane, _)| lane.front().map(|(due, _)| *due)).min()
    }

    /// Takes the packets that wait in a host's device.
    fn take_in(&mut self, from: Side) -> rustix::io::Result<()> {
        for _ in 0..BATCH {
            let length = match rustix::io::read(&self.devices[from as usize], &mut self.buffer) {
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(gone) => return Err(gone),
            };
            let (now, packet) = (Instant::now(), &self.buffer[..length]);
            lock(&self.shared).record.note(from, now - self.began, packet);
            self.under_way[from.other() as usize].push_back((now + self.delay, packet.to_vec()));
        }
        Ok(())
    }

    /// Gives both hosts what is due, under the lock: so a hold that has returned holds.
    fn give_out(&mut self) {
        let now = Instant::now();
        let mut shared = lock(&self.shared);
        for side in [Side::Near, Side::Far] {
            let lane = &mut self.under_way[side as usize];
            let due = if shared.held[side as usize] { 0 } else { lane.partition_point(|(due, _)| *due <= now) };
            for (_, packet) in lane.drain(..due) {
                let written = rustix::io::write(&self.devices[side as usize], &packet);
                shared.refused += u64::from(written.is_err());
            }
        }
    }
}
