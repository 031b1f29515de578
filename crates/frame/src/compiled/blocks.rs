//! Copying bytes and looking at them at the same time, many at once.

/// Copies `from` to `to`, as many bytes as fit, up to the first that is `one` or `other`. Gives that byte's place, or the
/// number of bytes if there is none. Bytes behind that place may change in `to`.
#[inline]
pub(super) fn copy_until(one: u8, other: u8, from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    let (from, to) = (&from[..len], &mut to[..len]);
    let found = by_blocks::<32>(one, other, from, to).or_else(|| by_blocks::<16>(one, other, from, to));
    found.unwrap_or_else(|| {
        let place = from.iter().position(|byte| *byte == one || *byte == other).unwrap_or(len);
        to[..place].copy_from_slice(&from[..place]);
        place
    })
}

/// The same for bytes that are at least one block.
#[inline(always)]
fn by_blocks<const BLOCK: usize>(one: u8, other: u8, from: &[u8], to: &mut [u8]) -> Option<usize> {
    let last = from.last_chunk::<BLOCK>()?;
    let places = to.as_chunks_mut::<BLOCK>().0;
    for (index, (block, place)) in from.as_chunks::<BLOCK>().0.iter().zip(places).enumerate() {
        *place = *block;
        if let Some(first) = first_of(block, one, other) {
            return Some(index * BLOCK + first);
        }
    }
    // It overlaps the one before, in which there was nothing.
    *to.last_chunk_mut()? = *last;
    Some(first_of(last, one, other).map_or(from.len(), |first| from.len() - BLOCK + first))
}

/// The place of the first byte in `block` that is `one` or `other`, if there is one.
#[inline(always)]
fn first_of<const BLOCK: usize>(block: &[u8; BLOCK], one: u8, other: u8) -> Option<usize> {
    // The compiler makes vector instructions of this.
    let any = block.iter().fold(false, |any, byte| any | (*byte == one) | (*byte == other));
    any.then(|| place_of(block, one, other))
}

/// The same, where there is one.
#[inline(always)]
fn place_of(block: &[u8], one: u8, other: u8) -> usize {
    const LOW: u128 = u128::from_le_bytes([1; 16]);
    for (index, part) in block.as_chunks().0.iter().enumerate() {
        let part = u128::from_le_bytes(*part);
        // A byte of 0 borrows from its highest bit; those above it may then be wrong.
        let zeros = |bytes: u128| bytes.wrapping_sub(LOW) & !bytes & (LOW << 7);
        let found = zeros(part ^ (LOW * u128::from(one))) | zeros(part ^ (LOW * u128::from(other)));
        if found != 0 {
            return 16 * index + found.trailing_zeros() as usize / 8;
        }
    }
    block.len()
}

#[cfg(test)]
mod tests {
    use super::copy_until;
    use alloc::vec;

    #[test]
    fn bytes_are_copied_up_to_the_first_of_either() {
        for len in 0..70 {
            for place in 0..=len {
                for byte in [0, 1, 0x7f, 0x80, 0xff] {
                    // Neighbours of what is looked for, which a borrow might take for it.
                    let mut from = vec![byte ^ 1; len];
                    from.iter_mut().skip(1).step_by(2).for_each(|other| *other = byte ^ 0x80);
                    if let Some(found) = from.get_mut(place) {
                        *found = byte;
                    }
                    let mut to = vec![3; len];
                    for (one, other) in [(byte, byte), (byte, byte ^ 0x40), (byte ^ 0x40, byte)] {
                        assert_eq!(copy_until(one, other, &from, &mut to), place, "{byte:02x} in {from:02x?}");
                        assert_eq!(to[..place], from[..place]);
                    }
                }
            }
        }
    }
}
