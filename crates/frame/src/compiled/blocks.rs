//! Copying bytes and looking at them at the same time, sixteen at once.

/// The bytes that are looked at together.
const BLOCK: usize = 16;

/// The place of the first byte in `block` that is `one` or `other`, if there is one.
#[inline(always)]
fn first_of(block: &[u8; BLOCK], one: u8, other: u8) -> Option<usize> {
    // The compiler makes vector instructions of this.
    let any = block.iter().fold(false, |any, byte| any | (*byte == one) | (*byte == other));
    any.then(|| place_of(block, one, other))
}

/// The same, where there is one.
fn place_of(block: &[u8; BLOCK], one: u8, other: u8) -> usize {
    const LOW: u128 = u128::from_le_bytes([1; BLOCK]);
    let block = u128::from_le_bytes(*block);
    // A byte of 0 borrows from its highest bit; those above it may then be wrong.
    let zeros = |bytes: u128| bytes.wrapping_sub(LOW) & !bytes & (LOW << 7);
    let found = zeros(block ^ (LOW * u128::from(one))) | zeros(block ^ (LOW * u128::from(other)));
    found.trailing_zeros() as usize / 8
}

/// Copies `from` to `to`, which is as long at least, up to the first byte that is `one` or `other`. Gives that byte's place,
/// or the number of bytes if there is none. Bytes behind that place may change in `to`.
#[inline]
pub(super) fn copy_until(one: u8, other: u8, from: &[u8], to: &mut [u8]) -> usize {
    let mut at = 0;
    while let (Some(block), Some(place)) =
        (from[at..].first_chunk::<BLOCK>(), to.get_mut(at..).and_then(<[u8]>::first_chunk_mut))
    {
        *place = *block;
        if let Some(first) = first_of(block, one, other) {
            return at + first;
        }
        at += BLOCK;
    }
    for (place, &byte) in to[at..].iter_mut().zip(&from[at..]) {
        if byte == one || byte == other {
            break;
        }
        *place = byte;
        at += 1;
    }
    at
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
