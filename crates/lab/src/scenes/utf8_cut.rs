//! A character that is split between two reads.

use super::Scene;
use super::actor::tcp_pair;
use super::stage::{Stage, text};
use crate::LabError;

pub(super) const SCENE: Scene = Scene {
    name: "utf8-cut",
    title: "a character is split between two reads",
    why: "Most characters take more than one byte in UTF-8, 你 takes three, and TCP cuts between any two bytes. Decoding each \
          piece by itself fails, or puts U+FFFD where the character was.",
    fix: "find the message's end first, and decode whole messages; or use an incremental decoder, which keeps the beginning of a character",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let sent = "你好 🥚";
    let pieces = {
        let (client, server) = tcp_pair(&stage.recording, |_| Ok(()))?;
        client.send(sent.as_bytes())?;
        server.until_queued(sent.len() as u64)?;
        [server.recv(4)?, server.recv(1024)?]
    };
    stage.way("client", "server");
    let lossy: String = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
    let whole = pieces.concat();
    stage.claim("neither piece is text", pieces.iter().all(|piece| std::str::from_utf8(piece).is_err()));
    stage.claim("decoded apart, they are not what was sent", lossy != sent);
    stage.claim("decoded together, they are", whole == sent.as_bytes());
    stage.result("received", pieces.iter().map(|piece| text(piece)).collect::<Vec<_>>());
    stage.result("decoded_apart", lossy);
    stage.result("decoded_together", String::from_utf8_lossy(&whole).into_owned());
    Ok(())
}
