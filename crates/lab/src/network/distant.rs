//! Two hosts that are far from each other: a wire with a rate, a queue and losses, for measurements.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::LabError;

use super::carrier_thread::CarrierThread;
use super::host::{Host, Timers};
use super::lane::Lane;

/// The largest packet, in bytes: Ethernet's.
const MTU: u16 = 1500;

/// How many packets are taken from a device before those that are due are given out.
const BATCH: usize = 128;

/// What lies between two hosts. Both directions are alike.
#[derive(Debug, Clone)]
pub struct Distance {
    /// From one host to the other: half of a round trip.
    pub delay: Duration,
    /// Bits a second, with Ethernet's 38 bytes for each packet; 0 for no limit.
    pub rate: u64,
    /// What the queue before the wire holds, as the time in which it is sent. Packets that find it full are dropped.
    pub queue: Duration,
    /// The part of the packets that is lost, from 0 to 1.
    pub loss: f64,
    /// Which packets those are.
    pub seed: u64,
}

impl Default for Distance {
    /// No distance: no delay, no limit, no loss.
    fn default() -> Distance {
        Distance { delay: Duration::ZERO, rate: 0, queue: Duration::MAX, loss: 0.0, seed: 1 }
    }
}

/// What one direction has been given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets.
    pub packets: u64,
    /// Their bytes, with their IP headers.
    pub bytes: u64,
    /// Packets that were lost by chance.
    pub lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
}

/// Two hosts with a long way between them, on which the kernels' timers run as usual. A thread carries the packets.
///
/// Dropped, it takes the wire's thread and both devices with it.
///
/// ```no_run
/// use std::time::Duration;
/// use unglue_lab::network::{Distance, Distant};
///
/// # fn main() -> Result<(), unglue_lab::LabError> {
/// // 1 Gbit/s, a round trip of 50 ms, one packet of 200 lost.
/// let delay = Duration::from_millis(25);
/// let distance = Distance { delay, rate: 1_000_000_000, queue: 2 * delay, loss: 0.005, seed: 1 };
/// let network = Distant::new(&distance)?;
/// assert_eq!(network.near().address().to_string(), "10.7.0.1");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Distant {
    carried: Arc<Mutex<[Carried; 2]>>,
    /// It goes before the hosts.
    _thread: CarrierThread,
    near: Host,
    far: Host,
}

impl Distant {
    /// Makes two hosts and what lies between them.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] where the system doesn't allow it, [`LabError::Io`] where it fails otherwise.
    pub fn new(distance: &Distance) -> Result<Distant, LabError> {
        let (near, near_device) = Host::new(Ipv4Addr::new(10, 7, 0, 1), MTU, Timers::Ordinary)?;
        let (far, far_device) = Host::new(Ipv4Addr::new(10, 7, 0, 2), MTU, Timers::Ordinary)?;
        let carried = Arc::default();
        let thread = start(distance, [near_device, far_device], &carried).map_err(LabError::io("start the wire"))?;
        Ok(Distant { carried, _thread: thread, near, far })
    }

    /// One host, by convention the client's: 10.7.0.1.
    pub fn near(&self) -> &Host {
        &self.near
    }

    /// The other one, by convention the server's: 10.7.0.2.
    pub fn far(&self) -> &Host {
        &self.far
    }

    /// What has been sent so far, from the near host and from the far one.
    pub fn carried(&self) -> [Carried; 2] {
        *self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(distance: &Distance, devices: [OwnedFd; 2], carried: &Arc<Mutex<[Carried; 2]>>) -> io::Result<CarrierThread> {
    for device in &devices {
        rustix::fs::fcntl_setfl(device, OFlags::RDWR | OFlags::NONBLOCK)?;
    }
    let (stopped, bell) = pipe_with(PipeFlags::CLOEXEC)?;
    let lanes = [0, 1].map(|number| Lane::new(distance, number));
    let carrier = Carrier { devices, lanes, stopped, carried: Arc::clone(carried), began: Instant::now() };
    CarrierThread::start(bell, move || carrier.run())
}

/// The thread's own.
struct Carrier {
    /// The near host's and the far one's.
    devices: [OwnedFd; 2],
    /// From the near host and from the far one.
    lanes: [Lane; 2],
    stopped: OwnedFd,
    carried: Arc<Mutex<[Carried; 2]>>,
    began: Instant,
}

impl Carrier {
    /// Carries packets until the bell or a device is gone.
    fn run(mut self) {
        // Its sleeps are the wire's clock. Without the permission, packets are late by up to 50 µs.
        let _ = rustix::thread::set_current_timer_slack(NonZero::new(1));
        let mut buffer = vec![0; usize::from(u16::MAX)];
        while let Ok(taken) = self.take_in(0, &mut buffer).and_then(|a| Ok(a + self.take_in(1, &mut buffer)?)) {
            let moved = taken + self.give_out();
            if moved == 0 && !self.wait().is_ok_and(|bell_is_there| bell_is_there) {
                break;
            }
        }
    }

    /// Takes packets that wait in a host's device; returns how many.
    fn take_in(&mut self, from: usize, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        for taken in 0..BATCH {
            match rustix::io::read(&self.devices[from], &mut *buffer) {
                Ok(length) => self.lanes[from].enter(&buffer[..length], self.began.elapsed()),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(taken),
                Err(gone) => return Err(gone),
            }
        }
        Ok(BATCH)
    }

    /// Gives both hosts what is due; returns how many packets that were.
    fn give_out(&mut self) -> usize {
        let now = self.began.elapsed();
        let [near, far] = &self.devices;
        let [there, back] = &mut self.lanes;
        // A packet that the host's kernel doesn't take is lost, as on any machine.
        let arrive = |device: &OwnedFd, packet: &[u8]| {
            let _ = rustix::io::write(device, packet);
        };
        there.leave(now, |packet| arrive(far, packet)) + back.leave(now, |packet| arrive(near, packet))
    }

    /// Sleeps until a packet comes in, one is due, or the bell rings. False: the bell is gone.
    fn wait(&self) -> rustix::io::Result<bool> {
        let counts = self.lanes.each_ref().map(Lane::carried);
        *self.carried.lock().unwrap_or_else(PoisonError::into_inner) = counts;
        let due = self.lanes.iter().filter_map(Lane::next_due).min();
        let timeout = due.map(|due| due.saturating_sub(self.began.elapsed()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let [near, far] = &self.devices;
        let mut fds = [near, far, &self.stopped].map(|fd| PollFd::new(fd, PollFlags::IN));
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => return Ok(true),
            result => result?,
        };
        Ok(!fds[2].revents().contains(PollFlags::HUP))
    }
}
