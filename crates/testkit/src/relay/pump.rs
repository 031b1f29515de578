//! One direction of one connection.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Break, Flow, Settings, Shared, Towards};
use crate::Prng;

/// Pieces that are under way in a direction: what a delayed network holds.
const UNDER_WAY: usize = 16;
/// At a rate, bytes may come at once for so long.
const BURST: Duration = Duration::from_millis(20);
/// How long a link that ends in order waits for both ends to close.
const PARTING: Duration = Duration::from_secs(5);

/// What a direction needs to know.
pub(super) struct Lane<'a> {
    pub(super) towards: Towards,
    pub(super) shared: &'a Shared,
    pub(super) random: Prng,
}

/// Bytes, and when they are due at the other end.
struct Piece {
    bytes: Vec<u8>,
    due: Instant,
}

impl Lane<'_> {
    /// Carries the bytes until their end, which is passed on. `Err` says how the whole connection breaks.
    pub(super) async fn carry(self, from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin) -> Result<(), Break> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let settings = self.shared.settings.subscribe();
        let mut random = self.random.clone();
        let reader_random = Prng::new(random.next_u64());
        let reading = read(from, self.towards, settings.clone(), reader_random, sender);
        let writing = write(to, self.towards, settings, random, receiver, self.shared);
        tokio::try_join!(reading, writing).map(|_| ())
    }
}

/// Reads pieces of random sizes until the end of input.
async fn read(
    mut from: impl AsyncRead + Unpin,
    towards: Towards,
    mut settings: watch::Receiver<Settings>,
    mut random: Prng,
    pieces: mpsc::Sender<Piece>,
) -> Result<(), Break> {
    loop {
        let flow = flowing(&mut settings, towards).await;
        let most = settings.borrow().piece;
        let mut bytes = vec![0; random.log_uniform(1, most)];
        match (from.read(&mut bytes).await, flow) {
            (Ok(0) | Err(_), Flow::Silent) => pending().await,
            (Ok(0), _) if settings.borrow().flow[towards as usize] == Flow::Silent => pending().await,
            (Ok(0), _) => return Ok(()),
            (Err(_), _) => return Err(Break::Reset),
            (Ok(len), _) => bytes.truncate(len),
        }
        let delay = settings.borrow().delay[towards as usize];
        if pieces.send(Piece { bytes, due: Instant::now() + delay }).await.is_err() {
            return Ok(());
        }
    }
}

/// Writes what was read when it is due, in pieces of other sizes.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    towards: Towards,
    mut settings: watch::Receiver<Settings>,
    mut random: Prng,
    mut pieces: mpsc::Receiver<Piece>,
    shared: &Shared,
) -> Result<(), Break> {
    let mut carried = 0;
    // When the bytes that were written have passed at the rate that is set.
    let mut free = Instant::now();
    loop {
        // A break behind bytes that are already delivered takes effect without another byte.
        let piece = tokio::select! {
            how = reached(settings.clone(), towards, carried) => return Err(take_break(shared, towards, how)),
            piece = pieces.recv() => piece,
        };
        let Some(Piece { bytes, due }) = piece else { break };
        sleep_until(due).await;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if flowing(&mut settings, towards).await == Flow::Silent {
                break;
            }
            let len = random.log_uniform(1, rest.len());
            let (break_at, most, rate) = {
                let settings = settings.borrow();
                (settings.break_at[towards as usize], settings.piece, settings.rate[towards as usize])
            };
            let left = break_at.map_or(u64::MAX, |(at, _)| at.saturating_sub(carried));
            let len = len.min(most).min(usize::try_from(left).unwrap_or(usize::MAX));
            to.write_all(&rest[..len]).await.map_err(|_| Break::Reset)?;
            if let Some(rate) = rate {
                // Timers are late by a millisecond: what was not used for a while may be used later.
                let earliest = Instant::now().checked_sub(BURST).unwrap_or(free);
                free = free.max(earliest) + Duration::from_secs_f64(len as f64 / rate as f64);
                if free > Instant::now() {
                    sleep_until(free).await;
                }
            }
            rest = &rest[len..];
            carried += len as u64;
            shared.carried[towards as usize].fetch_add(len as u64, Ordering::Relaxed);
            if let Some((at, how)) = break_at
                && carried >= at
            {
                return Err(take_break(shared, towards, how));
            }
        }
    }
    if flowing(&mut settings, towards).await == Flow::Silent {
        return pending().await;
    }
    // The other end may be gone already.
    let _ = to.shutdown().await;
    Ok(())
}

/// Waits until the direction is not stalled; says what it is.
async fn flowing(settings: &mut watch::Receiver<Settings>, towards: Towards) -> Flow {
    match settings.wait_for(|settings| settings.flow[towards as usize] != Flow::Stalled).await {
        Ok(settings) => settings.flow[towards as usize],
        Err(_) => Flow::Silent,
    }
}

/// Waits until the link shall break at a point that has been passed.
async fn reached(mut settings: watch::Receiver<Settings>, towards: Towards, carried: u64) -> Break {
    let due = |settings: &Settings| settings.break_at[towards as usize].filter(|(at, _)| *at <= carried);
    let found = settings.wait_for(|settings| due(settings).is_some()).await.ok().and_then(|settings| due(&settings));
    match found {
        Some((_, how)) => how,
        None => pending().await,
    }
}

/// A break happens once.
fn take_break(shared: &Shared, towards: Towards, how: Break) -> Break {
    shared.settings.send_modify(|settings| settings.break_at[towards as usize] = None);
    how
}

/// Ends a connection as `how` says.
pub(super) async fn break_off(client: TcpStream, server: Option<TcpStream>, how: Break) {
    for socket in [Some(client), server].into_iter().flatten() {
        match how {
            // Closing a socket that lingers for no time at all resets it (socket(7), SO_LINGER).
            Break::Reset => drop(rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))),
            Break::End => drop(tokio::spawn(part(socket))),
        }
    }
}

/// Shuts one end in order, and takes what it still sends: closing a socket with unread bytes would reset it.
async fn part(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let mut sink = vec![0; 64 * 1024];
    let drain = async { while matches!(socket.read(&mut sink).await, Ok(len) if len > 0) {} };
    let _ = timeout(PARTING, drain).await;
}
