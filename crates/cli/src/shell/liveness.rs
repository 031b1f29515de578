//! Whether the link is alive, as far as somebody who types can tell.
//!
//! What is typed is mostly answered by an echo. Where nothing comes, the server is asked for a sign of life. So a dead link is
//! noticed within a second of typing, long before its heartbeat misses it, and an idle terminal costs nothing.
//!
//! Call [`Liveness::typed`], [`Liveness::alive`], [`Liveness::lost`] and [`Liveness::up`] as these things happen, and
//! [`Liveness::due`] at [`Liveness::deadline`].

use std::time::{Duration, Instant};

/// How long an echo may take before the server is asked.
const ASK: Duration = Duration::from_millis(300);
/// How long nothing may come before the user is informed; longer where an answer needs longer.
const TELL: Duration = Duration::from_millis(900);
/// How long nothing may come before another connection is tried for.
const RENEW: Duration = Duration::from_secs(6);
/// How often the time that is shown changes.
const SECOND: Duration = Duration::from_secs(1);

/// What is known of the link.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the first key was typed that nothing has followed.
    typed: Option<Instant>,
    asked: bool,
    renewed: bool,
    /// Since when the link is known to be lost, and why.
    lost: Option<(Instant, String)>,
    /// How long an answer took.
    round_trip: Duration,
    /// When the line on the screen was drawn.
    told: Option<Instant>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask the server for a sign of life.
    Ask,
    /// Tell the user.
    Tell,
    /// Try for another connection.
    Renew,
}

impl Liveness {
    /// A key was typed.
    pub(super) fn typed(&mut self, now: Instant) {
        self.typed.get_or_insert(now);
    }

    /// Something came from the server; an answer took `round_trip`. Gives whether the user was informed otherwise.
    pub(super) fn alive(&mut self, round_trip: Option<Duration>) -> bool {
        if let Some(round_trip) = round_trip {
            self.round_trip = round_trip;
        }
        (self.typed, self.asked, self.renewed) = (None, false, false);
        self.lost.is_none() && self.told.take().is_some()
    }

    /// The link was lost.
    pub(super) fn lost(&mut self, since: Instant, why: &str) {
        self.lost = Some((since, why.to_owned()));
    }

    /// There is a link again. Gives whether the user was informed otherwise.
    pub(super) fn up(&mut self) -> bool {
        self.lost = None;
        self.alive(None)
    }

    /// Whether there is nothing to say against the link.
    pub(super) fn is_well(&self) -> bool {
        self.told.is_none() && self.lost.is_none()
    }

    /// How long nothing has come, and why.
    pub(super) fn silence(&self, now: Instant) -> (Duration, Option<&str>) {
        let lost = self.lost.as_ref();
        let since = self.typed.into_iter().chain(lost.map(|(since, _)| *since)).min();
        let silence = since.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        (silence, lost.map(|(_, why)| why.as_str()))
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next().map(|(at, _)| at)
    }

    /// What is due now, if anything is. It is not due a second time.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let (_, due) = self.next().filter(|(at, _)| *at <= now)?;
        match due {
            Due::Ask => self.asked = true,
            Due::Tell => self.told = Some(now),
            Due::Renew => self.renewed = true,
        }
        Some(due)
    }

    fn next(&self) -> Option<(Instant, Due)> {
        let typed = |after: Duration| self.typed.map(|typed| typed + after);
        let tell = match (self.told, &self.lost) {
            (Some(told), _) => Some(told + SECOND),
            (None, Some((since, _))) => Some(*since + SECOND).into_iter().chain(typed(TELL)).min(),
            (None, None) => typed(TELL.max(ASK + 2 * self.round_trip)),
        };
        // A link that is known to be lost is being replaced already.
        let is_up = self.lost.is_none();
        let ask = typed(ASK).filter(|_| is_up && !self.asked);
        let renew = typed(RENEW.max(4 * self.round_trip)).filter(|_| is_up && !self.renewed);
        let all = [(ask, Due::Ask), (tell, Due::Tell), (renew, Due::Renew)];
        all.into_iter().filter_map(|(at, due)| at.map(|at| (at, due))).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What is due until then, with its time in milliseconds.
    fn until(liveness: &mut Liveness, start: Instant, end: u32) -> Vec<(u128, Due)> {
        let mut all = Vec::new();
        while let Some(at) = liveness.deadline().filter(|at| *at <= start + end * MS) {
            all.push(((at - start).as_millis(), liveness.due(at).expect("it is due")));
        }
        all
    }

    #[test]
    fn an_idle_terminal_costs_nothing_and_an_echo_is_enough() {
        let mut liveness = Liveness::default();
        assert_eq!(liveness.deadline(), None);
        let start = Instant::now();
        liveness.typed(start);
        assert!(!liveness.alive(None));
        assert_eq!(liveness.deadline(), None);
    }

    #[test]
    fn silence_after_a_key_is_told_within_a_second() {
        let (mut liveness, start) = (Liveness::default(), Instant::now());
        liveness.typed(start);
        liveness.typed(start + 500 * MS);
        let due = until(&mut liveness, start, 6100);
        assert_eq!(due[..3], [(300, Due::Ask), (900, Due::Tell), (1900, Due::Tell)]);
        assert!(due.contains(&(6000, Due::Renew)) && due.iter().filter(|(_, due)| *due == Due::Renew).count() == 1);
        assert_eq!(liveness.silence(start + 3000 * MS), (3000 * MS, None));
        assert!(!liveness.is_well() && liveness.alive(Some(40 * MS)) && liveness.is_well());
        assert_eq!(liveness.deadline(), None);
    }

    #[test]
    fn a_program_that_does_not_echo_is_no_dead_link() {
        let (mut liveness, start) = (Liveness::default(), Instant::now());
        liveness.typed(start);
        assert_eq!(until(&mut liveness, start, 300), [(300, Due::Ask)]);
        assert!(!liveness.alive(Some(500 * MS)), "nothing was told");
        // A slow link has more time.
        liveness.typed(start + 1000 * MS);
        assert_eq!(until(&mut liveness, start, 2299), [(1300, Due::Ask)]);
        assert_eq!(until(&mut liveness, start, 2300), [(2300, Due::Tell)]);
    }

    #[test]
    fn a_link_that_is_lost_is_told_of_after_a_second_and_not_renewed() {
        let (mut liveness, start) = (Liveness::default(), Instant::now());
        liveness.lost(start, "reset");
        liveness.typed(start + 500 * MS);
        assert_eq!(until(&mut liveness, start, 8000), (1..=8).map(|at| (at * 1000, Due::Tell)).collect::<Vec<_>>());
        assert_eq!(liveness.silence(start + 8000 * MS), (8000 * MS, Some("reset")));
        assert!(!liveness.alive(None), "what comes from the old link changes nothing");
        assert!(liveness.up() && liveness.is_well());
    }
}
