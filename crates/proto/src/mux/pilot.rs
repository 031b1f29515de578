//! How hard `auto` compresses: what keeps the link busy, and no harder.
//!
//! The caller reports how long the link waited for its socket, and how long for blocks under compression. Where the socket
//! is what it waits for, there is time to compress harder; where compression is, less of it sends more. Between two levels
//! blocks take turns, so that link and compression are both busy.

use std::time::{Duration, Instant};

use super::pack::Packed;

/// zstd's levels from light to hard; 0 is plain. Harder ones save a few hundredths and take several times as long.
const LADDER: [i32; 5] = [0, 1, 3, 6, 9];

/// How long is measured before the level changes.
const WINDOW: Duration = Duration::from_millis(50);

/// How fast older windows are forgotten.
const MEMORY: f64 = 0.5;

/// How many steps of the ladder a window moves, by the share of time that was waited.
const HARDER: f64 = 0.15;
const LIGHTER: f64 = 0.3;

/// Blocks that are sent plain before one is compressed to see what it would save.
const PROBE: u32 = 16;

/// What the link waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The socket took no more.
    Socket,
    /// All that was left to send was being compressed.
    Packing,
}

/// What was measured since the last decision.
struct Window {
    began: Instant,
    socket: Duration,
    packing: Duration,
    plain: u64,
    /// Plain bytes of the blocks that got smaller.
    shrunk: u64,
}

impl Window {
    fn new(now: Instant) -> Window {
        Window { began: now, socket: Duration::ZERO, packing: Duration::ZERO, plain: 0, shrunk: 0 }
    }
}

pub(super) struct Pilot {
    /// Whether the peer takes compressed blocks.
    allowed: bool,
    /// Where on the ladder, between two of its steps.
    position: f64,
    /// What rounding has left over.
    rounding: f64,
    window: Window,
    /// The shares of time that the link waited for its socket, and for compression.
    socket: f64,
    packing: f64,
    /// Plain bytes a second that one thread compresses at the lightest level, and what is left of each.
    speed: Option<f64>,
    share: f64,
    unprobed: u32,
}

impl Pilot {
    pub(super) fn new(now: Instant) -> Pilot {
        Pilot {
            allowed: false,
            position: 1.0,
            rounding: 0.5,
            window: Window::new(now),
            socket: 0.0,
            packing: 0.0,
            speed: None,
            share: 1.0,
            unprobed: 0,
        }
    }

    pub(super) fn allow(&mut self) {
        self.allowed = true;
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The level for the next block.
    pub(super) fn level(&mut self) -> i32 {
        if self.position == 0.0 {
            self.unprobed += 1;
            // Where the link isn't what limits, it doesn't matter what a block would save.
            if self.unprobed >= PROBE && self.socket > 0.1 {
                self.unprobed = 0;
                return LADDER[1];
            }
            return 0;
        }
        let exact = self.position + self.rounding;
        let step = exact.floor();
        self.rounding = exact - step;
        LADDER[(step as usize).min(LADDER.len() - 1)]
    }

    /// The level for a block that may not get smaller.
    pub(super) fn lightest(&self) -> i32 {
        LADDER[1]
    }

    /// A block was compressed.
    pub(super) fn packed(&mut self, packed: &Packed) {
        if packed.data.is_some() {
            self.window.shrunk += packed.len as u64;
        }
        if packed.level != LADDER[1] || packed.took.is_zero() {
            return;
        }
        let speed = packed.len as f64 / packed.took.as_secs_f64();
        let left = packed.data.as_ref().map_or(packed.len, |data| data.len());
        let share = left as f64 / packed.len as f64;
        self.share += (share - self.share) * MEMORY;
        self.speed = Some(self.speed.map_or(speed, |before| before + (speed - before) * MEMORY));
    }

    /// So many plain bytes of compressed streams were sent.
    pub(super) fn sent(&mut self, plain: usize) {
        self.window.plain += plain as u64;
    }

    pub(super) fn waited(&mut self, wait: Wait, time: Duration) {
        match wait {
            Wait::Socket => self.window.socket += time,
            Wait::Packing => self.window.packing += time,
        }
    }

    /// Decides anew, if enough was measured.
    pub(super) fn tick(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.window.began);
        if elapsed < WINDOW || self.window.plain == 0 {
            return;
        }
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let seconds = elapsed.as_secs_f64();
        let weight = (seconds / WINDOW.as_secs_f64() * MEMORY).min(1.0);
        self.socket += (window.socket.as_secs_f64() / seconds - self.socket) * weight;
        self.packing += (window.packing.as_secs_f64() / seconds - self.packing) * weight;
        if self.socket > 0.15 {
            // A harder level is for what shrinks.
            let shrinks = window.shrunk >= window.plain / 4;
            if self.position > 0.0 && shrinks || self.pays(window.plain as f64 / seconds) {
                self.position += (self.socket - 0.1) * HARDER;
            }
        } else if self.socket < 0.05 && self.packing > 0.1 {
            self.position -= self.packing * LIGHTER;
        }
        self.position = self.position.clamp(0.0, (LADDER.len() - 1) as f64);
    }

    /// Whether compressing at all is worth it, on a link that carries so many plain bytes a second without.
    fn pays(&self, rate: f64) -> bool {
        self.share < 0.95 && self.speed.is_some_and(|speed| rate < speed * 0.9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::StreamId;
    use bytes::Bytes;

    const BLOCK: usize = 65_536;

    /// A sender whose link carries so many bytes a second, and whose threads compress at `speeds` and leave `shares`, by step of
    /// the ladder. A few blocks fit into the socket. Gives the plain bytes a second over the last three quarters of `seconds`.
    fn simulate(rate: f64, speeds: [f64; 5], shares: [f64; 5], seconds: f64) -> f64 {
        let start = Instant::now();
        let mut pilot = Pilot::new(start);
        let (mut packed_at, mut sent_at, mut plain, mut counted) = (0.0_f64, 0.0_f64, 0.0, 0.0);
        let mut blocks = 0u32;
        let socket = 1e6;
        while sent_at < seconds {
            // A stream that does not shrink asks once in 64 blocks.
            blocks += 1;
            let level = match (shares[1] < 0.97, blocks % 64) {
                (true, _) => pilot.level(),
                (false, 0) => pilot.lightest(),
                _ => 0,
            };
            let step = LADDER.iter().position(|other| *other == level).expect("a step");
            let took = if step == 0 { 0.0 } else { BLOCK as f64 / speeds[step] };
            let wire = BLOCK as f64 * shares[step];
            // The socket takes the block once all but its buffer has been sent.
            let room_at = sent_at - socket / rate;
            if step > 0 {
                let data = (shares[step] < 0.97).then(|| Bytes::from(vec![0; wire as usize]));
                let packed = Packed {
                    stream: StreamId(2),
                    ticket: 0,
                    level,
                    len: BLOCK,
                    data,
                    took: Duration::from_secs_f64(took),
                };
                pilot.packed(&packed);
            }
            let ready_at = packed_at + took;
            pilot.waited(Wait::Packing, Duration::from_secs_f64(took));
            pilot.waited(Wait::Socket, Duration::from_secs_f64((room_at - ready_at).max(0.0)));
            packed_at = ready_at.max(room_at);
            sent_at = sent_at.max(packed_at) + wire / rate;
            pilot.sent(BLOCK);
            pilot.tick(start + Duration::from_secs_f64(packed_at));
            plain += BLOCK as f64;
            if sent_at < seconds / 4.0 {
                counted = plain;
            }
        }
        (plain - counted) / (seconds * 0.75)
    }

    /// What the best fixed step of the ladder reaches.
    fn best(rate: f64, speeds: [f64; 5], shares: [f64; 5]) -> f64 {
        (0..5).map(|step| (rate / shares[step]).min(speeds[step])).fold(0.0, f64::max)
    }

    #[test]
    fn every_link_is_used_as_well_as_by_the_best_fixed_level() {
        let speeds = [f64::INFINITY, 320e6, 260e6, 55e6, 40e6];
        let text = [1.0, 0.29, 0.275, 0.255, 0.25];
        let binary = [1.0, 0.45, 0.43, 0.404, 0.401];
        for shares in [text, binary, [1.0; 5]] {
            for rate in [2e6, 10e6, 20e6, 50e6, 120e6, 250e6, 1e9, 3e9] {
                let (got, best) = (simulate(rate, speeds, shares, 20.0), best(rate, speeds, shares));
                assert!(got > best * 0.97, "{rate}: {:.1} of {:.1} MB/s", got / 1e6, best / 1e6);
            }
        }
    }
}
