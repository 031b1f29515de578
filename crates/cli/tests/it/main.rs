//! Integration tests of the `unglue` command and of the workspace around it. One binary, so that the suite links once.

mod cp;
mod demo;
mod descendants;
mod exec;
mod foreign;
mod forward;
mod frame;
mod guide;
mod host;
mod house;
mod identities;
mod json;
mod key;
mod known;
mod lab;
mod log;
mod panics;
mod pty;
mod repl;
mod run;
mod serve;
mod signals;
mod streams;
mod terminal;
mod trees;
mod usage;
