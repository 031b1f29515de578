//! One send, two recvs.

use super::Scene;
use super::actor::tcp_pair;
use super::stage::{Stage, text};
use crate::LabError;

pub(super) const SCENE: Scene = Scene {
    name: "receiver",
    title: "one send arrives in pieces",
    why: "recv(2) takes two bytes from the queue and leaves the rest where it is. The next recv goes on there, whatever the \
          sender meant by it.",
    fix: "read until a whole message is there: as many bytes as its length says (recv in a loop, or recv_exact), never \"one recv\"",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let (first, second) = {
        let (client, server) = tcp_pair(&stage.recording, |_| Ok(()))?;
        client.send(b"hello egg")?;
        server.until_queued(9)?;
        (server.recv(2)?, server.recv(10)?)
    };
    stage.way("client", "server");
    stage.claim("recv(2) gives the first two bytes", first == b"he");
    stage.claim("the next gives what was left", second == b"llo egg");
    stage.result("sends", 1);
    stage.result("received", vec![text(&first), text(&second)]);
    Ok(())
}
