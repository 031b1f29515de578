//! The classic demonstration of Python's struct: two records packed one after the other into one
//! buffer, taken out again, and the bytes read once more as something else.
//!
//! ```text
//! import struct, ctypes, binascii
//! s1, s2, s3 = struct.Struct('I3sf'), struct.Struct('4sI'), struct.Struct('ii')
//! buffer = ctypes.create_string_buffer(s1.size + s2.size)
//! s1.pack_into(buffer, 0, 1, b'abc', 2.7); s2.pack_into(buffer, s1.size, b'defg', 101)
//! ```

use unglue_struct::{Error, Format, Value};

fn main() -> Result<(), Error> {
    let (first, second) = (Format::parse("I3sf")?, Format::parse("4sI")?);
    let mut buffer = [0; 20];
    assert_eq!(buffer.len(), first.size() + second.size());
    println!("before: {}", hex(&buffer));

    let behind_the_first = isize::try_from(first.size()).unwrap_or(isize::MAX);
    first.pack_into(&mut buffer, 0, &[1.into(), b"abc".into(), 2.7.into()])?;
    second.pack_into(&mut buffer, behind_the_first, &[b"defg".into(), 101.into()])?;
    println!("after:  {}", hex(&buffer));

    println!("I3sf:   {:?}", values(first.unpack_from(&buffer, 0)?));
    println!("4sI:    {:?}", values(second.unpack_from(&buffer, behind_the_first)?));
    // The same bytes under another format are other values: a format is an agreement, not a fact.
    println!("ii:     {:?}", values(Format::parse("ii")?.unpack_from(&buffer, 0)?));

    let refused = Format::parse("i")?.pack(&[1_111_111_111_111_i64.into()]);
    if let Err(error) = refused {
        println!("pack('i', 1111111111111): {}: {error}", error.exception().name());
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn values<'b>(values: impl Iterator<Item = Value<'b>>) -> Vec<Value<'b>> {
    values.collect()
}
