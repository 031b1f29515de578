//! Where connections wait until they have authenticated: so many in all, so many from one address; when it is full, the
//! oldest goes first. Who has a key needs milliseconds, so strangers who only sit there never keep anyone out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Strangers at once, in all.
const TOTAL: usize = 512;
/// Strangers at once from one address.
const PER_SOURCE: usize = 128;

/// The waiting connections of one server.
#[derive(Clone, Default)]
pub struct Lobby(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    strangers: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
}

/// A connection's place in the lobby; given up when dropped.
pub struct Stranger {
    lobby: Lobby,
    number: u64,
    eviction: oneshot::Receiver<()>,
}

impl Lobby {
    /// Takes a place for a connection from `source`, at the expense of the oldest where there is none.
    pub fn enter(&self, source: IpAddr) -> Stranger {
        let source = source.to_canonical();
        let mut waiting = self.lock();
        let from_source = waiting.strangers.values().filter(|(other, _)| *other == source).count();
        let oldest = if from_source >= PER_SOURCE {
            waiting.strangers.iter().find(|(_, (other, _))| *other == source).map(|(number, _)| *number)
        } else if waiting.strangers.len() >= TOTAL {
            waiting.strangers.keys().next().copied()
        } else {
            None
        };
        // Dropping the sender tells it.
        oldest.map(|number| waiting.strangers.remove(&number));
        let number = waiting.next;
        waiting.next += 1;
        let (sender, eviction) = oneshot::channel();
        waiting.strangers.insert(number, (source, sender));
        Stranger { lobby: self.clone(), number, eviction }
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

    #[test]
    fn the_oldest_of_a_crowded_source_goes_first() {
        let lobby = Lobby::default();
        let elsewhere = Ipv4Addr::new(10, 0, 0, 2).into();
        let mut other = lobby.enter(elsewhere);
        let mut crowd: Vec<_> = (0..PER_SOURCE + 1).map(|_| lobby.enter(Ipv4Addr::LOCALHOST.into())).collect();
        assert!(!gone(&mut other), "another source is not disturbed");
        assert!(gone(&mut crowd[0]));
        assert!(!gone(&mut crowd[1]));
        drop(crowd);
        assert_eq!(lobby.len(), 1);
    }

    #[test]
    fn the_oldest_of_all_goes_when_it_is_full() {
        let lobby = Lobby::default();
        let address = |n: usize| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n as u32));
        let mut crowd: Vec<_> = (0..TOTAL + 1).map(|n| lobby.enter(address(n))).collect();
        assert!(gone(&mut crowd[0]));
        assert!(!gone(&mut crowd[1]));
        assert_eq!(lobby.len(), TOTAL);
    }
}
