//! What users of `unglue-net` notice, in one binary.

mod identity;
