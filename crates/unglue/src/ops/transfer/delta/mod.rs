//! The data of a file that replaces an old one: what is new, and where the rest is in the old file.
//!
//! The receiver sends sums of the old file's blocks, the sender finds them in the new file. Where a part has changed, it asks
//! for finer sums, and goes on meanwhile. All of it overlaps: the sender compares as soon as sums come, and the receiver writes
//! what was found while it still reads the rest of the old file.

mod receiver;
mod recent;
mod sender;
mod window;

use std::hash::{BuildHasher as _, RandomState};

use unglue_host::store::BlockSource;
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::delta::{BLOCK_MOST, OLD_LEAST, coarse};
use unglue_proto::message::transfer::Old;
use unglue_proto::{Code, Fault};

pub(super) use receiver::receive;
pub(super) use sender::send;

/// The old file of a receiver, and where its sums go.
pub(in crate::ops) struct Basis {
    pub(super) old: Old,
    pub(super) file: BlockSource,
    pub(super) sums: SendStream,
}

/// What a receiver offers of the file that is to be replaced; nothing if that is too small.
pub(super) async fn offer(link: &Link, file: BlockSource) -> Result<Option<Basis>, StreamError> {
    let size = file.facts().size.filter(|&size| size >= OLD_LEAST && coarse(size) <= BLOCK_MOST);
    let Some(size) = size else { return Ok(None) };
    let sums = link.open_unidirectional().await?;
    let seed = RandomState::new().hash_one(size) as u32;
    Ok(Some(Basis { old: Old { size, block: coarse(size), seed, sums: sums.number() }, file, sums }))
}

/// The stream of the sums that a receiver offers.
///
/// # Errors
/// [`Code::BadMessage`].
pub(super) fn accept(link: &Link, old: &Old) -> Result<RecvStream, Fault> {
    let sums = link.claim(old.sums)?;
    match old.block == coarse(old.size) && old.block <= BLOCK_MOST {
        true => Ok(sums),
        false => {
            let what = format!("an old file of {} bytes is offered in blocks of {}", old.size, old.block);
            Err(Fault::peer(Code::BadMessage, what))
        }
    }
}
