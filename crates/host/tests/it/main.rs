//! What touches the machine, tried on the machine.

mod process;
