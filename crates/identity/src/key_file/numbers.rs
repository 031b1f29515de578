//! RSA private keys, from OpenSSH's six numbers to the nine of PKCS#1 (RFC 8017 appendix A.1.2).

use crate::der;
use zeroize::Zeroizing;

/// The numbers of an RSA key in OpenSSH's format, big-endian.
pub(super) struct RsaNumbers<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
    pub(super) secret: &'a [u8],
    pub(super) coefficient: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
}

impl RsaNumbers<'_> {
    /// The `RSAPrivateKey` in DER. Whether the numbers belong together is for its reader to check.
    pub(super) fn to_pkcs1(&self) -> Zeroizing<Vec<u8>> {
        let mut inside = Zeroizing::new(Vec::with_capacity(8 * self.modulus.len()));
        der::put_integer(&mut inside, &[]);
        for number in [self.modulus, self.exponent, self.secret, self.p, self.q] {
            der::put_integer(&mut inside, number);
        }
        for prime in [self.p, self.q] {
            der::put_integer(&mut inside, &remainder(self.secret, &one_less(prime)));
        }
        der::put_integer(&mut inside, self.coefficient);
        let mut whole = Zeroizing::new(Vec::with_capacity(inside.len() + 4));
        der::put(&mut whole, der::SEQUENCE, &inside);
        whole
    }
}

/// A prime other than 2 is odd.
fn one_less(prime: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut less = Zeroizing::new(prime.to_vec());
    if let Some(last) = less.last_mut() {
        *last &= 0xfe;
    }
    less
}

/// `number` modulo `modulus`, bit by bit. Takes the same steps for all numbers of one length. Zero for a modulus of zero.
fn remainder(number: &[u8], modulus: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more: twice the remainder still fits.
    let mut wide = Zeroizing::new(vec![0; modulus.len() + 1]);
    wide[1..].copy_from_slice(modulus);
    let mut rest = Zeroizing::new(vec![0; wide.len()]);
    let mut less = Zeroizing::new(vec![0; wide.len()]);
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let mut carry = bit;
        for digit in rest.iter_mut().rev() {
            let next = *digit >> 7;
            *digit = *digit << 1 | carry;
            carry = next;
        }
        let mut borrow = 0;
        for at in (0..wide.len()).rev() {
            let difference = i16::from(rest[at]) - i16::from(wide[at]) - borrow;
            borrow = i16::from(difference < 0);
            less[at] = difference as u8;
        }
        // All ones if the modulus was not larger, so that the difference is the remainder.
        let mask = (borrow as u8).wrapping_sub(1);
        for (digit, less) in rest.iter_mut().zip(less.iter()) {
            *digit = less & mask | *digit & !mask;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn remainders_are_those_of_the_processor(number: u128, modulus in 1u64..) {
            let rest = remainder(&number.to_be_bytes(), &modulus.to_be_bytes());
            let expected = number % u128::from(modulus);
            prop_assert_eq!(&rest[1..], &(expected as u64).to_be_bytes()[..]);
        }
    }
}
