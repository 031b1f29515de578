//! What a packet meets in one direction of a long way: loss, a queue, a rate, a delay. Time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use super::distant::{Carried, Distance};

/// What Ethernet adds to each packet on its wire: preamble, header, check sequence and gap (IEEE 802.3).
const ETHERNET: usize = 38;

/// The packets under way in one direction.
#[derive(Debug)]
pub(super) struct Lane {
    distance: Distance,
    /// A packet is lost when the next random number is below.
    threshold: u64,
    random: u64,
    /// When the wire has sent all that was queued.
    free: Duration,
    under_way: VecDeque<(Duration, Vec<u8>)>,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
    carried: Carried,
}

impl Lane {
    /// An empty lane. Lanes with the same seed and number lose the same packets.
    pub(super) fn new(distance: &Distance, number: u64) -> Lane {
        Lane {
            distance: distance.clone(),
            // A part from 0 to 1 of all 64-bit numbers; the conversion saturates.
            threshold: (distance.loss * u64::MAX as f64) as u64,
            random: distance.seed ^ (number << 32),
            free: Duration::ZERO,
            under_way: VecDeque::new(),
            spare: Vec::new(),
            carried: Carried::default(),
        }
    }

    /// Takes a packet that was sent at `now`, a time since any fixed moment.
    pub(super) fn enter(&mut self, packet: &[u8], now: Duration) {
        self.carried.packets += 1;
        self.carried.bytes += packet.len() as u64;
        if self.random() < self.threshold {
            self.carried.lost += 1;
            return;
        }
        let begins = self.free.max(now);
        if begins - now > self.distance.queue {
            self.carried.dropped += 1;
            return;
        }
        self.free = begins + self.sending(packet.len());
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        self.under_way.push_back((self.free + self.distance.delay, buffer));
    }

    /// How long the wire is busy with a packet.
    fn sending(&self, length: usize) -> Duration {
        match self.distance.rate {
            0 => Duration::ZERO,
            rate => Duration::from_nanos((length + ETHERNET) as u64 * 8_000_000_000 / rate),
        }
    }

    /// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// When the next packet arrives.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.under_way.front().map(|(due, _)| *due)
    }

    /// Gives `arrive` the packets that are due, in order; returns how many.
    pub(super) fn leave(&mut self, now: Duration, mut arrive: impl FnMut(&[u8])) -> usize {
        let due = self.under_way.partition_point(|(due, _)| *due <= now);
        for (_, packet) in self.under_way.drain(..due) {
            arrive(&packet);
            self.spare.push(packet);
        }
        due
    }

    pub(super) fn carried(&self) -> Carried {
        self.carried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lane(distance: Distance) -> Lane {
        Lane::new(&distance, 0)
    }

    fn arrived(lane: &mut Lane, now: Duration) -> Vec<u8> {
        let mut first_bytes = Vec::new();
        lane.leave(now, |packet| first_bytes.push(packet[0]));
        first_bytes
    }

    #[test]
    fn packets_arrive_in_order_after_the_delay_and_their_turn_on_the_wire() {
        // 1462 bytes and Ethernet's 38 are 12,000 bits: 1 ms each.
        let mut lane = lane(Distance { delay: 25 * MS, rate: 12_000_000, ..Distance::default() });
        for first in 0..3 {
            lane.enter(&[first; 1462], Duration::ZERO);
        }
        assert_eq!(lane.next_due(), Some(26 * MS));
        assert!(arrived(&mut lane, 26 * MS - Duration::from_nanos(1)).is_empty());
        assert_eq!(arrived(&mut lane, 27 * MS), [0, 1]);
        // The wire was idle since the third one: the next is not late for those before it.
        lane.enter(&[3; 1462], 10 * MS);
        assert_eq!(arrived(&mut lane, 36 * MS), [2, 3]);
        assert_eq!(lane.next_due(), None);
    }

    #[test]
    fn the_queue_holds_what_it_sends_in_its_time_and_drops_the_rest() {
        let mut lane = lane(Distance { rate: 12_000_000, queue: 10 * MS, ..Distance::default() });
        for _ in 0..100 {
            lane.enter(&[0; 1462], Duration::ZERO);
        }
        let carried = lane.carried();
        // One on the wire, ten behind it.
        assert_eq!((carried.packets, carried.dropped, carried.lost), (100, 89, 0));
        lane.enter(&[1; 1462], 5 * MS);
        assert_eq!(lane.carried().dropped, 89, "five have left the queue");
    }

    #[test]
    fn losses_come_as_often_as_asked_and_the_same_for_the_same_seed() {
        let lossy = |seed| {
            let mut lane = lane(Distance { loss: 0.005, seed, ..Distance::default() });
            for number in 0..100_000_u32 {
                lane.enter(&number.to_ne_bytes(), Duration::ZERO);
            }
            let mut seen = Vec::new();
            lane.leave(Duration::ZERO, |packet| seen.push(packet.to_vec()));
            (lane.carried().lost, seen)
        };
        let (lost, seen) = lossy(1);
        assert!((400..600).contains(&lost), "{lost} of 100,000");
        assert_eq!(seen.len() as u64, 100_000 - lost);
        assert!(lossy(1).1 == seen && lossy(2).1 != seen);
    }
}
