//! What the lab does, tried on this machine's kernel: its networks, its servers, its scenes, and peers that break the rules.

mod counts;
mod dissected;
mod distant;
mod examples;
mod hostile;
mod infer;
mod network;
mod permission;
mod scenes;
mod served;
mod site;
mod steps;
