//! Writing a layout's parts.

use crate::{
    Output,
    checksum::Over,
    compiled::{Head, Lost, Span, least_width},
    int::WIDEST,
    layout::Part,
};
use core::ops::Range;

/// Writes what stands before the data.
#[inline]
pub(super) fn write_before(head: &Head, length: u64, fields: &[u64], out: &mut impl Output) {
    let number = head.number(length, fields);
    let mut fields = fields.iter();
    for part in &head.before {
        let (int, value) = match part {
            Part::Length { int, rest, .. } => {
                if rest.is_some() {
                    fields.next();
                }
                (int, number)
            }
            part => match fixed(part, &mut fields, out) {
                Some(number) => number,
                None => continue,
            },
        };
        let mut bytes = [0; WIDEST];
        let width = int.write(value, &mut bytes);
        out.put(&bytes[..width]);
    }
}

/// Writes a part that is no number; gives the number where it is one.
fn fixed<'p>(
    part: &'p Part,
    fields: &mut core::slice::Iter<'_, u64>,
    out: &mut impl Output,
) -> Option<(&'p crate::Int, u64)> {
    match part {
        Part::Literal(bytes) => out.put(bytes),
        Part::Reserved(count) => zeros(*count as u64, out),
        Part::Field { int, .. } => return fields.next().map(|value| (int, *value)),
        Part::Length { .. } | Part::Data { .. } | Part::Pad { .. } | Part::Check(_) => {}
    }
    None
}

/// Writes what stands behind the data, which lies at `data` of what was written; the frame began at `start`.
pub(super) fn write_behind(head: &Head, start: usize, data: Range<usize>, fields: &[u64], out: &mut impl Output) {
    let mut rest = fields.get(head.fields_before..).unwrap_or_default().iter();
    for part in &head.behind {
        match part {
            Part::Pad { field } => zeros(fields[*field], out),
            Part::Check(check) => {
                let written = out.written();
                let covered = match check.over {
                    // A slice that is too short has fewer bytes; that ends in an error anyway.
                    _ if written.len() < data.end => &[],
                    Over::Data => &written[data.clone()],
                    Over::All => &written[start..],
                    Over::Parts { from, to } => {
                        let (frame, head_len) = (&written[start..], data.start - start);
                        let span = Span { head: head_len, data: data.len(), total: frame.len(), lost: Lost::Nothing };
                        &frame[head.covered(from, to, span, frame.len(), frame)]
                    }
                };
                let sum = check.of(covered);
                out.put(&sum[..check.width()]);
            }
            part => {
                if let Some((int, value)) = fixed(part, &mut rest, out) {
                    let mut bytes = [0; WIDEST];
                    let width = int.write(value, &mut bytes);
                    out.put(&bytes[..width]);
                }
            }
        }
    }
}

/// Writes the length, now known, into the header that was written with 0 in its place. A varint grows: gives by how
/// many bytes the data moved.
pub(super) fn patch(head: &Head, start: usize, length: u64, fields: &[u64], out: &mut impl Output) -> usize {
    let int = head.length.int;
    let place = start + place_of_length(head, fields);
    let number = head.number(length, fields);
    let (narrow, wide) = (int.width_of(0), int.width_of(number));
    let more = wide - narrow;
    if more > 0 {
        let old = out.written().len();
        out.put(&[0; WIDEST][..more]);
        out.written().copy_within(place + narrow..old, place + wide);
    }
    int.write(number, &mut out.written()[place..]);
    more
}

fn place_of_length(head: &Head, fields: &[u64]) -> usize {
    let mut fields = fields.iter();
    let mut at = 0;
    for part in &head.before {
        at += match part {
            Part::Length { .. } => break,
            Part::Field { int, .. } => fields.next().map_or(0, |value| int.width_of(*value)),
            part => least_width(part),
        };
    }
    at
}

/// Writes so many zeros.
pub(super) fn zeros(mut count: u64, out: &mut impl Output) {
    const ZEROS: [u8; 256] = [0; 256];
    while count > 0 {
        let some = count.min(256);
        out.put(&ZEROS[..some as usize]);
        count -= some;
    }
}
