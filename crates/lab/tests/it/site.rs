//! What the tests stand on: a network, a connection across it, and deadlines.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use unglue_lab::LabError;
use unglue_lab::kernel::{TcpInfo, tcp_info};
use unglue_lab::network::Network;

/// How long a single read, write or wait may take: less than the kernel's own patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails a test that hangs.
pub(crate) fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let thread = thread::spawn(move || done.send(test()));
    match result.recv_timeout(Duration::from_secs(seconds)) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("not done within {seconds} s"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the thread ended without a result"),
        },
    }
}

/// Calls again where a signal interrupted the call: one that has a timeout is not restarted (signal(7)), and children that end
/// send signals.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Runs a test on a network, if this user may have one.
pub(crate) fn on_network(seconds: u64, delay: Duration, mtu: u16, test: impl FnOnce(&Network) + Send + 'static) {
    within(seconds, move || match Network::new(delay, mtu) {
        Ok(network) => test(&network),
        Err(error @ LabError::Unavailable { .. }) => eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    });
}

/// The two ends of a connection from the near to the far host, and how long it took to connect.
pub(crate) struct Joined {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
    pub(crate) took: Duration,
}

impl Joined {
    pub(crate) fn on(network: &Network) -> Joined {
        let address = network.far().address();
        let listener = network.far().enter(|| TcpListener::bind((address, 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, took) = network.near().enter(|| {
            let began = Instant::now();
            (TcpStream::connect_timeout(&address, PATIENCE).expect("it connects"), began.elapsed())
        });
        let (server, _) = listener.accept().expect("it is accepted");
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        }
        Joined { client, server, took }
    }

    /// The client's counters, once they are as wanted.
    pub(crate) fn when(&self, what: &str, wanted: impl Fn(&TcpInfo) -> bool) -> TcpInfo {
        let began = Instant::now();
        loop {
            let info = tcp_info(&self.client).expect("counters");
            if wanted(&info) {
                return info;
            }
            assert!(began.elapsed() < PATIENCE, "{what} never came true: {info:?}");
            thread::sleep(Duration::from_micros(50));
        }
    }
}
