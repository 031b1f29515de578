//! Every fact in every order: the machine concludes exactly once, and says what happened.

use super::*;
use proptest::prelude::*;

/// A command, its supervisor and its pipes, as far as the machine sees them. Each step makes one thing happen that can
/// happen now.
struct World {
    life: Life,
    now: Instant,
    pending: Vec<Fact>,
    ending: Option<Descendants>,
    last_output: bool,
    exits: usize,
    concluded: Vec<End>,
    order: Vec<&'static str>,
}

/// What can happen to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Exit,
    Stdout,
    Stderr,
    Cancel,
    Abandon,
    Loss,
    Tree,
    BrokenOutput,
    Unkillable,
    OutputLimit,
    Wait,
}

impl World {
    fn new(terms: Terms) -> World {
        let now = Instant::now();
        World {
            life: Life::new(terms, now),
            now,
            pending: Vec::new(),
            ending: None,
            last_output: false,
            exits: 0,
            concluded: Vec::new(),
            order: Vec::new(),
        }
    }

    fn apply(&mut self, fact: Fact) {
        let (life, now) = (&mut self.life, self.now);
        match fact {
            Fact::Exit => life.handle_exit(Exit::Exited(3), now),
            Fact::Stdout => life.handle_output_end(Output::Stdout),
            Fact::Stderr => life.handle_output_end(Output::Stderr),
            Fact::BrokenOutput => life.handle_output_failure(Output::Stderr, Fault::system(Code::System, "EIO")),
            Fact::Cancel => life.handle_cancel(Fault::user(Code::Cancelled, "cut"), now),
            Fact::Abandon => life.handle_abandon(Fault::user(Code::Cancelled, "gone"), now),
            Fact::Loss => life.handle_loss(Fault::system(Code::System, "lost")),
            Fact::Tree => life.handle_tree_end(Tree::Killed(1)),
            Fact::Unkillable => life.handle_tree_end(Tree::Unkillable(1)),
            Fact::OutputLimit => {
                life.handle_output_limit(1000, now);
                life.handle_output_end(Output::Stdout);
                life.handle_output_end(Output::Stderr);
            }
            Fact::Wait => {
                if let Some(due) = life.poll_timeout() {
                    self.now = self.now.max(due);
                    life.handle_timeout(self.now);
                }
            }
        }
        self.act();
    }

    fn end_outputs(&mut self) {
        self.apply(Fact::Stdout);
        self.apply(Fact::Stderr);
    }

    fn act(&mut self) {
        while let Some(action) = self.life.poll_action() {
            match action {
                Action::AnnounceExit(_) => {
                    self.exits += 1;
                    self.order.push("exit");
                }
                Action::LastOutput => {
                    self.last_output = true;
                    self.order.push("last output");
                }
                Action::EndTree(descendants) => {
                    assert_eq!(self.ending.replace(descendants), None, "a tree is ended once");
                    self.order.push("end tree");
                }
                Action::Conclude(end) => {
                    self.concluded.push(end);
                    self.order.push("conclude");
                }
            }
        }
    }

    /// What an honest machine does next, until nothing more can happen.
    fn run_out(&mut self) {
        for _ in 0..20 {
            if !self.concluded.is_empty() {
                return;
            }
            for fact in std::mem::take(&mut self.pending) {
                self.apply(fact);
            }
            if self.ending == Some(Descendants::Kill) {
                self.apply(Fact::Exit);
                self.apply(Fact::Tree);
                self.apply(Fact::Stdout);
                self.apply(Fact::Stderr);
            } else if self.ending == Some(Descendants::Leave) {
                self.life.handle_tree_end(Tree::Left(1));
                self.act();
            }
            if self.last_output {
                self.apply(Fact::Stdout);
                self.apply(Fact::Stderr);
            }
            self.apply(Fact::Wait);
        }
    }
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    use Fact::*;
    let one = prop_oneof![
        4 => Just(Exit), 3 => Just(Stdout), 3 => Just(Stderr), 1 => Just(Cancel), 1 => Just(Abandon), 1 => Just(Loss),
        2 => Just(Tree), 1 => Just(BrokenOutput), 1 => Just(Unkillable), 1 => Just(OutputLimit),
        3 => Just(Wait),
    ];
    proptest::collection::vec(one, 0..12)
}

fn terms() -> impl Strategy<Value = Terms> {
    (any::<bool>(), any::<bool>()).prop_map(|(timeout, leave)| Terms {
        timeout: timeout.then_some(Duration::from_secs(1)),
        descendants: if leave { Descendants::Leave } else { Descendants::Kill },
    })
}

fn concludes_once(terms: Terms, facts: &[Fact]) {
    let mut world = World::new(terms);
    facts.iter().for_each(|fact| world.apply(*fact));
    // Whatever came before: the command ends at last.
    world.pending = vec![Fact::Exit];
    world.run_out();
    assert_eq!(world.concluded.len(), 1, "{facts:?}: {:?}", world.order);
    assert!(world.exits <= 1);
    assert_eq!(world.order.last(), Some(&"conclude"), "nothing follows the conclusion");
    assert_eq!(world.life.poll_timeout(), None, "no timer is left");
    let end = &world.concluded[0];
    if let Outcome::Ended(_) = end.outcome {
        let harmless =
            |fact: &Fact| !matches!(fact, Fact::Loss | Fact::BrokenOutput | Fact::Abandon | Fact::OutputLimit);
        let before_exit = facts.iter().take_while(|fact| **fact != Fact::Exit);
        assert!(facts.iter().all(harmless) || world.exits == 1, "{facts:?}");
        assert!(before_exit.clone().all(|fact| *fact != Fact::Cancel), "{facts:?}: a cancelled command has not ended");
    }
}

/// `UNGLUE_ORDERS` orders; the ordinary run tries a few thousand.
#[test]
fn any_order_of_facts_concludes_exactly_once() {
    let cases = std::env::var("UNGLUE_ORDERS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(5_000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(terms in terms(), facts in facts())| concludes_once(terms, &facts));
}

fn ran(terms: Terms, facts: &[Fact]) -> World {
    let mut world = World::new(terms);
    facts.iter().for_each(|fact| world.apply(*fact));
    world
}

fn end(world: &World) -> &End {
    world.concluded.first().expect("it has concluded")
}

#[test]
fn an_exit_is_announced_before_the_outputs_have_ended() {
    let world = ran(Terms::default(), &[Fact::Exit]);
    assert_eq!((world.exits, world.concluded.len()), (1, 0));
}

#[test]
fn a_held_output_is_seen_before_its_holder_is_killed() {
    let world = ran(Terms::default(), &[Fact::Exit, Fact::Stdout, Fact::Wait]);
    assert_eq!(world.order, ["exit", "last output", "end tree"]);
}

#[test]
fn descendants_that_are_left_are_not_killed_when_the_outputs_are_drained() {
    let terms = Terms { descendants: Descendants::Leave, ..Terms::default() };
    let mut world = ran(terms, &[Fact::Exit, Fact::Wait]);
    assert_eq!((world.last_output, world.ending), (true, None));
    world.end_outputs();
    assert_eq!(world.ending, Some(Descendants::Leave));
}

#[test]
fn a_timeout_kills_and_says_so() {
    let terms = Terms { timeout: Some(Duration::from_secs(1)), ..Terms::default() };
    let world = ran(terms, &[Fact::Wait, Fact::Exit, Fact::Tree, Fact::Stdout, Fact::Stderr]);
    assert_eq!(end(&world).outcome, Outcome::TimedOut(TimedOut { after_ms: 1000 }));
    assert_eq!(end(&world).descendants, Some(Left::Killed));
}

#[test]
fn a_timeout_that_passes_after_the_exit_is_none() {
    let terms = Terms { timeout: Some(Duration::from_millis(1)), ..Terms::default() };
    let mut world = World::new(terms);
    world.apply(Fact::Exit);
    world.now += Duration::from_millis(5);
    world.life.handle_timeout(world.now);
    world.end_outputs();
    world.apply(Fact::Tree);
    assert_eq!(end(&world).outcome, Outcome::exited(3));
}

#[test]
fn a_timeout_of_an_unkillable_command_is_not_reported_as_a_kill() {
    let terms = Terms { timeout: Some(Duration::from_secs(1)), ..Terms::default() };
    let mut world = ran(terms, &[Fact::Wait, Fact::Unkillable]);
    assert!(world.last_output, "its processes would hold the outputs open");
    world.end_outputs();
    assert!(matches!(end(&world).outcome, Outcome::Unkillable(_)), "{:?}", end(&world));
    assert_eq!(end(&world).descendants, Some(Left::Unkillable));
}

#[test]
fn a_broken_input_before_the_exit_cancels_and_after_it_does_nothing() {
    let world = ran(Terms::default(), &[Fact::Cancel, Fact::Exit, Fact::Tree, Fact::Stdout, Fact::Stderr]);
    assert!(matches!(end(&world).outcome, Outcome::Cancelled(_)));
    let mut world = ran(Terms::default(), &[Fact::Exit, Fact::Cancel, Fact::Stdout, Fact::Stderr]);
    world.apply(Fact::Tree);
    assert_eq!(end(&world).outcome, Outcome::exited(3));
}

#[test]
fn a_command_that_prints_more_than_it_may_is_killed_even_if_it_has_exited() {
    for facts in [[Fact::OutputLimit, Fact::Exit, Fact::Tree], [Fact::Exit, Fact::OutputLimit, Fact::Tree]] {
        let world = ran(Terms { descendants: Descendants::Leave, ..Terms::default() }, &facts);
        assert_eq!(end(&world).outcome, Outcome::OutputLimit(OutputLimit { bytes: 1000 }), "{facts:?}");
        assert_eq!(world.ending, Some(Descendants::Kill), "{facts:?}");
    }
}

#[test]
fn an_output_that_can_t_be_read_is_a_failure_whatever_the_exit() {
    let world = ran(Terms::default(), &[Fact::BrokenOutput, Fact::Exit, Fact::Tree, Fact::Stdout]);
    assert!(matches!(end(&world).outcome, Outcome::Failed(_)), "{:?}", end(&world));
}

#[test]
fn a_tree_that_never_ends_is_given_a_deadline() {
    let terms = Terms { timeout: Some(Duration::from_secs(1)), ..Terms::default() };
    let mut world = ran(terms, &[Fact::Wait, Fact::Wait]);
    assert!(world.last_output);
    world.end_outputs();
    assert!(matches!(&end(&world).outcome, Outcome::TimedOut(_)), "{:?}", end(&world));
    assert_eq!(end(&world).descendants, None, "what became of them isn't known");
}

#[test]
fn a_lost_supervisor_ends_the_job() {
    let mut world = ran(Terms::default(), &[Fact::Loss]);
    world.end_outputs();
    assert!(matches!(&end(&world).outcome, Outcome::Failed(_)));
}

#[test]
fn a_timeout_beyond_the_clock_is_none() {
    let life = Life::new(Terms { timeout: Some(Duration::MAX), ..Terms::default() }, Instant::now());
    assert_eq!(life.poll_timeout(), None);
}
