//! Looking for a delimiter.

/// The place of the first `needle`, which has at least one byte, in `hay`.
#[cfg(feature = "memchr")]
#[inline]
pub(crate) fn find(needle: &[u8], hay: &[u8]) -> Option<usize> {
    match needle {
        [byte] => memchr::memchr(*byte, hay),
        [.., last] => {
            // A finder of its own for each call would cost more than short frames do: look for the last byte.
            let before = needle.len() - 1;
            memchr::memchr_iter(*last, hay.get(before..)?).find(|at| hay[*at..].starts_with(needle))
        }
        [] => None,
    }
}

/// The place of the first `needle`, which has at least one byte, in `hay`.
#[cfg(not(feature = "memchr"))]
#[inline]
pub(crate) fn find(needle: &[u8], hay: &[u8]) -> Option<usize> {
    let (last, before) = (needle.last()?, needle.len() - 1);
    let mut from = 0;
    loop {
        let at = from + hay.get(before + from..)?.iter().position(|byte| byte == last)?;
        if hay[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
