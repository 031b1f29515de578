//! Links as their users see them: over memory, unix sockets and pipes.

mod memory;
mod trusted;
mod waits;
