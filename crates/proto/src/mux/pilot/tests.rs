use std::collections::VecDeque;

use bytes::Bytes;

use super::*;
use crate::mux::StreamId;
use crate::mux::pipeline::SLOTS;

const BLOCK: usize = 65_536;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A sender, its link and the processors.
#[derive(Debug, Clone, Copy)]
struct World {
    /// Bytes a second that the link carries.
    rate: f64,
    /// Bytes that the socket takes ahead of the link.
    socket: f64,
    /// Plain bytes a second that a thread compresses, and what is left of a byte, by step of the ladder.
    speeds: [f64; STEPS],
    shares: [f64; STEPS],
    /// Threads that compress; as many processors.
    threads: usize,
    /// Processor seconds that all else on the same processors takes for a plain byte, and for a byte on the link.
    others: [f64; 2],
    /// How much blocks of one level differ in time and size.
    spread: f64,
}

/// A block on its way.
#[derive(Clone, Copy)]
struct Slot {
    /// When it is compressed, and how long that took.
    ready: f64,
    took: f64,
    step: usize,
    /// What is left of it.
    wire: f64,
}

/// Sends for a while, at a fixed step or at what the pilot says.
struct Simulation {
    world: World,
    fixed: Option<usize>,
    pilot: Pilot,
    start: Instant,
    now: f64,
    /// When the link has carried all that the socket has taken.
    carried: f64,
    /// When each thread is free.
    free: Vec<f64>,
    slots: VecDeque<Slot>,
    /// Blocks under compression.
    working: Vec<Slot>,
    blocks: u64,
    wire: f64,
    random: u64,
}

impl Simulation {
    /// The plain bytes a second of the first `seconds`.
    fn run(world: World, fixed: Option<usize>, seconds: f64) -> f64 {
        let mut simulation = Simulation::new(world, fixed);
        simulation.send_until(seconds) / simulation.carried
    }

    fn new(world: World, fixed: Option<usize>) -> Simulation {
        let start = Instant::now();
        let mut simulation = Simulation {
            world,
            fixed,
            pilot: Pilot::new(start),
            start,
            now: 0.0,
            carried: 0.0,
            free: vec![0.0; world.threads],
            slots: VecDeque::new(),
            working: Vec::new(),
            blocks: 0,
            wire: 0.0,
            random: 1,
        };
        simulation.pilot.allow(world.threads);
        simulation
    }

    /// Sends until the link has carried for so long; gives the plain bytes of that.
    fn send_until(&mut self, seconds: f64) -> f64 {
        let mut sent = 0.0;
        while self.carried < seconds {
            self.step();
            sent += BLOCK as f64;
        }
        sent
    }

    /// Around 1, by as much as blocks differ; one in a hundred is `rarely`.
    fn differing(&mut self, rarely: f64) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (self.random >> 40) as f64 / (1u64 << 24) as f64;
        match self.world.spread {
            0.0 => 1.0,
            _ if uniform < 0.01 => rarely,
            spread => 1.0 + (uniform - 0.5) * 2.0 * spread,
        }
    }

    fn choose(&mut self) -> usize {
        if let Some(step) = self.fixed {
            return step;
        }
        // A stream that does not shrink asks once in 256 blocks.
        let level = match (self.world.shares[1] < 0.97, self.blocks % 256) {
            (true, _) => self.pilot.level(),
            (false, 255) => self.pilot.lightest(),
            _ => 0,
        };
        LADDER.iter().position(|other| *other == level).expect("a step")
    }

    /// Cuts a block.
    fn cut(&mut self) {
        let step = self.choose();
        self.blocks += 1;
        if step == 0 {
            self.slots.push_back(Slot { ready: self.now, took: 0.0, step, wire: BLOCK as f64 });
            return;
        }
        let share = self.world.shares[step];
        let wire =
            if share < 1.0 { (BLOCK as f64 * share * self.differing(1.0)).min(BLOCK as f64) } else { BLOCK as f64 };
        let thread = (0..self.free.len()).min_by(|a, b| self.free[*a].total_cmp(&self.free[*b])).expect("a thread");
        let begins = self.free[thread].max(self.now);
        let busy = 1 + self.free.iter().filter(|free| **free > begins).count();
        // One that is interrupted takes five times as long.
        let took = BLOCK as f64 / self.world.speeds[step] * self.differing(5.0) * self.slowed(busy);
        let slot = Slot { ready: begins + took, took, step, wire };
        self.free[thread] = slot.ready;
        self.slots.push_back(slot);
        self.working.push(slot);
    }

    /// How much longer a block takes, since the processors have other work too.
    fn slowed(&self, busy: usize) -> f64 {
        let plain = (self.blocks as f64) * BLOCK as f64;
        let [by_plain, by_wire] = self.world.others;
        let load = (plain * by_plain + self.wire * by_wire) / self.now.max(0.01);
        (busy as f64 / (self.world.threads as f64 - load).max(0.4)).max(1.0)
    }

    /// Sends one block, after all that has to be waited for.
    fn step(&mut self) {
        while self.slots.len() < SLOTS {
            self.cut();
        }
        let front = self.slots.front().expect("a block");
        let (ready, wire) = (front.ready, front.wire);
        self.wait(Wait::Packing, ready);
        self.wait(Wait::Socket, self.carried - self.world.socket / self.world.rate);
        self.slots.pop_front();
        self.carried = self.carried.max(self.now) + wire / self.world.rate;
        self.wire += wire;
        self.pilot.sent(wire as usize);
        self.pilot.tick(self.start + Duration::from_secs_f64(self.now));
    }

    /// Waits until then; blocks that are done meanwhile are reported.
    fn wait(&mut self, what: Wait, until: f64) {
        let time = until - self.now;
        if time <= 0.0 {
            return;
        }
        self.now = until;
        self.pilot.waited(what, Duration::from_secs_f64(time));
        let (mut done, working): (Vec<_>, Vec<_>) = self.working.drain(..).partition(|slot| slot.ready <= until);
        self.working = working;
        done.sort_by(|a, b| a.ready.total_cmp(&b.ready));
        for Slot { took, step, wire, .. } in done {
            let data = (wire < BLOCK as f64 * 0.97).then(|| Bytes::from_static(&ZEROS).slice(..wire as usize));
            let (took, level) = (Duration::from_secs_f64(took), LADDER[step]);
            self.pilot.packed(&Packed { stream: StreamId(2), ticket: 0, level, len: BLOCK, data, took });
        }
    }
}

/// Levels that cost and save what they did on text and on programs, and on others that are not like them.
fn contents() -> [([f64; STEPS], [f64; STEPS]); 5] {
    let inf = f64::INFINITY;
    let usual = [inf, 320e6, 280e6, 135e6, 100e6];
    [
        (usual, [1.0, 0.33, 0.308, 0.285, 0.28]),
        (usual, [1.0, 0.476, 0.452, 0.4255, 0.424]),
        (usual, [1.0; STEPS]),
        ([inf, 900e6, 500e6, 90e6, 60e6], [1.0, 0.1, 0.09, 0.06, 0.05]),
        ([inf, 150e6, 140e6, 40e6, 10e6], [1.0, 0.6, 0.59, 0.58, 0.45]),
    ]
}

/// Every content over links from slow to fast: `auto` beside the best fixed step, both simulated.
fn compare(left_out: &[usize], threads: usize, others: [f64; 2], spread: f64) {
    let mut worst = Vec::new();
    for (content, (speeds, shares)) in contents().into_iter().enumerate() {
        if left_out.contains(&content) {
            continue;
        }
        for rate in [2e6, 10e6, 25e6, 50e6, 100e6, 250e6, 1e9] {
            let world = World { rate, socket: 4e5, speeds, shares, threads, others, spread };
            for (seconds, least) in [(3.0, 0.97), (1.0, 0.94)] {
                // What a slow link's socket takes at once lasts for a good part of a second.
                if seconds * rate < 10e6 {
                    continue;
                }
                let fixed = (0..STEPS).map(|step| Simulation::run(world, Some(step), seconds)).fold(0.0, f64::max);
                let got = Simulation::run(world, None, seconds);
                if got < fixed * least {
                    let (got, fixed, part) = (got / 1e6, fixed / 1e6, got / fixed);
                    worst.push(format!(
                        "{content}: {rate} {threads} {others:?}, {seconds} s: {got:.1} of {fixed:.1} MB/s: {part:.3}"
                    ));
                }
            }
        }
    }
    assert!(worst.is_empty(), "{}", worst.join("\n"));
}

#[test]
fn every_link_is_used_as_well_as_by_the_best_fixed_level() {
    compare(&[], 1, [0.0; 2], 0.0);
}

#[test]
fn two_threads_that_compress_are_both_used() {
    compare(&[], 2, [0.0; 2], 0.3);
}

/// Half a second after a link has become faster it is used as one that always was.
#[test]
fn a_link_that_becomes_faster_is_found_out() {
    for (content, (speeds, shares)) in contents().into_iter().enumerate() {
        for rates in [[2e6, 10e6], [2e6, 250e6], [10e6, 100e6], [25e6, 50e6], [50e6, 1e9]] {
            let [before, after] = rates;
            let world = |rate| World { rate, socket: 4e5, speeds, shares, threads: 2, others: [0.0; 2], spread: 0.3 };
            let mut changing = Simulation::new(world(before), None);
            changing.send_until(1.0);
            changing.world.rate = after;
            changing.send_until(changing.carried.max(changing.now) + 0.5);
            let began = changing.carried;
            let got = changing.send_until(began + 1.0) / (changing.carried - began);
            let wanted = Simulation::run(world(after), None, 1.0);
            assert!(got > 0.95 * wanted, "{content}: {rates:?}: {:.1} and not {:.1} MB/s", got / 1e6, wanted / 1e6);
        }
    }
}

/// Content that shrinks to a tenth is left out: on a link of 250 MB/s, what the peer does with more plain bytes takes so much from
/// compressing that a few plain blocks, which would keep the link busy, cost 8 %.
#[test]
fn the_peer_may_work_on_the_same_processors() {
    compare(&[3], 2, [1e-9, 2e-9], 0.3);
}

#[test]
fn content_that_varies_does_not_move_the_levels_apart() {
    let mut costs = Costs::new();
    for block in 0..100_000u64 {
        // Half of the blocks take five times as long as the others, and shrink a fifth as well.
        let hard = block.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1;
        let (took, left) = if hard { (1000, 50_000) } else { (200, 10_000) };
        costs.learn(1, BLOCK, left, Duration::from_micros(took));
    }
    // The estimates for a level that was never used follow those of the level that was.
    let (slower, smaller) = (costs.seconds(4) / costs.seconds(1), costs.share(4) / costs.share(1));
    assert!((2.2..4.5).contains(&slower), "level 9 is taken to be {slower:.2} times as slow as level 1");
    assert!((0.6..1.2).contains(&smaller), "level 9 is taken to leave {smaller:.2} of what level 1 leaves");
}

#[test]
fn a_link_that_was_never_waited_for_and_turns_slow_is_measured_at_once() {
    let start = Instant::now();
    let mut pilot = Pilot::new(start);
    let mut now = start;
    let mut turn = |pilot: &mut Pilot, wait| {
        now += LONGEST;
        pilot.waited(wait, LONGEST / 2);
        pilot.sent(600_000);
        pilot.tick(now);
    };
    (0..10_000).for_each(|_| turn(&mut pilot, Wait::Packing));
    (0..3).for_each(|_| turn(&mut pilot, Wait::Socket));
    let drain = pilot.drain.expect("it was measured");
    assert!((9e6..11e6).contains(&drain), "{drain} instead of 10 MB/s");
}
