//! A recv that gives up.

use std::time::{Duration, Instant};

use super::Scene;
use super::actor::tcp_pair;
use super::stage::{PATIENCE, Stage, text};
use crate::LabError;

/// How long the server waits.
const TIMEOUT: Duration = Duration::from_millis(20);

pub(super) const SCENE: Scene = Scene {
    name: "timeout",
    title: "a timeout says nothing about the message",
    why: "A timeout ends the waiting, not the sending: half a message may be there already, and the rest still comes. A program that \
          drops what it has, or asks again, reads the rest as the answer to its next question.",
    fix: "keep what came and go on reading, or close the connection: after a timeout inside a message there is no third way",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let (half, timed_out, waited, rest) = {
        let (client, server) = tcp_pair(&stage.recording, |_| Ok(()))?;
        client.send(b"hel")?;
        server.until_queued(3)?;
        let half = server.recv(5)?;
        let set = |time| server.stream.set_read_timeout(Some(time)).map_err(LabError::io("set a timeout"));
        set(TIMEOUT)?;
        server.record("settimeout", ["0.02".into()], ().into());
        let started = Instant::now();
        let timed_out = server.times_out(2)?;
        let waited = started.elapsed();
        set(PATIENCE)?;
        client.send(b"lo")?;
        server.until_queued(2)?;
        (half, timed_out, waited, server.recv(2)?)
    };
    stage.way("client", "server");
    stage.claim("half of the message was there", half == b"hel");
    stage.claim("the next recv gave up, and not too early", timed_out && waited >= TIMEOUT);
    stage.claim("the rest came all the same", rest == b"lo");
    stage.result("received", vec![text(&half), text(&rest)]);
    stage.result("timeout_ms", TIMEOUT.as_millis() as u64);
    stage.measured("waited_ms", waited.as_millis() as u64);
    Ok(())
}
