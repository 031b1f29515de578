//! Random programs of two users, held against what they may expect.
//!
//! The users act as tasks do: who was told to wait goes on when an event says so, and not before. So an event that never
//! comes shows as a program that never ends.

mod monitor;
mod user;

use unglue_proto::mux::{Config, Gather, Mux, Output as _, Role};
use unglue_testkit::prng::cases;
use unglue_testkit::{Clock, Prng};

use monitor::Monitor;
use user::User;

/// Two users and what is under way between them.
struct World {
    users: [User; 2],
    pipes: [Pipe; 2],
    monitor: Monitor,
    clock: Clock,
    random: Prng,
}

/// Bytes under way in one direction.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    delivered: usize,
}

impl Pipe {
    fn push(&mut self, wire: &[u8]) {
        if self.delivered == self.bytes.len() {
            self.bytes.clear();
            self.delivered = 0;
        }
        self.bytes.extend_from_slice(wire);
    }

    /// A chunk of random size off the front; empty if nothing is under way.
    fn take(&mut self, random: &mut Prng) -> &[u8] {
        let rest = &self.bytes[self.delivered..];
        let len = random.log_uniform(1, rest.len().max(1)).min(rest.len());
        self.delivered += len;
        &rest[..len]
    }
}

impl World {
    fn new(random: &mut Prng) -> World {
        let clock = Clock::new();
        // Some of them have little memory: windows that don't grow, writers that wait. Unread bytes always fit.
        let user = |role, random: &mut Prng| {
            let mut config = Config::default();
            if random.chance(4) {
                config.memory.windows = random.log_uniform(1, 1 << 20) as u64;
                config.memory.unsent = random.log_uniform(1, 1 << 20) as u64;
            }
            User::new(Mux::with_config(role, clock.now(), &config), role, random)
        };
        let users = [user(Role::Client, random), user(Role::Server, random)];
        World { users, pipes: Default::default(), monitor: Monitor::default(), clock, random: random.clone() }
    }

    /// Lets users and bytes move in random order until nothing can.
    fn run(&mut self) {
        let mut idle = 0;
        while idle < 2 {
            let mut moved = false;
            for _ in 0..16 {
                let side = self.random.below(2);
                moved |= match self.random.below(3) {
                    0 => self.users[side].act(&mut self.random),
                    1 => self.emit(side),
                    _ => self.deliver(side),
                };
            }
            // Random choices may have missed the only thing that could move.
            for side in [0, 1] {
                moved |= self.users[side].act(&mut self.random) | self.emit(side) | self.deliver(side);
            }
            idle = if moved { 0 } else { idle + 1 };
        }
    }

    /// One end sends some of what it has.
    fn emit(&mut self, side: usize) -> bool {
        let budget = self.random.log_uniform(1, 300_000);
        let (mux, now) = (&mut self.users[side].mux, self.clock.now());
        let mut wire = Vec::new();
        let sent = if self.random.chance(2) {
            mux.poll_output(&mut wire, budget, now)
        } else {
            // As the driver has it: in pieces for a vectored write.
            let mut gather = Gather::default();
            let sent = mux.poll_output(&mut gather, budget, now);
            gather.slices().iter().for_each(|slice| wire.extend_from_slice(slice));
            assert_eq!(gather.len(), wire.len());
            sent
        };
        assert_eq!(sent, !wire.is_empty());
        self.users[side].take_events(&mut self.random);
        self.monitor.watch(self.users[side].role, &wire);
        self.pipes[side].push(&wire);
        sent
    }

    /// Some bytes arrive, cut anywhere.
    fn deliver(&mut self, side: usize) -> bool {
        let chunk = self.pipes[side].take(&mut self.random);
        if chunk.is_empty() {
            return false;
        }
        let other = &mut self.users[1 - side];
        other.mux.handle_input(chunk, self.clock.now()).expect("both ends keep to the protocol");
        other.take_events(&mut self.random);
        true
    }
}

#[test]
fn random_programs_end_as_they_should() {
    cases("random programs", 500, |random| {
        let mut world = World::new(random);
        world.run();
        for user in &world.users {
            user.assert_only_the_unread_are_left();
        }
        world.monitor.assert_bounds(&world.users);
        // Readers that had fallen asleep wake up: now everything ends.
        world.users.iter_mut().for_each(User::wake_sleepers);
        world.run();
        let [client, server] = &world.users;
        client.assert_ended_as(server);
        server.assert_ended_as(client);
        for user in &world.users {
            assert_eq!(user.mux.memory_taken(), [0; 3], "{:?}: memory is still counted", user.role);
            assert_eq!(user.mux.stream_count(), 0, "{:?}: streams are left over", user.role);
        }
    });
}
