//! A host: a network namespace with one device, the end of the wire.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::LabError;
use crate::kernel;

use super::device::Device;

/// What to do where namespaces are refused.
const BE_ROOT: &str = "run it as root, or as `unshare --user --map-root-user unglue lab scene NAME`";
/// What to do where the node may not be opened, though namespaces are allowed.
const OPEN_NODE: &str =
    "run it as root, or let this user open that node: most systems give it mode 0666, a container needs `--device`";
/// What to do where there is no node.
const LOAD_TUN: &str = "load the kernel's module with `modprobe tun`; a container needs `--device /dev/net/tun`";
/// What to do where the settings can't be written: then counts would depend on the clock.
const WRITABLE_PROC: &str = "run it where /proc/sys is writable; a container needs `--privileged`";

const DEVICE: &str = "wire";
const PREFIX: u8 = 24;
/// Packets that may wait for the wire's thread: more than any window holds, since a drop would cost [`PATIENT`].
const QUEUE: u16 = 20_000;

/// The setting that makes the kernel wait, in microseconds; Linux 6.11 and later have it.
const RTO_MIN: &str = "ipv4/tcp_rto_min_us";
/// How long a patient kernel waits: less than the 120 s that no timeout may pass.
const PATIENT: Duration = Duration::from_secs(60);
/// How long any other does (`TCP_RTO_MIN`).
const HASTY: Duration = Duration::from_millis(200);

/// What is written below `/proc/sys/net`, where it exists (ip-sysctl in the kernel's documentation), so that nothing depends
/// on the clock.
const TIMELESS: &[(&str, &str)] = &[
    // Nothing is sent again, no corked byte is sent, and no probe, because a clock ran out.
    (RTO_MIN, "60000000"),
    ("ipv4/tcp_early_retrans", "0"),
    // Small writes don't wait for earlier ones to leave the device: this one depends on how busy the machine is.
    ("ipv4/tcp_autocorking", "0"),
];

/// The same for every host.
const SETTINGS: &[(&str, &str)] = &[
    // A connection learns nothing from those before it.
    ("ipv4/tcp_no_metrics_save", "1"),
    // The device stays silent: no neighbour or router is looked for.
    ("ipv6/conf/default/disable_ipv6", "1"),
];

/// When a host's kernel acts of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timers {
    /// Its timers are set far off, so that every run has the same packets.
    FarOff,
    /// As on any machine.
    Ordinary,
}

/// One of the two hosts.
#[derive(Debug)]
pub struct Host {
    address: Ipv4Addr,
    namespace: OwnedFd,
    patience: Duration,
}

impl Host {
    /// Makes a host, and the descriptor that its packets come from and go to.
    pub(super) fn new(address: Ipv4Addr, mtu: u16, timers: Timers) -> Result<(Host, OwnedFd), LabError> {
        // A namespace belongs to a thread until someone else holds it; this process's own stays where it is.
        let made = thread::scope(|scope| scope.spawn(|| Host::make(address, mtu, timers)).join());
        let (host, device) = made.unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        // What fails here must not fail in `enter`, which has no error.
        let entered = thread::scope(|scope| scope.spawn(|| host.move_in()).join());
        entered
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
            .map_err(refused("call setns(CLONE_NEWNET)", BE_ROOT))?;
        Ok((host, device))
    }

    /// Runs in a thread that ends afterwards.
    fn make(address: Ipv4Addr, mtu: u16, timers: Timers) -> Result<(Host, OwnedFd), LabError> {
        kernel::unshare_network().map_err(refused("call unshare(CLONE_NEWNET)", BE_ROOT))?;
        let patience = settle(timers)?;
        let tun = open_tun()?;
        kernel::make_tun(tun.as_fd(), DEVICE).map_err(refused("call ioctl(TUNSETIFF)", BE_ROOT))?;
        configure(address, mtu).map_err(LabError::io("set up a network device"))?;
        let namespace = open("/proc/thread-self/ns/net", OFlags::RDONLY);
        let namespace = namespace.map_err(LabError::io("open its own namespace"))?;
        Ok((Host { address, namespace, patience }, tun))
    }

    /// The host's address on the wire.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its network namespace: other processes enter it by its path below `/proc` (nsenter(1)).
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// How long this host's kernel waits before it sends anything again, or sends what is corked, by itself.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Runs `work` on a thread of this host, and waits for it.
    ///
    /// Sockets made there belong to the host, and work from any thread afterwards; threads and processes started there
    /// belong to it too.
    ///
    /// # Panics
    /// When `work` does, or when no thread can be started.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.move_in().expect("a thread may enter the namespace, as one has before");
            work()
        };
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    fn move_in(&self) -> io::Result<()> {
        move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network)).map_err(Into::into)
    }
}

/// Writes the settings of the calling thread's namespace: `/proc/sys/net` shows that of whoever opens a file.
/// Says how long the kernel is now silent.
fn settle(timers: Timers) -> Result<Duration, LabError> {
    let mut patience = HASTY;
    let timeless = if timers == Timers::FarOff { TIMELESS } else { &[] };
    for (name, value) in SETTINGS.iter().chain(timeless) {
        match fs::write(format!("/proc/sys/net/{name}"), value) {
            Ok(()) if *name == RTO_MIN => patience = PATIENT,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused("write to /proc/sys/net", WRITABLE_PROC)(error));
            }
            _ => {}
        }
    }
    Ok(patience)
}

fn open_tun() -> Result<OwnedFd, LabError> {
    const NODE: &str = "/dev/net/tun";
    open(NODE, OFlags::RDWR).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => refused("open /dev/net/tun", OPEN_NODE)(error),
        _ => refused("open /dev/net/tun", LOAD_TUN)(error),
    })
}

fn open(path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn configure(address: Ipv4Addr, mtu: u16) -> io::Result<()> {
    Device::named("lo")?.bring_up()?;
    let device = Device::named(DEVICE)?;
    device.set_sizes(mtu, QUEUE)?;
    device.add_address(address, PREFIX)?;
    device.bring_up()
}

/// An error that says what the system refused and what helps; or, where it is no refusal, what failed.
fn refused(action: &'static str, advice: &'static str) -> impl FnOnce(io::Error) -> LabError {
    // The last is a node without its driver.
    const REFUSALS: &[i32] = &[libc::EPERM, libc::EACCES, libc::EROFS, libc::ENOENT, libc::ENODEV];
    move |source| match source.raw_os_error() {
        Some(errno) if REFUSALS.contains(&errno) => LabError::Unavailable {
            what: format!("the scene has no network of its own, for it could not {action}: {source}"),
            advice: advice.into(),
        },
        _ => LabError::Io { action: action.into(), source },
    }
}
