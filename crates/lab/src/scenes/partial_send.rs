//! A send that takes less than it was given.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::thread;

use rustix::event::{PollFd, PollFlags};

use super::Scene;
use super::actor::{Tcp, tcp_pair};
use super::stage::{PATIENCE, Stage};
use crate::LabError;
use crate::stop::{Stop, Woken, deadline};

/// How much is to be sent: more than the buffers of both ends hold.
const BYTES: usize = 4 << 20;
/// What each end's buffer is set to.
const BUFFER: usize = 64 << 10;

pub(super) const SCENE: Scene = Scene {
    name: "partial-send",
    title: "a send takes less than it was given",
    why: "send copies into the kernel's buffer, and says how much fitted; on a socket that doesn't wait that may be any part, \
          or nothing (EAGAIN). What the peer hasn't acknowledged stays in that buffer, so a slow reader makes short sends.",
    fix: "send the rest, in a loop, until all is taken: sendall in Python, write_all in Rust",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let message: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let (first, full, calls, received) = {
        let (client, server) = tcp_pair(&stage.recording, |socket| {
            socket.set_send_buffer_size(BUFFER)?;
            socket.set_recv_buffer_size(BUFFER)
        })?;
        client.stream.set_nonblocking(true).map_err(LabError::io("set O_NONBLOCK"))?;
        client.record("setblocking", ["False".into()], ().into());
        let first = client.try_send(&message).map_err(LabError::io("send"))?;
        let (filled, full, filling) = fill(&client, &message[first..])?;
        let rest = &message[first + filled..];
        let (calls, received) = send_the_rest(&client, rest, &server)?;
        client.record("sendall", [rest.to_vec().into()], ().into());
        server.record("recvall", [], received.clone().into());
        (first, full, 1 + filling + calls, received)
    };
    stage.claim("the first send took some of it, and not all", first > 0 && first < BYTES);
    stage.claim("once the buffer is full, the next one fails", full);
    stage.claim("sent in a loop, everything arrived", received == message);
    stage.bar("given", BYTES as f64, "bytes");
    stage.bar("taken by the first send", first as f64, "bytes");
    stage.result("given_bytes", BYTES);
    stage.result("received_bytes", received.len());
    stage.measured("first_send_bytes", first);
    stage.measured("sends_in_all", calls);
    Ok(())
}

/// Sends until the buffer is full, and records that. Gives how many bytes went, whether it was full before all were gone, and how
/// many calls that took.
fn fill(client: &Tcp<'_>, message: &[u8]) -> Result<(usize, bool, u64), LabError> {
    let (mut sent, mut calls) = (0, 0);
    while sent < message.len() {
        calls += 1;
        match (&client.stream).write(&message[sent..]) {
            Ok(n) => {
                client.record("send", [message[sent..].to_vec().into()], n.into());
                sent += n;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                client.record(
                    "send",
                    [message[sent..].to_vec().into()],
                    crate::record::Datum::of::<usize>(&Err(error)),
                );
                return Ok((sent, true, calls));
            }
            Err(error) => return Err(LabError::io("send")(error)),
        }
    }
    Ok((sent, false, calls))
}

/// `sendall`, spelt out: wait for room, send what fits, go on behind it. Meanwhile the server reads.
fn send_the_rest(client: &Tcp<'_>, message: &[u8], server: &Tcp<'_>) -> Result<(u64, Vec<u8>), LabError> {
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&server.stream));
        let (mut sent, mut calls) = (0, 0);
        while sent < message.len() {
            let mut room = [PollFd::from_borrowed_fd(client.stream.as_fd(), PollFlags::OUT)];
            let woken = Stop::wait(None, &mut room, deadline(PATIENCE)).map_err(LabError::io("wait for room"))?;
            if woken != Woken::Ready {
                return Err(LabError::Deadline { what: "room in the send buffer".into(), after: PATIENCE });
            }
            calls += 1;
            match (&client.stream).write(&message[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(LabError::io("send")(error)),
            }
        }
        client.stream.shutdown(std::net::Shutdown::Write).map_err(LabError::io("close"))?;
        let received = reader.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        Ok((calls, received.map_err(LabError::io("receive"))?))
    })
}

fn read_all(mut server: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut received = Vec::new();
    server.read_to_end(&mut received)?;
    Ok(received)
}
