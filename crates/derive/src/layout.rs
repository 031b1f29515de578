//! The fields of a notation, as far as a macro has to know them: their names and their order.

/// The fields that the application sets, in order, where the notation is a layout. A preset has none that can be told here.
pub(crate) fn fields(notation: &str) -> Option<Vec<String>> {
    let tokens = tokens(notation);
    let data = tokens.iter().find_map(|token| token.strip_prefix("data[")?.strip_suffix(']'))?;
    let length = data.split(['+', '-', '*', '/', '&', '<', '>']).next()?.trim();
    // A name may itself have a dash: the length is the longest name that the text begins with.
    // Before a length of some bits, as in `last|len:u32be`, the field of the others is named.
    let names = tokens.iter().filter_map(|token| token.split_once(':')).flat_map(|(names, _)| names.split('|'));
    let named: Vec<&str> = names.collect();
    let length =
        named.iter().filter(|name| data.starts_with(**name)).max_by_key(|name| name.len()).copied().unwrap_or(length);
    Some(named.iter().filter(|name| **name != length).map(|name| (*name).to_owned()).collect())
}

/// The parts, up to the options: a part ends at a blank outside of parentheses.
fn tokens(notation: &str) -> Vec<&str> {
    let (mut tokens, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in notation.char_indices() {
        match letter {
            '(' if depth == 0 && notation[start..at].trim().is_empty() => break,
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            letter if letter.is_whitespace() && depth == 0 => {
                tokens.push(&notation[start..at]);
                start = at + letter.len_utf8();
                continue;
            }
            _ => continue,
        }
    }
    if depth == 0 && !notation[start..].trim_start().starts_with('(') {
        tokens.push(&notation[start..]);
    }
    tokens.into_iter().map(str::trim).filter(|token| !token.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_not_a_field() {
        let cases: &[(&str, &[&str])] = &[
            ("tag:u8 len:u32be data[len-4]", &["tag"]),
            ("len:u24be type:u8 flags:u8 id:u32be data[len] (max=16K)", &["type", "flags", "id"]),
            ("01 t:u8 id:u16be len:u16be p:u8 _ data[len] pad[p]", &["t", "id", "p"]),
            ("a:u8 last|len:u32be data[len&7fffffff]", &["a", "last"]),
            ("len:u16be b:hex(4) data[len*4-8]", &["b"]),
            ("hdr:u8 my-len:varint(4) data[my-len-2] crc32(all, le) tail:u8", &["hdr", "tail"]),
        ];
        for (notation, names) in cases {
            assert_eq!(
                fields(notation).as_deref(),
                Some(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]),
                "{notation}"
            );
        }
        for preset in ["u32be", "websocket(max=1M)", "lines"] {
            assert_eq!(fields(preset), None);
        }
    }
}
