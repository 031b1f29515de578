//! Two sends, one recv.

use super::Scene;
use super::actor::tcp_pair;
use super::stage::{Stage, text};
use crate::LabError;

pub(super) const SCENE: Scene = Scene {
    name: "sender",
    title: "two sends arrive as one",
    why: "TCP numbers bytes, not calls: both messages lie in the server's receive queue, one behind the other, when it looks. \
          recv gives what is there, up to the size asked for, and empty bytes mean that the client has closed.",
    fix: "give every message a boundary: a length in front of it (unglue frame encode u32be), or a mark behind it that the \
          message can't hold",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let (first, second) = {
        let (client, server) = tcp_pair(&stage.recording, |_| Ok(()))?;
        client.send(b"hello")?;
        client.send(b"egg")?;
        server.until_queued(8)?;
        let first = server.recv(10)?;
        client.close()?;
        (first, server.recv(10)?)
    };
    stage.way("client", "server");
    stage.claim("one recv gives both messages", first == b"helloegg");
    stage.claim("the next gives nothing: the client has closed", second.is_empty());
    stage.result("sends", 2);
    stage.result("received", vec![text(&first), text(&second)]);
    Ok(())
}
