//! Two hosts on one machine, joined by an emulated wire.
//!
//! Each host is a network namespace (network_namespaces(7)) with a TCP/IP stack of its own; the wire is a thread that carries
//! packets between their two TUN devices after a delay. So a round trip, a small MTU, and an acknowledgement that doesn't come are
//! the kernel's own TCP at work, and happen alike however busy the machine is: packets can be [held](Network::hold), the
//! kernel's timers are set far off, and what was sent is counted where it enters the wire.
//!
//! [`Distant`] is the other kind of wire: one for measurements, with a rate, a queue and losses, on which the kernels' timers are as
//! on any machine.
//!
//! It takes root, or a user namespace: otherwise [`LabError::Unavailable`] says what to do.
//!
//! ```no_run
//! use std::io::Write;
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//! use unglue_lab::kernel::tcp_info;
//! use unglue_lab::network::{Network, Side};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::new(Duration::from_millis(10), 1500)?;
//! let listener = network.far().enter(|| TcpListener::bind((network.far().address(), 0)))?;
//! let address = listener.local_addr()?;
//! let mut client = network.near().enter(|| TcpStream::connect(address))?;
//!
//! // No acknowledgement comes, so Nagle's algorithm keeps all but the first write.
//! network.hold(Side::Near);
//! for _ in 0..5 {
//!     client.write_all(b"x")?;
//! }
//! let info = tcp_info(&client)?;
//! assert_eq!((info.first_sent(), info.notsent_bytes), (1, 4));
//! # Ok(())
//! # }
//! ```

mod carrier_thread;
mod device;
mod distant;
mod host;
mod lane;
mod segment;
mod wire;

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::LabError;
use host::Timers;
use wire::Wire;

pub use distant::{Carried, Distance, Distant};
pub use host::Host;
pub use segment::Segment;

/// One end of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end of [`Network::near`].
    Near,
    /// The end of [`Network::far`].
    Far,
}

impl Side {
    /// The opposite end.
    pub fn other(self) -> Side {
        match self {
            Side::Near => Side::Far,
            Side::Far => Side::Near,
        }
    }
}

/// Two hosts and the wire between them.
///
/// Dropped, it takes the wire's thread and both devices with it. Sockets that are still open then reach nobody; of those
/// closed while bytes were under way, the kernel keeps the rest for about a minute more.
#[derive(Debug)]
pub struct Network {
    // First, so that it is dropped first: the devices go before their namespaces.
    wire: Wire,
    near: Host,
    far: Host,
}

impl Network {
    /// Makes two hosts. Each packet reaches the other host `delay` after it was sent, in order, at any rate; `mtu` is the
    /// largest packet in bytes, its IP header included (68 at least).
    ///
    /// # Errors
    /// [`LabError::Unavailable`] where the system doesn't allow it, [`LabError::Io`] where it fails otherwise.
    pub fn new(delay: Duration, mtu: u16) -> Result<Network, LabError> {
        let (near, near_device) = Host::new(Ipv4Addr::new(10, 7, 0, 1), mtu, Timers::FarOff)?;
        let (far, far_device) = Host::new(Ipv4Addr::new(10, 7, 0, 2), mtu, Timers::FarOff)?;
        let wire = Wire::between([near_device, far_device], delay);
        let wire = wire.map_err(LabError::io("start the wire"))?;
        Ok(Network { wire, near, far })
    }

    /// One host, by convention the client's: 10.7.0.1.
    pub fn near(&self) -> &Host {
        &self.near
    }

    /// The other one, by convention the server's: 10.7.0.2.
    pub fn far(&self) -> &Host {
        &self.far
    }

    /// Keeps all packets towards that host, those already under way included, until they are [released](Network::release).
    /// None arrives once this has returned.
    pub fn hold(&self, towards: Side) {
        self.wire.hold(towards);
    }

    /// Gives that host the packets that were kept, in order, and from now on each in its time.
    pub fn release(&self, towards: Side) {
        self.wire.release(towards);
    }

    /// Every TCP segment with payload that has entered the wire so far, in order; exact for each direction, and between the two
    /// as close as one thread sees them.
    ///
    /// A segment enters the wire a moment after the kernel has counted it as sent.
    pub fn segments(&self) -> Vec<Segment> {
        self.wire.segments()
    }

    /// Packets that the receiving host's kernel would not take, as when its memory is full.
    pub fn refused(&self) -> u64 {
        self.wire.refused()
    }

    /// How long the hosts' kernels do nothing of their own accord: sending a segment again, or sending what `TCP_CORK`
    /// keeps back. A minute, or 200 ms before Linux 6.11; a trial that took longer should be repeated.
    pub fn patience(&self) -> Duration {
        self.near.patience().min(self.far.patience())
    }
}
