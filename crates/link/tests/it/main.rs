//! Links as their users see them: over memory, TCP, unix sockets and pipes.

mod buffers;
mod memory;
mod trusted;
mod waits;
