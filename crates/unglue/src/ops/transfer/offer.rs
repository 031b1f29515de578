//! What the receiver of a file has of it, and how the data travel therefore.

use unglue_host::store::{BlockSource, DiskSink};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::Fault;
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::{Have, Old};

use super::delta::{self, Basis};
use super::resume::{self, Kept, NOTHING};
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::pace::Pace;

/// Files of fewer bytes are sent whole at once, without asking for an old one.
pub(super) const DELTA_LEAST: u64 = 1024 * 1024;

/// What a receiver has.
pub(super) enum Offer {
    Nothing,
    Kept(Kept),
    Old(Basis),
}

impl Offer {
    /// What there is for a file of `size` bytes, and as the sender gets to know it. `old` is the file that it replaces, if that may be
    /// offered.
    pub(super) async fn find(
        link: &Link,
        sink: &DiskSink,
        size: Option<u64>,
        old: Option<BlockSource>,
    ) -> Result<(Have, Offer), StreamError> {
        if let (have, Some(kept)) = resume::offer(link, sink, size).await? {
            return Ok((have, Offer::Kept(kept)));
        }
        let Some(file) = old.filter(|_| size.is_some()) else { return Ok((NOTHING, Offer::Nothing)) };
        match delta::offer(link, file).await? {
            Some(basis) => Ok((Have { old: Some(basis.old.clone()), ..NOTHING }, Offer::Old(basis))),
            None => Ok((NOTHING, Offer::Nothing)),
        }
    }

    /// Receives the file: `size` bytes, or at most so many.
    pub(super) async fn receive<E>(
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
        }
    }
}

/// What the sender knows of what the receiver has.
pub(super) enum Taken {
    Nothing,
    Kept(resume::Accepted),
    Old(Old, RecvStream),
}

impl Taken {
    /// What `have` says of a file of `size` bytes.
    ///
    /// # Errors
    /// [`Code::BadMessage`](unglue_proto::Code::BadMessage).
    pub(super) fn of(link: &Link, have: Have, size: Option<u64>) -> Result<Taken, Fault> {
        if let Some(accepted) = resume::accept(link, &have, size)? {
            return Ok(Taken::Kept(accepted));
        }
        match have.old {
            Some(old) => {
                let sums = delta::accept(link, &old)?;
                Ok(Taken::Old(old, sums))
            }
            None => Ok(Taken::Nothing),
        }
    }

    /// Sends the file.
    pub(super) async fn send(
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
        }
    }
}
