//! What the lab's networks do, tried on this machine's kernel.

mod counts;
mod network;
mod permission;
mod site;
