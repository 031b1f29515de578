//! Where connections wait until they have authenticated: so many in all, so many from one source.
//!
//! When there is no place for a new connection, one that has made the least progress goes: first one that has sent no
//! whole ClientHello, then one in the middle of its handshake, of the source that holds the most places. Each has a little time in
//! which it can't be evicted: a login over a slow network takes some round trips. A new connection that finds no place waits for one
//! without costing more than its socket. Connections that have shown an authorised key wait in places of their own, since a touch or
//! a passphrase takes its time.

mod table;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use tokio::sync::oneshot;
use tokio::time::sleep;

pub use table::Stage;
use table::{Number, Table};

/// How often a waiting connection looks whether somebody may be evicted for it by now.
const LOOK: Duration = Duration::from_millis(20);

/// The unauthenticated connections of one server. Cheap to clone.
#[derive(Clone)]
pub struct Admission(Arc<Mutex<Table<Signals>>>);

impl Default for Admission {
    /// At most half of the descriptors that this process may have are for unauthenticated connections: a login needs some, too.
    fn default() -> Admission {
        let descriptors = getrlimit(Resource::Nofile).current;
        let most = descriptors.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX));
        Admission(Arc::new(Mutex::new(Table::new(most))))
    }
}

/// What wakes a connection.
struct Signals {
    /// Sent when it has a place.
    admitted: Option<oneshot::Sender<()>>,
    /// Dropped when it has to go.
    _evicted: oneshot::Sender<()>,
}

/// Too many connections wait to authenticate, and this one has made the least progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted;

/// A connection's place; freed when dropped.
pub struct Place {
    admission: Admission,
    number: Number,
    evicted: tokio::sync::Mutex<oneshot::Receiver<()>>,
}

impl Admission {
    /// Takes a place for a connection from `source`, as soon as there is one. Dropped before that, it leaves nothing.
    ///
    /// # Errors
    /// It waited together with too many others, most of them from its own source.
    pub async fn enter(&self, source: IpAddr) -> Result<Place, Evicted> {
        let (admit, mut admitted) = oneshot::channel();
        let (evict, evicted) = oneshot::channel();
        let signals = Signals { admitted: Some(admit), _evicted: evict };
        let number = self.lock().enter(source, signals, Instant::now());
        let place = Place { admission: self.clone(), number, evicted: evicted.into() };
        loop {
            self.settle();
            tokio::select! {
                biased;
                result = &mut admitted => match result {
                    Ok(()) => return Ok(place),
                    // Its entry is gone, and both signals with it.
                    Err(_) => return Err(place.evicted().await),
                },
                evicted = place.evicted() => return Err(evicted),
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Evicts some of those that have made the least progress, since the system has no descriptors left for others.
    pub fn make_room(&self, count: usize) {
        self.lock().evict_some(count);
    }

    /// How many connections have a place or wait for one.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives places to those who wait.
    fn settle(&self) {
        let now = Instant::now();
        self.lock().settle(now, |signals| {
            // It may have gone meanwhile; its place goes with it.
            let _ = signals.admitted.take().map(|sender| sender.send(()));
        });
    }

    fn lock(&self) -> MutexGuard<'_, Table<Signals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until this connection has to go. Cancelling it loses nothing.
    pub async fn evicted(&self) -> Evicted {
        // Nothing is ever sent: an error means that the sender was dropped.
        let _ = (&mut *self.evicted.lock().await).await;
        Evicted
    }

    /// Its ClientHello was answered.
    pub(crate) fn in_handshake(&self) {
        self.admission.lock().advance(self.number, Stage::Handshake, Instant::now());
        self.admission.settle();
    }

    /// It has offered a key that may log in.
    pub(crate) fn has_shown_a_key(&self) {
        self.admission.lock().advance(self.number, Stage::Key, Instant::now());
        self.admission.settle();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.lock().leave(self.number);
        self.admission.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_rush_of_logins_from_one_address_waits_and_comes_in() {
        let admission = Admission::default();
        let logins: Vec<_> = (0..1000)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move {
                    let place = admission.enter(Ipv4Addr::LOCALHOST.into()).await.expect("a place, in time");
                    place.in_handshake();
                    sleep(Duration::from_millis(5)).await;
                })
            })
            .collect();
        for login in logins {
            login.await.expect("no panic");
        }
        assert!(admission.is_empty());
    }

    #[tokio::test]
    async fn a_cancelled_wait_leaves_nothing() {
        let admission = Admission::default();
        let mut places = Vec::new();
        for _ in 0..table::PER_SOURCE {
            let place = admission.enter(Ipv4Addr::LOCALHOST.into()).await.expect("a place");
            place.in_handshake();
            places.push(place);
        }
        let wait = admission.enter(Ipv4Addr::LOCALHOST.into());
        assert!(tokio::time::timeout(Duration::from_millis(50), wait).await.is_err(), "there was a place");
        assert_eq!(admission.len(), table::PER_SOURCE);
    }
}
