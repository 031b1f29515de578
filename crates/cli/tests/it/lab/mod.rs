//! `unglue lab`: our programs and Python's of the five dialects, each with the other, and the scenes.

mod bytes;
mod captures;
mod datagrams;
mod encodings;
mod peers;
mod program;
mod raw;
mod refusals;
mod scenes;
mod serving;
mod tap;
mod torture;
mod uploads;
mod whole;
