//! What a link may hold in memory for its peer, and what all links of a server may hold together.
//!
//! Every stream has a small part of its own that nothing else can use up: its first window at the receiver, and
//! [`limits::SEND_RESERVE`] at the sender. What goes beyond comes from the accounts of its link, which draw on the pools of
//! the server. So a stream that nobody reads slows others at most down to their own part, and never stops them.
//!
//! | account | what counts | when it is used up |
//! |---|---|---|
//! | unread | bytes that have arrived in first windows; control messages of operations under way | the stream that brings more is refused |
//! | windows | credit beyond the first windows, granted and not yet used up | windows stay as small as they are |
//! | unsent | bytes that were written and not sent, beyond each stream's reserve | writers wait for their own stream |

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;

/// An account draws on its pool in pieces of this size, so that links don't contend for each byte.
const CHUNK: u64 = 64 * 1024;

/// What a link may hold, in bytes. The default is [`limits`]' own, without a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Memory {
    /// Unread bytes in first windows, and control messages.
    pub unread: u64,
    /// Credit beyond first windows.
    pub windows: u64,
    /// Unsent bytes beyond each stream's reserve.
    pub unsent: u64,
    /// The pools that the link shares with others.
    pub shared: Option<Arc<SharedMemory>>,
}

impl Default for Memory {
    fn default() -> Memory {
        let (unread, windows, unsent) = (limits::LINK_UNREAD, limits::LINK_WINDOWS, limits::LINK_UNSENT);
        Memory { unread, windows, unsent, shared: None }
    }
}

impl Memory {
    /// The same, drawn from pools that other links share.
    pub fn shared_with(self, shared: &Arc<SharedMemory>) -> Memory {
        Memory { shared: Some(shared.clone()), ..self }
    }
}

/// The pools of a server: each bounds one kind of memory over all links.
///
/// A link gets no more of a pool than is left in it for all others. So a few greedy links can't use it up, and one that
/// comes later finds a share.
#[derive(Debug)]
pub struct SharedMemory {
    pools: [Pool; 3],
}

#[derive(Debug)]
struct Pool {
    limit: u64,
    taken: AtomicU64,
}

/// Which account, and which pool.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Unread,
    Windows,
    Unsent,
}

impl Default for SharedMemory {
    fn default() -> SharedMemory {
        SharedMemory::new(limits::SERVER_UNREAD, limits::SERVER_WINDOWS, limits::SERVER_UNSENT)
    }
}

impl SharedMemory {
    /// Pools of these sizes in bytes.
    pub fn new(unread: u64, windows: u64, unsent: u64) -> SharedMemory {
        SharedMemory { pools: [unread, windows, unsent].map(|limit| Pool { limit, taken: AtomicU64::new(0) }) }
    }

    /// How much of each pool is taken: unread, windows, unsent.
    pub fn taken(&self) -> [u64; 3] {
        self.pools.each_ref().map(|pool| pool.taken.load(Ordering::Relaxed))
    }
}

impl Pool {
    /// Takes `bytes` for a link that has `mine` of them already.
    fn take(&self, bytes: u64, mine: u64) -> bool {
        let grant = |taken: u64| {
            let left = self.limit.saturating_sub(taken);
            (bytes <= left && mine + bytes <= left).then_some(taken + bytes)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grant).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One kind of memory of one link.
#[derive(Debug)]
pub(super) struct Account {
    kind: Kind,
    limit: u64,
    taken: u64,
    /// What the pool was asked for: `taken`, in whole chunks.
    drawn: u64,
    shared: Option<Arc<SharedMemory>>,
}

impl Account {
    fn new(kind: Kind, limit: u64, memory: &Memory) -> Account {
        Account { kind, limit, taken: 0, drawn: 0, shared: memory.shared.clone() }
    }

    /// Takes `bytes` more, or nothing where there is no room for all of them.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let after = self.taken.saturating_add(bytes);
        let granted = after <= self.limit && self.draw(after);
        if granted {
            self.taken = after;
        }
        granted
    }

    /// The same for a stream that has `mine` already: it gets no more than is left for the others.
    pub(super) fn take_share(&mut self, bytes: u64, mine: u64) -> bool {
        mine + bytes <= self.limit.saturating_sub(self.taken) && self.take(bytes)
    }

    /// Takes as much of `bytes` as there is room for in the link.
    pub(super) fn take_some(&mut self, bytes: u64) -> u64 {
        let some = bytes.min(self.limit.saturating_sub(self.taken));
        if self.take(some) { some } else { 0 }
    }

    fn draw(&mut self, taken: u64) -> bool {
        let wanted = taken.next_multiple_of(CHUNK);
        if wanted <= self.drawn {
            return true;
        }
        let granted =
            self.shared.as_ref().is_none_or(|s| s.pools[self.kind as usize].take(wanted - self.drawn, self.drawn));
        if granted {
            self.drawn = wanted;
        }
        granted
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.taken, "{:?}: {bytes} of {} bytes are given back", self.kind, self.taken);
        self.taken = self.taken.saturating_sub(bytes);
        let wanted = self.taken.next_multiple_of(CHUNK);
        if wanted < self.drawn {
            if let Some(shared) = &self.shared {
                shared.pools[self.kind as usize].give_back(self.drawn - wanted);
            }
            self.drawn = wanted;
        }
    }

    /// Has exactly `wanted` taken in place of `held`. `false`, and nothing changed, where there is no room for it.
    pub(super) fn adjust(&mut self, held: &mut u64, wanted: u64) -> bool {
        if wanted > *held {
            if !self.take(wanted - *held) {
                return false;
            }
        } else {
            self.give_back(*held - wanted);
        }
        *held = wanted;
        true
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.pools[self.kind as usize].give_back(self.drawn);
        }
    }
}

/// The accounts of a link.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) unread: Account,
    pub(super) windows: Account,
    pub(super) unsent: Account,
}

impl Accounts {
    pub(super) fn new(memory: &Memory) -> Accounts {
        Accounts {
            unread: Account::new(Kind::Unread, memory.unread, memory),
            windows: Account::new(Kind::Windows, memory.windows, memory),
            unsent: Account::new(Kind::Unsent, memory.unsent, memory),
        }
    }

    pub(super) fn taken(&self) -> [u64; 3] {
        [self.unread.taken, self.windows.taken, self.unsent.taken]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(limit: u64, shared: &Arc<SharedMemory>) -> Account {
        Account::new(Kind::Unread, limit, &Memory::default().shared_with(shared))
    }

    #[test]
    fn a_pool_is_drawn_on_in_chunks_and_gets_everything_back() {
        let shared = Arc::new(SharedMemory::new(100 * CHUNK, 0, 0));
        let mut account = account(u64::MAX, &shared);
        assert!(account.take(1) && account.take(CHUNK - 1));
        assert_eq!(shared.taken(), [CHUNK, 0, 0]);
        assert!(account.take(1));
        assert_eq!(shared.taken(), [2 * CHUNK, 0, 0]);
        account.give_back(CHUNK);
        assert_eq!(shared.taken(), [CHUNK, 0, 0]);
        drop(account);
        assert_eq!(shared.taken(), [0; 3]);
    }

    #[test]
    fn greedy_links_leave_a_share_for_the_next_one() {
        let shared = Arc::new(SharedMemory::new(64 * CHUNK, 0, 0));
        let mut links: Vec<_> = (0..7).map(|_| account(u64::MAX, &shared)).collect();
        // In turns, as links on several threads would.
        while links.iter_mut().map(|link| link.take(CHUNK)).filter(|taken| *taken).count() > 0 {}
        let left = 64 * CHUNK - shared.taken()[0];
        assert!(left >= 64 * CHUNK / 8, "{left} bytes are left");
        let mut late = account(u64::MAX, &shared);
        assert!(late.take(left / 2));
    }

    #[test]
    fn a_limit_is_reached_to_the_byte_and_not_passed() {
        let mut account = Account::new(Kind::Windows, 10, &Memory::default());
        assert!(account.take(10));
        assert!(!account.take(1));
        assert_eq!(account.take_some(5), 0);
        account.give_back(3);
        assert_eq!(account.take_some(5), 3);
        account.give_back(10);
        assert!(account.take_share(5, 0) && !account.take_share(1, 5), "a stream gets what is left for the others");
    }
}
