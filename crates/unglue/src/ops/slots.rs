//! How many things of a kind may be under way at once: transfers, forwarded connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use unglue_proto::limits::{
    CONNECTIONS_PER_LINK, CONNECTIONS_PER_SERVER, LISTENERS_PER_LINK, LISTENERS_PER_SERVER, TRANSFERS_PER_LINK,
    TRANSFERS_PER_SERVER,
};
use unglue_proto::{Code, Fault};

/// What is counted, and how many there may be.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    per_link: usize,
    per_server: usize,
}

static TRANSFERS: Kind =
    Kind { name: "transfers are under way", per_link: TRANSFERS_PER_LINK, per_server: TRANSFERS_PER_SERVER };
static CONNECTIONS: Kind =
    Kind { name: "connections are forwarded", per_link: CONNECTIONS_PER_LINK, per_server: CONNECTIONS_PER_SERVER };
static LISTENERS: Kind =
    Kind { name: "ports are listened on", per_link: LISTENERS_PER_LINK, per_server: LISTENERS_PER_SERVER };

/// Counts the things of one kind of a server and those of one of its links.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    kind: &'static Kind,
    server: Arc<AtomicUsize>,
    link: Arc<AtomicUsize>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Slots {
    /// A server's places for transfers of files.
    pub(crate) fn transfers() -> Slots {
        Slots::of(&TRANSFERS)
    }

    /// A server's places for forwarded connections.
    pub(crate) fn connections() -> Slots {
        Slots::of(&CONNECTIONS)
    }

    /// A server's places for ports that it listens on for clients.
    pub(crate) fn listeners() -> Slots {
        Slots::of(&LISTENERS)
    }

    fn of(kind: &'static Kind) -> Slots {
        Slots { kind, server: Arc::default(), link: Arc::default() }
    }

    /// The same server's, for another link.
    pub(crate) fn of_link(&self) -> Slots {
        Slots { kind: self.kind, server: self.server.clone(), link: Arc::default() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Code::Busy`]: there is none.
    pub(crate) fn take(&self) -> Result<Slot, Fault> {
        let Kind { name, per_link, per_server } = self.kind;
        if !add(&self.link, *per_link) {
            return Err(busy(name, "on this connection", *per_link));
        }
        if !add(&self.server, *per_server) {
            self.link.fetch_sub(1, Ordering::Relaxed);
            return Err(busy(name, "on this server", *per_server));
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

fn busy(name: &str, place: &str, limit: usize) -> Fault {
    Fault::user(Code::Busy, format!("{limit} {name} {place}; the limit is {limit}")).advise("wait for one to end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_servers_have_their_own_limits_and_places_come_back() {
        let first = Slots::transfers();
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
