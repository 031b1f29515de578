//! Who has a place, who waits, and who has to go: decisions alone, with the time as an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Places in all, without those of connections that have shown a key.
const TOTAL: usize = 512;
/// Places for one source.
pub(super) const PER_SOURCE: usize = 128;
/// Places of connections that have shown an authorised key.
const KEYS: usize = 256;
/// Connections that wait for a place.
const WAITING: usize = 4096;
/// How long a connection has for its ClientHello before another one may have its place.
const SILENT_STAY: Duration = Duration::from_millis(250);
/// How long a connection has for its handshake, from its ClientHello on: three round trips of 400 ms.
const HANDSHAKE_STAY: Duration = Duration::from_millis(1200);
/// How long a connection that has shown a key has before another one with a key may have its place.
const KEY_STAY: Duration = Duration::from_secs(10);

/// How far a connection has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// It has no place yet.
    Waiting,
    /// It has sent no whole ClientHello.
    Silent,
    /// Its ClientHello was answered.
    Handshake,
    /// It has offered a key that may log in.
    Key,
}

impl Stage {
    /// How long nobody may have its place.
    fn stay(self) -> Duration {
        match self {
            Stage::Waiting => Duration::ZERO,
            Stage::Silent => SILENT_STAY,
            Stage::Handshake => HANDSHAKE_STAY,
            Stage::Key => KEY_STAY,
        }
    }
}

/// Identifies a connection.
pub(super) type Number = u64;

/// An address; of IPv6 its network of 64 bits, which is what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Source {
        Source(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        })
    }
}

struct Entry<S> {
    source: Source,
    stage: Stage,
    /// When it came to its stage.
    since: Instant,
    signals: S,
}

/// Of one source.
#[derive(Default)]
struct Crowd {
    placed: usize,
    waiting: VecDeque<Number>,
}

/// All connections that have not authenticated.
pub(super) struct Table<S> {
    /// Connections in all: each has a descriptor.
    most: usize,
    next: Number,
    entries: BTreeMap<Number, Entry<S>>,
    /// Those that have a place, without those that have shown a key.
    placed: BTreeSet<Number>,
    crowds: HashMap<Source, Crowd>,
    /// Sources with waiting connections, in the order in which they get their turn.
    turns: VecDeque<Source>,
    keys: usize,
    waiting: usize,
    /// Nothing can change for those who wait before this, unless something happens.
    quiet_until: Option<Instant>,
}

impl<S> Table<S> {
    /// A table that never holds more than `most` connections.
    pub(super) fn new(most: usize) -> Table<S> {
        Table {
            most,
            next: 0,
            entries: BTreeMap::new(),
            placed: BTreeSet::new(),
            crowds: HashMap::new(),
            turns: VecDeque::new(),
            keys: 0,
            waiting: 0,
            quiet_until: None,
        }
    }

    /// A new connection, which waits: [`Table::settle`] gives it a place.
    pub(super) fn enter(&mut self, address: IpAddr, signals: S, now: Instant) -> Number {
        if self.waiting >= WAITING || self.waiting > 0 && self.entries.len() >= self.most {
            self.evict_waiting();
        } else if self.entries.len() >= self.most {
            self.evict_some(1);
        }
        let source = Source::of(address);
        let number = self.next;
        self.next += 1;
        self.entries.insert(number, Entry { source, stage: Stage::Waiting, since: now, signals });
        let crowd = self.crowds.entry(source).or_default();
        crowd.waiting.push_back(number);
        if crowd.waiting.len() == 1 {
            self.turns.push_back(source);
        }
        self.waiting += 1;
        self.quiet_until = None;
        number
    }

    /// Gives places to those who wait, as long as there are any to be had.
    pub(super) fn settle(&mut self, now: Instant, mut admit: impl FnMut(&mut S)) {
        if self.waiting == 0 || self.quiet_until.is_some_and(|until| now < until) {
            return;
        }
        let (mut skipped, mut nobody) = (0, false);
        while let Some(source) = self.turns.pop_front() {
            if skipped > self.turns.len() {
                self.turns.push_front(source);
                break;
            }
            match self.admit_one(source, now, &mut nobody) {
                Some(number) => {
                    skipped = 0;
                    if let Some(entry) = self.entries.get_mut(&number) {
                        admit(&mut entry.signals);
                    }
                }
                None => skipped += 1,
            }
            if self.crowds.get(&source).is_some_and(|crowd| !crowd.waiting.is_empty()) {
                self.turns.push_back(source);
            }
        }
        self.quiet_until = Some(now + Duration::from_millis(5));
    }

    /// Gives a place to the source's next connection, at another's expense where there is none. `nobody` remembers that
    /// nobody of any source can be evicted now.
    fn admit_one(&mut self, source: Source, now: Instant, nobody: &mut bool) -> Option<Number> {
        let full_source = self.crowds.get(&source).is_some_and(|crowd| crowd.placed >= PER_SOURCE);
        if full_source || self.placed.len() >= TOTAL {
            if *nobody && !full_source {
                return None;
            }
            let Some(victim) = self.victim(full_source.then_some(source), now) else {
                *nobody |= !full_source;
                return None;
            };
            self.leave(victim);
        }
        let crowd = self.crowds.entry(source).or_default();
        let number = crowd.waiting.pop_front()?;
        crowd.placed += 1;
        self.waiting -= 1;
        self.placed.insert(number);
        if let Some(entry) = self.entries.get_mut(&number) {
            (entry.stage, entry.since) = (Stage::Silent, now);
        }
        Some(number)
    }

    /// Who has to go, of that source or of all: the one with the least progress, of the most crowded source, the oldest.
    fn victim(&self, source: Option<Source>, now: Instant) -> Option<Number> {
        let evictable = |entry: &Entry<S>| now >= entry.since + entry.stage.stay();
        let of_source = |entry: &Entry<S>| source.is_none_or(|source| source == entry.source);
        let placed = self.placed.iter().filter_map(|number| self.entries.get_key_value(number));
        let candidates = placed.filter(|(_, entry)| of_source(entry) && evictable(entry));
        let rank = |(_, entry): &(&Number, &Entry<S>)| {
            let crowd = self.crowds.get(&entry.source).map_or(0, |crowd| crowd.placed);
            (entry.stage, usize::MAX - crowd, entry.since)
        };
        candidates.min_by_key(rank).map(|(number, _)| *number)
    }

    /// The oldest waiting connection of the source that has the most of them goes.
    fn evict_waiting(&mut self) {
        let most = self.crowds.iter().max_by_key(|(_, crowd)| crowd.waiting.len());
        if let Some(number) = most.and_then(|(_, crowd)| crowd.waiting.front().copied()) {
            self.leave(number);
        }
    }

    /// Evicts up to `count` connections: those that wait, then those with the least progress.
    pub(super) fn evict_some(&mut self, count: usize) {
        for _ in 0..count {
            let least = self.entries.iter().filter(|(_, entry)| entry.stage < Stage::Key);
            let least = least.min_by_key(|(_, entry)| (entry.stage, entry.since)).map(|(number, _)| *number);
            match least {
                Some(number) => self.leave(number),
                None => return,
            }
        }
    }

    /// A connection has got further. One with a key moves to the places for those; if these are full, it takes the place of the
    /// oldest there, or stays where it is.
    pub(super) fn advance(&mut self, number: Number, stage: Stage, now: Instant) {
        if stage == Stage::Key && self.keys >= KEYS {
            let old = |entry: &Entry<S>| entry.stage == Stage::Key && now >= entry.since + Stage::Key.stay();
            let oldest = self.entries.iter().filter(|(_, entry)| old(entry)).min_by_key(|(_, entry)| entry.since);
            match oldest.map(|(number, _)| *number) {
                Some(oldest) => self.leave(oldest),
                None => return,
            }
        }
        let Some(entry) = self.entries.get_mut(&number) else { return };
        if entry.stage == Stage::Waiting || entry.stage >= stage {
            return;
        }
        let source = entry.source;
        (entry.stage, entry.since) = (stage, now);
        if stage == Stage::Key {
            self.keys += 1;
            self.give_up_place(number, source);
        }
        self.quiet_until = None;
    }

    /// A connection has authenticated, was refused, or has to go: its entry is dropped.
    pub(super) fn leave(&mut self, number: Number) {
        let Some(entry) = self.entries.remove(&number) else { return };
        match entry.stage {
            Stage::Waiting => {
                self.waiting -= 1;
                if let Some(crowd) = self.crowds.get_mut(&entry.source) {
                    crowd.waiting.retain(|waiting| *waiting != number);
                    if crowd.waiting.is_empty() {
                        self.turns.retain(|source| *source != entry.source);
                    }
                }
                self.forget_empty(entry.source);
            }
            Stage::Key => self.keys -= 1,
            Stage::Silent | Stage::Handshake => self.give_up_place(number, entry.source),
        }
        self.quiet_until = None;
    }

    fn give_up_place(&mut self, number: Number, source: Source) {
        self.placed.remove(&number);
        if let Some(crowd) = self.crowds.get_mut(&source) {
            crowd.placed -= 1;
        }
        self.forget_empty(source);
    }

    fn forget_empty(&mut self, source: Source) {
        if self.crowds.get(&source).is_some_and(|crowd| crowd.placed == 0 && crowd.waiting.is_empty()) {
            self.crowds.remove(&source);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + number as u32).into()
    }

    /// A connection comes and gets what place there is; gives its number, and whether it has one.
    fn come(table: &mut Table<()>, source: usize, now: Instant) -> (Number, bool) {
        let number = table.enter(address(source), (), now);
        let mut admitted = false;
        table.settle(now, |()| admitted = true);
        (number, admitted)
    }

    fn is_there(table: &Table<()>, number: Number) -> bool {
        table.entries.contains_key(&number)
    }

    #[test]
    fn silent_connections_go_before_those_in_their_handshake_however_young() {
        let (mut table, start) = (Table::new(usize::MAX), Instant::now());
        let (login, _) = come(&mut table, 0, start);
        table.advance(login, Stage::Handshake, start);
        let silent: Vec<_> = (1..TOTAL).map(|source| come(&mut table, source, start).0).collect();
        let late = start + Duration::from_secs(2);
        for source in TOTAL..2 * TOTAL - 1 {
            assert!(come(&mut table, source, late).1, "there are silent ones");
        }
        assert!(is_there(&table, login) && silent.iter().all(|number| !is_there(&table, *number)));
        assert_eq!(table.len(), TOTAL);
    }

    #[test]
    fn nobody_goes_before_its_time_and_those_who_wait_come_in_then() {
        let (mut table, start) = (Table::new(usize::MAX), Instant::now());
        for source in 0..TOTAL {
            assert!(come(&mut table, source, start).1);
        }
        assert!(!come(&mut table, TOTAL, start + SILENT_STAY / 2).1);
        let mut admitted = 0;
        table.settle(start + SILENT_STAY, |()| admitted += 1);
        assert_eq!((admitted, table.len()), (1, TOTAL));
    }

    #[test]
    fn a_crowd_from_one_source_takes_no_place_of_another() {
        let (mut table, start) = (Table::new(usize::MAX), Instant::now());
        let placed = (0..4000).filter(|_| come(&mut table, 1, start).1).count();
        assert_eq!(placed, PER_SOURCE);
        assert!(come(&mut table, 2, start).1, "another source has a place at once");
        let later = start + Duration::from_secs(1);
        let (other, _) = come(&mut table, 3, later);
        let mut admitted = 0;
        table.settle(later + SILENT_STAY, |()| admitted += 1);
        assert!(admitted > 0 && is_there(&table, other), "the crowd only pushes out its own");
    }

    #[test]
    fn who_waits_is_bounded_and_the_crowd_loses_its_oldest() {
        let (mut table, start) = (Table::new(usize::MAX), Instant::now());
        let (first, _) = (0..PER_SOURCE).map(|_| come(&mut table, 1, start)).last().expect("some");
        let (oldest, placed) = come(&mut table, 1, start);
        assert!(!placed);
        (1..WAITING).for_each(|_| assert!(!come(&mut table, 1, start).1));
        assert_eq!(table.len(), PER_SOURCE + WAITING);
        assert!(come(&mut table, 2, start).1);
        assert!(!is_there(&table, oldest) && is_there(&table, first));
    }

    #[test]
    fn a_table_holds_no_more_than_there_are_descriptors_for() {
        let (mut table, start) = (Table::new(50), Instant::now());
        let (login, _) = come(&mut table, 0, start);
        table.advance(login, Stage::Handshake, start);
        for source in 1..500 {
            come(&mut table, source, start);
        }
        assert_eq!(table.len(), 50);
        assert!(is_there(&table, login), "silent ones go first");
    }

    #[test]
    fn a_shown_key_has_a_place_of_its_own_and_frees_the_other() {
        let (mut table, start) = (Table::new(usize::MAX), Instant::now());
        let with_key: Vec<_> = (0..KEYS)
            .map(|source| {
                let (number, _) = come(&mut table, source, start);
                table.advance(number, Stage::Handshake, start);
                table.advance(number, Stage::Key, start);
                number
            })
            .collect();
        assert_eq!((table.placed.len(), table.keys), (0, KEYS));
        let later = start + Duration::from_secs(60);
        for source in 0..TOTAL + 100 {
            come(&mut table, 10_000 + source, later);
            table.settle(later + SILENT_STAY, |()| ());
        }
        assert!(with_key.iter().all(|number| is_there(&table, *number)), "only another key takes their places");

        let (late, _) = come(&mut table, 5, later + Duration::from_secs(1));
        table.settle(later + Duration::from_secs(2), |()| ());
        table.advance(late, Stage::Key, later + Duration::from_secs(2));
        assert!(!is_there(&table, with_key[0]) && is_there(&table, late));
        assert_eq!(table.keys, KEYS);
    }

    #[test]
    fn everything_is_forgotten_with_the_last_connection() {
        let (mut table, start) = (Table::new(usize::MAX), Instant::now());
        let numbers: Vec<_> = (0..3000).map(|n| come(&mut table, n % 7, start).0).collect();
        table.evict_some(10);
        for (index, number) in numbers.iter().enumerate() {
            table.advance(*number, if index % 3 == 0 { Stage::Key } else { Stage::Handshake }, start);
            table.leave(*number);
        }
        assert_eq!((table.len(), table.placed.len(), table.keys, table.waiting), (0, 0, 0, 0));
        assert!(table.crowds.is_empty() && table.turns.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let at = |text: &str| Source::of(text.parse().expect("an address"));
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    }
}
