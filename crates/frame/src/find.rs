//! Looking for a delimiter.

#[cfg(feature = "memchr")]
pub(crate) use fast as find;
#[cfg(not(feature = "memchr"))]
pub(crate) use plain as find;

/// The place of the first `needle`, which has at least one byte, in `hay`.
#[cfg(feature = "memchr")]
#[inline]
pub(crate) fn fast(needle: &[u8], hay: &[u8]) -> Option<usize> {
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
#[cfg(any(test, not(feature = "memchr")))]
#[inline]
pub(crate) fn plain(needle: &[u8], hay: &[u8]) -> Option<usize> {
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

/// The place of the first of any of these bytes in `hay`.
#[inline]
pub(crate) fn find_any(needles: &[u8], hay: &[u8]) -> Option<usize> {
    match needles {
        #[cfg(feature = "memchr")]
        [one] => memchr::memchr(*one, hay),
        #[cfg(feature = "memchr")]
        [one, two] => memchr::memchr2(*one, *two, hay),
        #[cfg(feature = "memchr")]
        [one, two, three] => memchr::memchr3(*one, *two, *three, hay),
        needles => hay.iter().position(|byte| needles.contains(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::{find, plain};

    #[test]
    fn the_first_place_is_found_whatever_looks_for_it() {
        let hays = [&b""[..], b"b", b"ab", b"aab", b"aaab", b"abab", b"babba", b"bbbbabab"];
        for needle in [&b"b"[..], b"ab", b"aab", b"bb", b"abab"] {
            for hay in hays {
                let want = hay.windows(needle.len()).position(|window| window == needle);
                assert_eq!((find(needle, hay), plain(needle, hay)), (want, want), "{needle:?} in {hay:?}");
            }
        }
    }
}
