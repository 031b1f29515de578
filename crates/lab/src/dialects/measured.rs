//! The client of the dialects whose replies have a length: [`ack`](super::ack) and [`len32`](super::len32) differ in how it is sent.

use std::io::Write;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use super::exchange::{part, refuse_late, take_reply};
use super::{Asks, Reply};
use crate::LabError;
use crate::coding::Coding;
use crate::connection::Connection;

/// How a dialect announces the length of a reply.
pub trait Measure: Send {
    /// What a length looks like, for errors about a reply that never came whole.
    type Seen: Copy;

    /// Receives a length, and does what the dialect has between it and the reply.
    ///
    /// # Errors
    /// [`LabError`]: what came isn't one.
    fn receive(connection: &mut Connection) -> Result<(u64, Self::Seen), LabError>;

    /// A reply that never came whole: perhaps its length was none.
    fn doubt(_length: u64, _seen: Self::Seen, error: LabError) -> LabError {
        error
    }
}

/// A client that asks commands, and is told how long each reply is.
#[derive(Debug)]
pub struct Client<M> {
    connection: Connection,
    coding: Coding,
    measure: PhantomData<M>,
}

impl<M: Measure> Client<M> {
    /// Connects. No wait is longer than `wait`.
    ///
    /// # Errors
    /// [`LabError`]: no program listens there.
    pub fn connect(address: SocketAddr, wait: Duration, coding: Coding) -> Result<Client<M>, LabError> {
        Ok(Client::over(Connection::connect(address, wait)?, coding))
    }

    /// A client on a connection that is there.
    pub(crate) fn over(connection: Connection, coding: Coding) -> Client<M> {
        Client { connection, coding, measure: PhantomData }
    }
}

impl<M: Measure> Asks for Client<M> {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        refuse_late(self.connection.queued()?)?;
        self.connection.send_all(&self.coding.to_wire(command), "a command")?;
        let (length, seen) = M::receive(&mut self.connection)?;
        let taken = take_reply(&mut self.connection, length, self.coding, reply);
        taken.map_err(|error| M::doubt(length, seen, error))?;
        Ok(Reply::Came)
    }

    fn leave(self: Box<Self>, _: &mut dyn Write) -> Result<(), LabError> {
        part(self.connection)
    }
}
