//! unglue by way of ssh, against a real sshd on loopback whose accounts, homes and shells are made for the test.

mod arriving;
mod daemon;
mod failures;
mod homes;
mod keyboard;
mod old_systems;
mod operations;
mod shells;
mod site;
mod ways;
