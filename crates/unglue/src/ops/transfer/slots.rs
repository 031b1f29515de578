//! How many transfers may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use unglue_proto::limits::{TRANSFERS_PER_LINK, TRANSFERS_PER_SERVER};
use unglue_proto::{Code, Fault};

/// Counts the transfers of a server and those of one of its links.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    server: Arc<AtomicUsize>,
    link: Arc<AtomicUsize>,
}

/// A transfer under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Slots {
    /// The same server's, for another link.
    pub(crate) fn of_link(&self) -> Slots {
        Slots { server: self.server.clone(), link: Arc::default() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Code::Busy`]: there is none.
    pub(crate) fn take(&self) -> Result<Slot, Fault> {
        if !add(&self.link, TRANSFERS_PER_LINK) {
            return Err(busy("on this connection", TRANSFERS_PER_LINK));
        }
        if !add(&self.server, TRANSFERS_PER_SERVER) {
            self.link.fetch_sub(1, Ordering::Relaxed);
            return Err(busy("on this server", TRANSFERS_PER_SERVER));
        }
        Ok(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.link.fetch_sub(1, Ordering::Relaxed);
        self.0.server.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(count: &AtomicUsize, limit: usize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < limit).then_some(now + 1)).is_ok()
}

fn busy(place: &str, limit: usize) -> Fault {
    Fault::user(Code::Busy, format!("{limit} transfers are under way {place}; the limit is {limit}"))
        .advise("wait for one to end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_servers_have_their_own_limits_and_places_come_back() {
        let first = Slots::default();
        let mut held: Vec<Slot> = (0..TRANSFERS_PER_LINK).map(|_| first.take().expect("a place")).collect();
        let refused = first.take().expect_err("the link is full");
        assert_eq!(refused.code, Code::Busy);
        assert!(refused.what.contains("64 transfers are under way on this connection; the limit is 64"), "{refused}");
        held.pop();
        held.push(first.take().expect("one has come back"));

        for _ in 1..TRANSFERS_PER_SERVER / TRANSFERS_PER_LINK {
            let link = first.of_link();
            held.extend((0..TRANSFERS_PER_LINK).map(|_| link.take().expect("a place")));
        }
        let last = first.of_link();
        assert!(last.take().expect_err("the server is full").what.contains("on this server; the limit is 512"));
        held.clear();
        assert!((0..TRANSFERS_PER_LINK).map(|_| last.take()).all(|slot| slot.is_ok()), "a refused one held a place");
    }
}
