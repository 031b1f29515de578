//! Peers that break the rules: a clear error, the connection closed, the others served, and no part of a file under its name.

mod clients;
mod servers;
mod uploads;
