//! The bytes at one place of every frame: constant, few, counting, or anything.

/// How many imagined observations the distribution of all bytes lends to a column.
const LENT: f64 = 0.5;

/// What a column of bytes looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The same in every frame.
    Constant(u8),
    /// It grows by the same step from frame to frame.
    Counter,
    /// So many values, fewer than frames.
    Few(usize),
    /// Anything.
    Varied,
}

/// The bytes at one place of every frame, in order, each with what it costs without a framing.
#[derive(Default)]
pub(super) struct Column {
    bytes: Vec<(u8, f64)>,
}

impl Column {
    pub(super) fn push(&mut self, byte: u8, cost: f64) {
        self.bytes.push((byte, cost));
    }

    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.bytes.iter().map(|(byte, _)| *byte)
    }

    /// The bits that are saved by knowing that these bytes stand at the same place of their frames. Below 0 if none are.
    pub(super) fn gain(&self) -> f64 {
        let plain: f64 = self.bytes.iter().map(|(_, cost)| cost).sum();
        let values = adaptive(self.bytes.iter().copied());
        let deltas = self.bytes.windows(2).map(|pair| (pair[1].0.wrapping_sub(pair[0].0), 8.0f64.min(pair[1].1 + 1.0)));
        let first = self.bytes.first().map_or(0.0, |(_, cost)| *cost);
        let counted = first + adaptive(deltas) + 1.0;
        plain - values.min(counted)
    }

    /// What it looks like.
    pub(super) fn look(&self) -> Look {
        let mut seen = self.bytes().collect::<Vec<_>>();
        seen.sort_unstable();
        seen.dedup();
        let mut deltas = self.bytes.windows(2).map(|pair| pair[1].0.wrapping_sub(pair[0].0));
        let first = deltas.next();
        let steady = first.is_some_and(|first| {
            first != 0 && deltas.clone().filter(|delta| *delta == first).count() * 10 >= 9 * deltas.clone().count()
        });
        match seen.len() {
            1 => Look::Constant(seen[0]),
            _ if steady && self.bytes.len() >= 4 => Look::Counter,
            values if values <= 16 && values * 2 <= self.bytes.len() => Look::Few(values),
            _ => Look::Varied,
        }
    }
}

/// The bits of a code that learns which values this column has; one not seen before costs what it costs anywhere.
fn adaptive(symbols: impl Iterator<Item = (u8, f64)>) -> f64 {
    let mut counts = [0.0; 256];
    let (mut seen, mut bits) = (0.0, 0.0);
    for (byte, cost) in symbols {
        let count: &mut f64 = &mut counts[usize::from(byte)];
        bits -= ((*count + LENT * (-cost).exp2()) / (seen + LENT)).log2();
        *count += 1.0;
        seen += 1.0;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(bytes: &[u8]) -> Column {
        let mut column = Column::default();
        bytes.iter().for_each(|byte| column.push(*byte, 8.0));
        column
    }

    #[test]
    fn looks() {
        assert_eq!(column(&[3; 9]).look(), Look::Constant(3));
        assert_eq!(column(&[1, 2, 3, 4, 5]).look(), Look::Counter);
        assert_eq!(column(&[1, 9, 1, 9, 9, 1]).look(), Look::Few(2));
        assert_eq!(column(&[1, 9, 44, 3, 200]).look(), Look::Varied);
    }

    #[test]
    fn constants_and_counters_gain_and_noise_does_not() {
        assert!(column(&[3; 9]).gain() > 40.0);
        assert!(column(&(0..30).collect::<Vec<u8>>()).gain() > 100.0);
        assert!(column(&[7, 200, 31, 99, 164, 2, 77]).gain() < 0.0);
    }
}
