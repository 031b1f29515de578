//! The derive macros of `unglue-frame` and `unglue-struct`. Use them through those crates (feature `derive`): each
//! documents its own, with examples.

mod fields;
mod frame;
mod layout;
mod record;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Maps the fields of a framing to a struct, both ways. Documented in `unglue_frame::typed`.
#[proc_macro_derive(Frame, attributes(frame))]
pub fn derive_frame(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    frame::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Maps the values of a format of Python's struct to a struct, both ways. Documented in `unglue_struct::Record`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    record::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use syn::{DeriveInput, Result};

    /// What the compiler says to this struct.
    fn says(expand: fn(&DeriveInput) -> Result<TokenStream>, text: &str) -> String {
        let input = syn::parse_str(text).expect("the struct is Rust");
        expand(&input).err().unwrap_or_else(|| panic!("{text} is accepted")).to_string()
    }

    #[test]
    fn a_record_that_cant_be_mapped_is_refused_in_words() {
        let cases = [
            (
                "#[record(\"<IH\")] struct A { a: u32 }",
                "the format \"<IH\" has 2 values, the struct 1: make them agree",
            ),
            ("#[record(\"<j\")] struct A(u8);", "'j' is not a code of Python's struct, in the format \"<j\""),
            ("#[record(\"B\")] #[record(\"B\")] struct A(u8);", "#[record(…)] stands here twice: keep one"),
            ("struct A;", "this struct has no fields to map"),
            ("enum A { B }", "only a struct can be mapped, not an enum"),
            (
                "#[record(\"2s2s\")] struct A<'a, 'b>(&'a [u8], &'b [u8]);",
                "all fields borrow from the same bytes: one lifetime is possible",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(says(crate::record::expand, text), error, "{text}");
        }
    }

    #[test]
    fn a_frame_that_cant_be_mapped_is_refused_in_words() {
        const LAYOUT: &str = "#[frame(\"tag:u8 len:u32be data[len-4]\")]";
        let cases = [
            ("struct A { a: u8 }".to_owned(), "say which framing this is: #[frame(\"tag:u8 len:u32be data[len-4]\")]"),
            (
                format!("{LAYOUT} struct A {{ kind: u8 }}"),
                "the layout has the fields tag, not kind: rename it, or say #[frame(name = \"…\")]",
            ),
            (
                format!("{LAYOUT} struct A {{ tag: u8, len: u32 }}"),
                "the layout has the fields tag, not len: rename it, or say #[frame(name = \"…\")]",
            ),
            (
                "#[frame(\"a:u8 b:u8 len:u8 data[len]\")] struct A { a: u8 }".to_owned(),
                "the layout has a field b: the struct lacks it",
            ),
            (
                format!("{LAYOUT} struct A {{ tag: u8, #[frame(name = \"tag\")] other: u8 }}"),
                "two fields of the struct are called tag",
            ),
            (
                format!("{LAYOUT} struct A {{ #[frame(data)] a: Vec<u8>, #[frame(data)] b: Vec<u8> }}"),
                "a frame has its data once: another field is #[frame(data)] already",
            ),
            (format!("{LAYOUT} struct A(u8);"), "give this field a name: #[frame(name = \"…\")] or #[frame(data)]"),
            (
                format!("{LAYOUT} struct A {{ #[frame(skip)] tag: u8 }}"),
                "a field is #[frame(data)] or #[frame(name = \"…\")]",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(says(crate::frame::expand, &text), error, "{text}");
        }
    }
}
