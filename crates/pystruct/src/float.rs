//! IEEE 754 conversions with CPython's rounding, overflow and NaN rules.
//!
//! Written by hand because none else does all three: a cast leaves a NaN's bits to the compiler, and the
//! usual half-float libraries make an infinity of what Python refuses.

const F64_FRACTION_BITS: u32 = 52;
const F64_FRACTION: u64 = (1 << F64_FRACTION_BITS) - 1;
const F64_BIAS: i32 = 1023;

const F16_FRACTION_BITS: u32 = 10;
const F16_INFINITY: u16 = 0x7c00;
const F16_QUIET_NAN: u16 = 0x7e00;
/// The exponents of the smallest normal half, and of half the smallest subnormal one.
const F16_MIN_EXPONENT: i32 = -14;
const F16_HALF_OF_LEAST: i32 = -25;

/// The bits of the nearest half, ties to even; `None` where a finite number would become infinite.
/// A NaN keeps its sign alone.
pub(crate) fn f16_bits(number: f64) -> Option<u16> {
    let bits = number.to_bits();
    let sign = (bits >> 48) as u16 & 0x8000;
    if number.is_nan() {
        return Some(sign | F16_QUIET_NAN);
    }
    if number.is_infinite() {
        return Some(sign | F16_INFINITY);
    }
    let exponent = ((bits >> F64_FRACTION_BITS) & 0x7ff) as i32 - F64_BIAS;
    if exponent < F16_HALF_OF_LEAST {
        return Some(sign);
    }
    let significand = bits & F64_FRACTION | 1 << F64_FRACTION_BITS;
    // Below the normal range every step of the exponent costs a bit of the fraction.
    let lost_bits = (F16_MIN_EXPONENT - exponent).max(0) as u32;
    let rounded = round_half_to_even(significand, F64_FRACTION_BITS - F16_FRACTION_BITS + lost_bits);
    // The significand's leading bit, and a carry out of the fraction, raise the exponent by themselves.
    let biased = (exponent - F16_MIN_EXPONENT).max(0) as u64;
    let magnitude = (biased << F16_FRACTION_BITS) + rounded;
    (magnitude < u64::from(F16_INFINITY)).then_some(sign | magnitude as u16)
}

/// Divides by two to the power of `shift` (1 to 63).
const fn round_half_to_even(significand: u64, shift: u32) -> u64 {
    let quotient = significand >> shift;
    let rest = significand & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    quotient + (rest > half || rest == half && quotient & 1 == 1) as u64
}

/// The number that a half's bits stand for. A NaN keeps its sign alone.
pub(crate) fn f16_from_bits(bits: u16) -> f64 {
    let sign = u64::from(bits & 0x8000) << 48;
    let exponent = u64::from(bits >> F16_FRACTION_BITS & 0x1f);
    let fraction = u64::from(bits & 0x3ff);
    let magnitude = match (exponent, fraction) {
        (0x1f, 0) => f64::INFINITY.to_bits(),
        (0x1f, _) => 0x7ff8 << 48,
        (0, _) => return f64::from_bits(sign | (fraction as f64 / 16_777_216.0).to_bits()),
        _ => (exponent + 1008) << F64_FRACTION_BITS | fraction << 42,
    };
    f64::from_bits(sign | magnitude)
}

/// The nearest single, ties to even; `None` where a finite number would become infinite.
pub(crate) fn f32_checked(number: f64) -> Option<u32> {
    let bits = f32_saturating(number);
    let overflows = f32::from_bits(bits).is_infinite() && number.is_finite();
    (!overflows).then_some(bits)
}

/// The nearest single, as a C cast gives it: infinite if the number is too large.
pub(crate) fn f32_saturating(number: f64) -> u32 {
    if number.is_nan() {
        return f32_nan(number.to_bits());
    }
    (number as f32).to_bits()
}

/// A NaN keeps its sign and the upper bits of its payload, and turns quiet, as hardware does it.
const fn f32_nan(bits: u64) -> u32 {
    (bits >> 32) as u32 & 0x8000_0000 | 0x7fc0_0000 | (bits >> 29) as u32 & 0x003f_ffff
}

/// The double of a single. A NaN keeps sign and payload, and turns quiet.
pub(crate) fn f32_from_bits(bits: u32) -> f64 {
    let single = f32::from_bits(bits);
    if !single.is_nan() {
        return f64::from(single);
    }
    let sign = u64::from(bits & 0x8000_0000) << 32;
    f64::from_bits(sign | 0x7ff8 << 48 | u64::from(bits & 0x003f_ffff) << 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_way_there_and_back() {
        for bits in 0..=u16::MAX {
            let number = f16_from_bits(bits);
            if number.is_nan() {
                assert_eq!(f16_bits(number), Some(bits & 0x8000 | F16_QUIET_NAN));
            } else {
                assert_eq!(f16_bits(number), Some(bits), "{number}");
            }
        }
    }

    #[test]
    fn a_tie_goes_to_the_even_half_and_its_neighbours_to_the_nearest() {
        for bits in 0..F16_INFINITY - 1 {
            let middle = (f16_from_bits(bits) + f16_from_bits(bits + 1)) / 2.0;
            assert_eq!(f16_bits(middle), Some(bits + (bits & 1)));
            assert_eq!(f16_bits(middle.next_down()), Some(bits));
            assert_eq!(f16_bits(middle.next_up()), Some(bits + 1));
        }
    }

    #[test]
    fn a_half_overflows_where_rounding_would_reach_the_next_power() {
        assert_eq!(f16_bits(65519.99), Some(0x7bff));
        assert_eq!(f16_bits(65520.0), None);
        assert_eq!(f16_bits(-65520.0), None);
        assert_eq!(f16_bits(f64::NEG_INFINITY), Some(0xfc00));
    }

    #[test]
    fn a_single_nan_keeps_its_payload_and_turns_quiet() {
        assert_eq!(f32_from_bits(0x7f80_0001).to_bits(), 0x7ff8_0000_2000_0000);
        assert_eq!(f32_from_bits(0xffff_ffff).to_bits(), 0xffff_ffff_e000_0000);
        assert_eq!(f32_saturating(f64::from_bits(0xfff0_0000_2000_0000)), 0xffc0_0001);
    }

    #[test]
    fn a_single_overflows_only_where_it_is_checked() {
        assert_eq!(f32_checked(3.5e38), None);
        assert_eq!(f32_saturating(3.5e38), f32::INFINITY.to_bits());
        assert_eq!(f32_checked(f64::INFINITY), Some(f32::INFINITY.to_bits()));
    }
}
