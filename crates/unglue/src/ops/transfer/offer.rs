//! What the receiver of a file has of it, and how the data travel therefore.

use unglue_host::store::{BlockSource, DiskSink};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::Fault;
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::{Have, Old};

use super::delta::{self, Basis};
use super::resume::{self, Kept};
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::pace::Pace;

/// Files of fewer bytes are sent whole at once, without asking for an old one.
pub(super) const DELTA_LEAST: u64 = 1024 * 1024;

/// What a receiver has.
pub(in crate::ops) enum Offer {
    Nothing,
    Kept(Kept),
    Old(Basis),
    Both(Kept, Basis),
}

impl Offer {
    /// What there is for a file of `size` bytes, of which an earlier transfer has left `kept`; and as the sender gets to know it. `old` is the file that it replaces, if that may be
    /// offered.
    pub(in crate::ops) async fn find(
        link: &Link,
        kept: u64,
        size: Option<u64>,
        old: Option<BlockSource>,
    ) -> Result<(Have, Offer), StreamError> {
        let (have, kept) = resume::offer(link, kept, size).await?;
        // With nothing or little to come, the old file is not worth reading.
        let missing = size.filter(|size| size - have.bytes >= DELTA_LEAST || kept.is_none());
        let basis = match old.filter(|_| missing.is_some()) {
            Some(file) => delta::offer(link, file).await?,
            None => None,
        };
        let have = Have { old: basis.as_ref().map(|basis| basis.old.clone()), ..have };
        let offer = match (kept, basis) {
            (None, None) => Offer::Nothing,
            (Some(kept), None) => Offer::Kept(kept),
            (None, Some(basis)) => Offer::Old(basis),
            (Some(kept), Some(basis)) => Offer::Both(kept, basis),
        };
        Ok((have, offer))
    }

    /// Receives the file: `size` bytes, or at most so many.
    pub(in crate::ops) async fn receive<E>(
        self,
        sink: DiskSink,
        size: u64,
        (data, pace): (&mut RecvStream, &Pace),
        progress: impl FnMut(u64),
        sent: impl Future<Output = Result<Tally, E>>,
    ) -> Result<Tally, ReceiveError<E>> {
        match self {
            Offer::Nothing => flow::receive(sink, (data, pace), size, progress, sent).await,
            Offer::Kept(Kept { blocks, count, digests }) => {
                let sink = sink.into_blocks(blocks)?;
                resume::receive(sink, (blocks, count), (data, digests, pace), progress, sent).await
            }
            Offer::Old(basis) => delta::receive(sink, basis, size, (data, pace), progress, sent).await,
            Offer::Both(Kept { blocks, count, digests }, basis) => {
                let sink = sink.into_blocks(blocks)?;
                resume::receive_changed(sink, (blocks, count), basis, (data, digests, pace), progress, sent).await
            }
        }
    }
}

/// What the sender knows of what the receiver has.
pub(in crate::ops) enum Taken {
    Nothing,
    Kept(resume::Accepted),
    Old(Old, RecvStream),
    Both(resume::Accepted, Old, RecvStream),
}

impl Taken {
    /// What `have` says of a file of `size` bytes.
    ///
    /// # Errors
    /// [`Code::BadMessage`](unglue_proto::Code::BadMessage).
    pub(in crate::ops) fn of(link: &Link, have: Have, size: Option<u64>) -> Result<Taken, Fault> {
        let accepted = resume::accept(link, &have, size)?;
        let sums = have.old.as_ref().map(|old| delta::accept(link, old)).transpose()?;
        Ok(match (accepted, have.old.zip(sums)) {
            (None, None) => Taken::Nothing,
            (Some(accepted), None) => Taken::Kept(accepted),
            (None, Some((old, sums))) => Taken::Old(old, sums),
            (Some(accepted), Some((old, sums))) => Taken::Both(accepted, old, sums),
        })
    }

    /// Sends the file.
    pub(in crate::ops) async fn send(
        self,
        source: BlockSource,
        data: SendStream,
        pace: &Pace,
        progress: impl FnMut(u64),
    ) -> Result<Tally, SendError> {
        match self {
            Taken::Nothing => flow::send(source.into_source()?, data, pace, progress).await,
            Taken::Kept((blocks, kept, digests)) => {
                resume::send(source, (blocks, kept), (data, digests), pace, progress).await
            }
            Taken::Old(old, sums) => delta::send(source.into_source()?, (data, sums), &old, pace, progress).await,
            Taken::Both((blocks, kept, digests), old, sums) => {
                resume::send_changed(source, (blocks, kept), (data, digests), (&old, sums), pace, progress).await
            }
        }
    }
}
