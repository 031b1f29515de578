//! Where connections wait until they have authenticated: so many in all, so many from one address; when it is full, the
//! oldest goes first, though nobody before a little while. Who has a key needs milliseconds, so strangers who only sit
//! there never keep anyone out; and neither does a rush of them, or of a thousand logins at once: it waits at the door.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep;

/// Strangers at once, in all.
const TOTAL: usize = 512;
/// Strangers at once from one address.
const PER_SOURCE: usize = 128;
/// What everyone may stay, however many press in behind: a login takes a few round trips.
const STAY: Duration = Duration::from_millis(250);
/// How often somebody at the door looks whether there is a place.
const KNOCK: Duration = Duration::from_millis(5);

/// The waiting connections of one server.
#[derive(Clone, Default)]
pub struct Lobby(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    strangers: BTreeMap<u64, Guest>,
}

struct Guest {
    source: IpAddr,
    since: Instant,
    /// Never used; dropped, it tells the guest to go.
    _welcome: oneshot::Sender<()>,
}

impl Waiting {
    /// Who has to go before another one from `source` can come in.
    fn in_the_way(&self, source: IpAddr) -> Option<u64> {
        let mut same = self.strangers.iter().filter(|(_, guest)| guest.source == source).map(|(number, _)| *number);
        match same.clone().count() {
            PER_SOURCE.. => same.next(),
            _ if self.strangers.len() >= TOTAL => self.strangers.keys().next().copied(),
            _ => None,
        }
    }
}

/// A connection's place in the lobby; given up when dropped.
pub struct Stranger {
    lobby: Lobby,
    number: u64,
    eviction: oneshot::Receiver<()>,
}

impl Lobby {
    /// Takes a place for a connection from `source`, at the expense of the oldest where there is none. Waits where all
    /// have only just come; not for long, since nobody counts as new for long.
    pub async fn enter(&self, source: IpAddr) -> Stranger {
        loop {
            match self.try_enter(source, Instant::now()) {
                Some(stranger) => return stranger,
                None => sleep(KNOCK).await,
            }
        }
    }

    fn try_enter(&self, source: IpAddr, now: Instant) -> Option<Stranger> {
        let source = source.to_canonical();
        let mut waiting = self.lock();
        if let Some(oldest) = waiting.in_the_way(source) {
            if waiting.strangers.get(&oldest).is_some_and(|guest| now < guest.since + STAY) {
                return None;
            }
            waiting.strangers.remove(&oldest);
        }
        let number = waiting.next;
        waiting.next += 1;
        let (sender, eviction) = oneshot::channel();
        waiting.strangers.insert(number, Guest { source, since: now, _welcome: sender });
        Some(Stranger { lobby: self.clone(), number, eviction })
    }

    /// How many connections wait.
    pub fn len(&self) -> usize {
        self.lock().strangers.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stranger {
    /// Waits until this connection has to go.
    pub async fn crowded_out(&mut self) {
        // Nothing is ever sent: an error means that the sender was dropped.
        let _ = (&mut self.eviction).await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.lobby.lock().strangers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn gone(stranger: &mut Stranger) -> bool {
        stranger.eviction.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + number as u32).into()
    }

    #[test]
    fn the_oldest_of_a_crowded_source_goes_first() {
        let (lobby, start) = (Lobby::default(), Instant::now());
        let enter = |source, now| lobby.try_enter(source, now);
        let mut other = enter(address(2), start).expect("there is room");
        let mut crowd: Vec<_> = (0..PER_SOURCE).filter_map(|_| enter(address(1), start)).collect();
        assert_eq!(crowd.len(), PER_SOURCE);
        assert!(enter(address(1), start + STAY / 2).is_none(), "those who have only just come stay");
        crowd.extend(enter(address(1), start + STAY));
        assert_eq!(crowd.len(), PER_SOURCE + 1);
        assert!(!gone(&mut other), "another source is not disturbed");
        assert!(gone(&mut crowd[0]));
        assert!(!gone(&mut crowd[1]));
        drop(crowd);
        assert_eq!(lobby.len(), 1);
    }

    #[test]
    fn the_oldest_of_all_goes_when_it_is_full() {
        let (lobby, start) = (Lobby::default(), Instant::now());
        let mut crowd: Vec<_> = (0..TOTAL).filter_map(|n| lobby.try_enter(address(n), start)).collect();
        assert!(lobby.try_enter(address(TOTAL), start).is_none());
        crowd.extend(lobby.try_enter(address(TOTAL), start + STAY));
        assert!(gone(&mut crowd[0]));
        assert!(!gone(&mut crowd[1]));
        assert_eq!((lobby.len(), crowd.len()), (TOTAL, TOTAL + 1));
    }
}
