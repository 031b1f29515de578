//! Peers that misbehave before they have authenticated.
//!
//! Each connects, sends what its kind sends, and then waits for the server to end the connection. A server that keeps its
//! promises does so within its deadlines, whatever comes.

mod hello;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::Prng;
use hello::ClientHello;

/// A kind of misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Sends nothing.
    Mute,
    /// Sends a good ClientHello, one byte a second.
    Trickling,
    /// Sends 4 KiB of random bytes.
    Garbage,
    /// Speaks HTTP.
    Http,
    /// Sends the first half of a good ClientHello.
    HalfHello,
    /// Sends a good ClientHello and never answers the server's flight.
    HalfHandshake,
    /// Announces a TLS record longer than any may be.
    HugeRecord,
    /// Announces a handshake message of 16 MiB, and sends records of it as long as they are taken.
    HugeMessage,
    /// Offers nothing newer than TLS 1.2.
    Tls12,
    /// Wants an X.509 certificate.
    X509,
    /// Speaks another application protocol (ALPN).
    OtherAlpn,
}

impl Misbehaviour {
    /// All kinds.
    pub const ALL: [Misbehaviour; 11] = [
        Misbehaviour::Mute,
        Misbehaviour::Trickling,
        Misbehaviour::Garbage,
        Misbehaviour::Http,
        Misbehaviour::HalfHello,
        Misbehaviour::HalfHandshake,
        Misbehaviour::HugeRecord,
        Misbehaviour::HugeMessage,
        Misbehaviour::Tls12,
        Misbehaviour::X509,
        Misbehaviour::OtherAlpn,
    ];

    /// What it sends at once.
    fn message(self) -> Vec<u8> {
        let good = ClientHello::default().record();
        match self {
            Misbehaviour::Mute | Misbehaviour::Trickling => Vec::new(),
            // A content type that TLS doesn't have, so that it is never taken for a record by chance.
            Misbehaviour::Garbage => [vec![0xff], Prng::new(1).bytes(4095)].concat(),
            Misbehaviour::Http => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            Misbehaviour::HalfHello => good[..good.len() / 2].to_vec(),
            Misbehaviour::HalfHandshake => good,
            Misbehaviour::HugeRecord => b"\x16\x03\x01\xff\xff".to_vec(),
            Misbehaviour::HugeMessage => hello::endless_message(),
            Misbehaviour::Tls12 => ClientHello { tls13: false, ..ClientHello::default() }.record(),
            Misbehaviour::X509 => ClientHello { raw_public_key: false, ..ClientHello::default() }.record(),
            Misbehaviour::OtherAlpn => ClientHello { alpn: b"h2", ..ClientHello::default() }.record(),
        }
    }

    /// Connects and begins to misbehave.
    ///
    /// # Errors
    /// The connection is refused. One that is ended while it sends is not an error.
    pub async fn visit(self, server: SocketAddr) -> io::Result<Visit> {
        self.begin(TcpStream::connect(server).await?).await
    }

    /// The same from an address of this machine, such as any of 127.0.0.0/8.
    ///
    /// # Errors
    /// As [`Misbehaviour::visit`].
    pub async fn visit_from(self, source: IpAddr, server: SocketAddr) -> io::Result<Visit> {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((source, 0).into())?;
        self.begin(socket.connect(server).await?).await
    }

    async fn begin(self, mut socket: TcpStream) -> io::Result<Visit> {
        socket.set_nodelay(true)?;
        let message = self.message();
        // A message that the server does not read must not hold up this peer.
        let _ = timeout(Duration::from_secs(1), socket.write_all(&message)).await;
        Ok(Visit { kind: self, socket, since: Instant::now() })
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A misbehaving peer that has connected. Dropped, it closes its connection.
pub struct Visit {
    kind: Misbehaviour,
    socket: TcpStream,
    since: Instant,
}

/// How a visit ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// How long after the connection.
    pub after: Duration,
    /// What the server sent: its flight of the handshake, an alert, nothing.
    pub received: Vec<u8>,
}

/// How much of what the server sends is kept, in bytes.
const MEMORY: usize = 64 * 1024;

impl Visit {
    /// Its kind.
    pub fn kind(&self) -> Misbehaviour {
        self.kind
    }

    /// Goes on misbehaving until the server ends the connection; `None` if it has not within `limit`.
    pub async fn until_closed(mut self, limit: Duration) -> Option<Ending> {
        let since = self.since;
        timeout(limit, self.linger()).await.ok().map(|received| Ending { after: since.elapsed(), received })
    }

    async fn linger(&mut self) -> Vec<u8> {
        let (mut reader, mut writer) = self.socket.split();
        let mut received = Vec::new();
        let receive = async {
            let mut buffer = [0; 4096];
            while let Ok(len) = reader.read(&mut buffer).await
                && len > 0
            {
                let len = len.min(MEMORY - received.len());
                received.extend_from_slice(&buffer[..len]);
            }
        };
        let trickle = async {
            if self.kind == Misbehaviour::Trickling {
                for byte in ClientHello::default().record() {
                    if writer.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = receive => {}
            () = trickle => {}
        }
        received
    }
}

/// Opens `count` visits of random kinds, which stay as long as the result is kept. Those that the server closes at
/// once are left out.
pub async fn crowd(server: SocketAddr, count: usize, seed: u64) -> Vec<Visit> {
    /// At once: fewer than a listener's queue holds.
    const AT_ONCE: usize = 64;
    let mut random = Prng::new(seed);
    let mut visits = Vec::with_capacity(count);
    let mut left = count;
    while left > 0 {
        let arriving: Vec<_> =
            (0..left.min(AT_ONCE)).map(|_| tokio::spawn(random.pick(&Misbehaviour::ALL).visit(server))).collect();
        left -= arriving.len();
        for visit in arriving {
            if let Ok(Ok(visit)) = visit.await {
                visits.push(visit);
            }
        }
    }
    visits
}

/// Lets this process have at least `count` files and sockets open. `false` if the machine doesn't allow that: the test
/// should say that it was skipped.
pub fn allow_open_files(count: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return true;
    }
    limit.maximum.is_none_or(|maximum| maximum >= count)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum: limit.maximum }).is_ok()
}
