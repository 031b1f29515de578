//! A TCP relay on loopback between clients and a server, which does to the bytes what networks do.
//!
//! It cuts every read and every write at random places. On demand it stalls a direction, delays it, drops what it
//! carries without a word, or breaks the link after exactly so many bytes. It ends when it is dropped.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! use tokio::net::{TcpListener, TcpStream};
//! use unglue_testkit::relay::{Relay, Towards};
//!
//! let server = TcpListener::bind("127.0.0.1:0").await?;
//! let relay = Relay::start(server.local_addr()?, 1).await?;
//! let mut client = TcpStream::connect(relay.address()).await?;
//! client.write_all(b"hello").await?;
//! let (mut accepted, _) = server.accept().await?;
//! let mut hello = [0; 5];
//! accepted.read_exact(&mut hello).await?;
//! assert_eq!(&hello, b"hello");
//! assert_eq!(relay.carried(Towards::Server), 5);
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod pump;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Prng;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// From the client to the server.
    Server = 0,
    /// From the server to the client.
    Client = 1,
}

/// What becomes of the bytes of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They are carried.
    Open,
    /// They wait, and so does their sender before long; nothing is lost once it is open again.
    Stalled,
    /// They are thrown away, the connection's end included: a network that drops every packet.
    Silent,
}

/// How a link breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Both sockets are reset (RST): what is under way may be lost.
    Reset,
    /// Both sockets are shut in order (FIN): who looks no closer sees an end of input.
    End,
}

/// What all connections of a relay are subject to.
#[derive(Clone)]
struct Settings {
    flow: [Flow; 2],
    delay: [Duration; 2],
    rate: [Option<u64>; 2],
    piece: usize,
    break_at: [Option<(u64, Break)>; 2],
    /// How many times every connection was broken, and how the last time.
    broken: (u64, Break),
}

struct Shared {
    settings: watch::Sender<Settings>,
    carried: [AtomicU64; 2],
    connections: AtomicUsize,
}

/// A running relay. Dropped, it ends with all its connections.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free loopback port and connects whoever comes to `server`. The same seed cuts in the same way.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(server: SocketAddr, seed: u64) -> io::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let settings = Settings {
            flow: [Flow::Open; 2],
            delay: [Duration::ZERO; 2],
            rate: [None; 2],
            piece: 64 * 1024,
            break_at: [None; 2],
            broken: (0, Break::Reset),
        };
        let shared = Arc::new(Shared {
            settings: watch::Sender::new(settings),
            carried: [AtomicU64::new(0), AtomicU64::new(0)],
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, server, shared.clone(), Prng::new(seed)));
        Ok(Relay { address, shared, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes were delivered in a direction, over all connections.
    pub fn carried(&self, towards: Towards) -> u64 {
        self.shared.carried[towards as usize].load(Ordering::Relaxed)
    }

    /// How many clients have connected so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Says what becomes of the bytes of a direction from now on.
    pub fn set_flow(&self, towards: Towards, flow: Flow) {
        self.shared.settings.send_modify(|settings| settings.flow[towards as usize] = flow);
    }

    /// Both directions fall silent: the sockets stay open, and nothing arrives any more.
    pub fn fall_silent(&self) {
        self.shared.settings.send_modify(|settings| settings.flow = [Flow::Silent; 2]);
    }

    /// Delays each byte of a direction by this much from now on.
    pub fn set_delay(&self, towards: Towards, delay: Duration) {
        self.shared.settings.send_modify(|settings| settings.delay[towards as usize] = delay);
    }

    /// Carries at most so many bytes a second in a direction from now on.
    pub fn set_rate(&self, towards: Towards, rate: u64) {
        self.shared.settings.send_modify(|settings| settings.rate[towards as usize] = Some(rate.max(1)));
    }

    /// The most bytes that are read or written in one piece: 64 KiB, unless it is set. With 1 every byte comes alone.
    pub fn set_piece(&self, bytes: usize) {
        self.shared.settings.send_modify(|settings| settings.piece = bytes.max(1));
    }

    /// Breaks the first connection that has delivered `bytes` bytes in a direction, counted from its beginning, right
    /// behind them. Once: the next connection is carried again.
    pub fn break_after(&self, towards: Towards, bytes: u64, how: Break) {
        self.shared.settings.send_modify(|settings| settings.break_at[towards as usize] = Some((bytes, how)));
    }

    /// Breaks every connection now.
    pub fn break_all(&self, how: Break) {
        self.shared.settings.send_modify(|settings| settings.broken = (settings.broken.0 + 1, how));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until it is aborted; the connections end with it.
async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>, mut seeds: Prng) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let settings = shared.settings.subscribe();
        connections.spawn(carry(client, server, shared.clone(), settings, seeds.next_u64()));
        while connections.try_join_next().is_some() {}
    }
}

/// Carries one connection to its end.
async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    shared: Arc<Shared>,
    mut settings: watch::Receiver<Settings>,
    seed: u64,
) {
    let before = settings.borrow().broken.0;
    let Ok(mut server) = TcpStream::connect(server).await else {
        return pump::break_off(client, None, Break::Reset).await;
    };
    // Each piece shall travel alone, rather than be glued to the next by Nagle's algorithm.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let broken = async {
        match settings.wait_for(|settings| settings.broken.0 > before).await {
            Ok(settings) => settings.broken.1,
            Err(_) => Break::Reset,
        }
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let there = pump::Lane { towards: Towards::Server, shared: &shared, random: Prng::new(seed) };
    let back = pump::Lane { towards: Towards::Client, shared: &shared, random: Prng::new(!seed) };
    let how = tokio::select! {
        how = broken => Some(how),
        ended = async { tokio::try_join!(there.carry(from_client, to_server), back.carry(from_server, to_client)) } => {
            ended.err()
        }
    };
    if let Some(how) = how {
        pump::break_off(client, Some(server), how).await;
    }
}
