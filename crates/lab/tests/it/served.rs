//! A dialect's server in this process, its log, and clients that say what no client of ours would.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use unglue_lab::Stopper;
use unglue_lab::dialects::Dialect;
use unglue_lab::server::{Event, Settings};
use unglue_lab::shell::Shell;

use crate::site::uninterrupted;

/// How long a test waits for a fact.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server; it ends when this is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    log: Receiver<String>,
    runs: Option<JoinHandle<()>>,
}

impl Served {
    /// A server that gives a stalled client up after `patience`, with uploads in `directory`.
    pub(crate) fn start(dialect: Dialect, directory: &Path, patience: Duration) -> Served {
        let settings = Settings { directory: directory.to_owned(), patience, ..Settings::default() };
        Served::set(dialect, settings, Shell { largest: 20 << 20, ..Shell::default() })
    }

    pub(crate) fn set(dialect: Dialect, settings: Settings, shell: Shell) -> Served {
        let server = dialect.serve(SocketAddr::from(([127, 0, 0, 1], 0)), settings, shell).expect("it starts");
        let (address, stopper) = (server.address(), server.stopper());
        let (told, log) = channel();
        let told: Mutex<Sender<String>> = Mutex::new(told);
        let runs = thread::spawn(move || {
            let watch = |_: SocketAddr, event: &Event<'_>| {
                let line = match event {
                    Event::Ended { error: Some(error) } => format!("closed: {error}"),
                    Event::Ended { error: None } => "left".into(),
                    Event::Dropped { why } => format!("dropped: {why}"),
                    other => format!("{other:?}"),
                };
                let _ = told.lock().expect("no panic").send(line);
            };
            server.run(&watch).expect("it runs");
        });
        Served { address, stopper, log, runs: Some(runs) }
    }

    /// Waits for a line of the log that holds these words.
    #[track_caller]
    pub(crate) fn tells(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line holds {words:?}: {seen:#?}"),
            }
        }
    }

    /// A connection that says these bytes.
    pub(crate) fn hears(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        // A server that closes early is no failure of this end's.
        let _ = stream.write_all(bytes);
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopper.shut_down();
        let ended = self.runs.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "the server panicked");
    }
}

/// Whether the other end closes the connection, in order or not, within a while.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// A server that takes one connection, reads a command, and says exactly these pieces, one after the other, as separate
/// segments; then it closes, or stays silent until the client is gone.
pub(crate) fn scripted(pieces: Vec<Vec<u8>>, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let _ = uninterrupted(|| stream.read(&mut [0; 1024]))?;
        for piece in pieces {
            stream.write_all(&piece)?;
            // Each piece is received before the next is sent, as far as the kernel can tell.
            while unglue_lab::kernel::unacknowledged(&stream)? > 0 {
                thread::sleep(Duration::from_micros(200));
            }
            thread::sleep(Duration::from_millis(2));
        }
        if closes {
            stream.shutdown(Shutdown::Write)?;
        }
        std::io::copy(&mut stream, &mut std::io::sink())?;
        Ok::<(), std::io::Error>(())
    });
    address
}

/// A server that says a length, waits for `recv_ready`, says the rest, and ends.
pub(crate) fn paced(length: &'static [u8], rest: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let _ = uninterrupted(|| stream.read(&mut [0; 1024]))?;
        stream.write_all(length)?;
        stream.read_exact(&mut [0; 10])?;
        stream.write_all(rest)?;
        stream.shutdown(Shutdown::Write)?;
        std::io::copy(&mut stream, &mut std::io::sink())?;
        Ok::<(), std::io::Error>(())
    });
    address
}
