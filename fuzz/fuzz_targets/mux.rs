#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| unglue_fuzz::proto::mux(input));
