//! The crate as its users see it. What CPython itself says to the same calls is checked by
//! `scripts/struct-proof`.

mod formats;
mod offsets;
mod packing;
mod properties;
mod records;
mod typed;
mod words;

use unglue_struct::{Error, Format, Value};

fn format(text: &str) -> Format {
    Format::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn pack(text: &str, values: &[Value<'_>]) -> Result<Vec<u8>, Error> {
    format(text).pack(values)
}

fn unpack<'b>(text: &str, bytes: &'b [u8]) -> Vec<Value<'b>> {
    format(text).unpack(bytes).unwrap_or_else(|error| panic!("{text:?}: {error}")).collect()
}

/// What Python 3.13 says.
fn says<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.expect_err("this is to be refused").to_string()
}
