//! From many cuts that make a run fail to the fewest.

use super::plan::{Act, Cut, Plan, Towards};
use crate::LabError;

/// Tries a plan, and says whether it fails.
pub(super) type Try<'a> = dyn FnMut(&Plan) -> Result<bool, LabError> + 'a;

/// How many tries may be made.
const MOST: u32 = 96;

struct Shrinking<'a, 'b> {
    attempt: &'a mut Try<'b>,
    left: u32,
}

/// The fewest of `plan`'s cuts that still fail. `applied` is the order in which they took effect in the run that failed.
pub(super) fn shrink(plan: &Plan, applied: &[Option<u64>], attempt: &mut Try<'_>) -> Result<Plan, LabError> {
    let mut shrinking = Shrinking { attempt, left: MOST };
    // A cut that was never reached has no part in it. A narrow path takes effect from the start.
    let reached = plan.cuts.iter().zip(applied).filter(|(cut, at)| at.is_some() || cut.act == Act::Narrow);
    let mut reached: Vec<(u64, Cut)> = reached.map(|(cut, at)| (at.unwrap_or(0), cut.clone())).collect();
    reached.sort();
    let mut cuts: Vec<Cut> = reached.into_iter().map(|(_, cut)| cut).collect();
    if cuts.len() > 1 {
        cuts = shrinking.likely(cuts)?;
    }
    if cuts.len() > 4 {
        cuts = shrinking.ends(cuts)?;
    }
    cuts = shrinking.subsets(cuts)?;
    cuts = shrinking.simpler(cuts)?;
    Ok(Plan::of(cuts))
}

impl Shrinking<'_, '_> {
    fn fails(&mut self, cuts: &[Cut]) -> Result<bool, LabError> {
        if self.left == 0 || cuts.is_empty() {
            return Ok(false);
        }
        self.left -= 1;
        (self.attempt)(&Plan::of(cuts.iter().cloned()))
    }

    /// One cut alone: of each direction the last ones to take effect, since a run often fails at once, and the first.
    fn likely(&mut self, cuts: Vec<Cut>) -> Result<Vec<Cut>, LabError> {
        let lane = |index: usize| (cuts[index].connection, cuts[index].towards);
        let mut alone: Vec<usize> = Vec::new();
        let mut lanes: Vec<(usize, Towards)> = Vec::new();
        for index in (0..cuts.len()).rev() {
            if !lanes.contains(&lane(index)) && lanes.len() < 2 {
                lanes.push(lane(index));
                let of_lane: Vec<usize> = (0..=index).filter(|other| lane(*other) == lane(index)).collect();
                alone.extend(of_lane.iter().rev().take(2).chain(of_lane.first()));
            }
        }
        alone.extend((cuts.len() <= 4).then_some(0..cuts.len()).into_iter().flatten());
        let mut tried = Vec::new();
        for index in alone {
            if tried.contains(&index) {
                continue;
            }
            tried.push(index);
            if self.fails(&cuts[index..=index])? {
                return Ok(vec![cuts[index].clone()]);
            }
        }
        Ok(cuts)
    }

    /// Leaves out what comes behind the failure, then what comes before it, by halves.
    fn ends(&mut self, mut cuts: Vec<Cut>) -> Result<Vec<Cut>, LabError> {
        let (mut passes, mut fails) = (0, cuts.len());
        while fails - passes > 1 {
            let middle = passes + (fails - passes) / 2;
            match self.fails(&cuts[..middle])? {
                true => fails = middle,
                false => passes = middle,
            }
        }
        cuts.truncate(fails);
        if cuts.len() > 1 && self.fails(&cuts[cuts.len() - 1..])? {
            return Ok(cuts.split_off(cuts.len() - 1));
        }
        let (mut fails, mut passes) = (0, cuts.len());
        while passes - fails > 1 {
            let middle = fails + (passes - fails) / 2;
            match self.fails(&cuts[middle..])? {
                true => fails = middle,
                false => passes = middle,
            }
        }
        Ok(cuts.split_off(fails))
    }

    /// Delta debugging (Zeller and Hildebrandt, 2002), on its complements.
    fn subsets(&mut self, mut cuts: Vec<Cut>) -> Result<Vec<Cut>, LabError> {
        let mut parts = 2;
        while cuts.len() > 1 && self.left > 0 {
            let size = cuts.len().div_ceil(parts);
            let mut smaller = None;
            for from in (0..cuts.len()).step_by(size) {
                let rest = [&cuts[..from], &cuts[(from + size).min(cuts.len())..]].concat();
                if self.fails(&rest)? {
                    smaller = Some(rest);
                    break;
                }
            }
            match smaller {
                Some(rest) => (cuts, parts) = (rest, (parts - 1).max(2)),
                None if size == 1 => break,
                None => parts = (parts * 2).min(cuts.len()),
            }
        }
        Ok(cuts)
    }

    /// A stall that need not be one is a split.
    fn simpler(&mut self, mut cuts: Vec<Cut>) -> Result<Vec<Cut>, LabError> {
        for index in 0..cuts.len() {
            if let Act::Stall { .. } = cuts[index].act {
                let mut simpler = cuts.clone();
                simpler[index].act = Act::Split;
                if self.fails(&simpler)? {
                    cuts = simpler;
                }
            }
        }
        Ok(cuts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(places: impl IntoIterator<Item = u64>) -> Plan {
        let cut = |after| Cut { connection: 1, towards: Towards::Client, after, act: Act::Split };
        Plan::of(places.into_iter().map(cut))
    }

    fn shrunk(from: u64, needed: &[u64]) -> (Vec<u64>, u32) {
        let whole = plan(1..from);
        let applied: Vec<Option<u64>> = (1..from).map(Some).collect();
        let mut tries = 0;
        let found = shrink(&whole, &applied, &mut |plan: &Plan| {
            tries += 1;
            Ok(needed.iter().all(|place| plan.cuts.iter().any(|cut| cut.after == *place)))
        });
        (found.expect("no error").cuts.iter().map(|cut| cut.after).collect(), tries)
    }

    #[test]
    fn what_is_left_is_what_is_needed() {
        for needed in [&[7_u64][..], &[399], &[1], &[30, 200], &[3, 4, 390]] {
            let (left, tries) = shrunk(400, needed);
            assert_eq!(left, needed);
            assert!(tries <= MOST, "{tries}");
        }
        assert!(shrunk(400, &[7]).1 <= 16);
    }

    #[test]
    fn cuts_that_were_never_reached_are_left_out_untried() {
        let mut tries = 0;
        let mut applied = vec![None; 9];
        applied[3] = Some(1);
        let found = shrink(&plan(1..10), &applied, &mut |_: &Plan| {
            tries += 1;
            Ok(true)
        });
        assert_eq!((found.expect("no error"), tries), (plan([4]), 0));
    }
}
