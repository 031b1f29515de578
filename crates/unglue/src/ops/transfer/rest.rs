//! A source whose first bytes were sent already.

use bytes::{Buf as _, Bytes};
use unglue_host::store::{Facts, Source, StoreError};
use unglue_proto::message::Tally;

/// Gives a source's bytes without the first ones. All of them are counted and digested.
pub(super) struct Rest<S> {
    source: S,
    skip: usize,
}

impl<S> Rest<S> {
    /// Without the first `skip` bytes.
    pub(super) fn of(source: S, skip: u64) -> Rest<S> {
        Rest { source, skip: usize::try_from(skip).unwrap_or(usize::MAX) }
    }
}

impl<S: Source> Source for Rest<S> {
    fn facts(&self) -> Facts {
        self.source.facts()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let Some(mut piece) = self.source.next().await? else { return Ok(None) };
            let skipped = piece.len().min(self.skip);
            piece.advance(skipped);
            self.skip -= skipped;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    async fn finish(self) -> Result<Tally, StoreError> {
        self.source.finish().await
    }
}

#[cfg(test)]
mod tests {
    use unglue_host::store::BytesSource;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_are_left_out_and_counted() {
        let content: Vec<u8> = (0..600_000_u32).map(|number| number as u8).collect();
        for skip in [0, 1, 256 * 1024, 300_000, 600_000] {
            let mut rest = Rest::of(BytesSource::new(content.clone().into(), Facts::default()), skip as u64);
            let mut given = Vec::new();
            while let Some(piece) = rest.next().await.expect("it is in memory") {
                assert!(!piece.is_empty());
                given.extend_from_slice(&piece);
            }
            assert!(given == content[skip..], "without the first {skip} bytes");
            let tally = rest.finish().await.expect("it is in memory");
            assert_eq!((tally.bytes, tally.blake3), (600_000, blake3::hash(&content).to_hex().to_string()));
        }
    }
}
