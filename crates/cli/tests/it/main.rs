//! Integration tests of the `unglue` command and of the workspace around it. One binary, so that the suite links once.

mod cp;
mod demo;
mod descendants;
mod exec;
mod frame;
mod guide;
mod host;
mod house;
mod json;
mod key;
mod known;
mod lab;
mod repl;
mod run;
mod serve;
mod signals;
mod terminal;
mod usage;
