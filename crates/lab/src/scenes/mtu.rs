//! One send, many segments, one recv.

use super::Scene;
use super::actor::tcp_pair;
use super::stage::{Stage, until};
use crate::LabError;
use crate::kernel::tcp_info;

/// The maximum segment size that the scene asks for, in bytes: what a link of 576 bytes leaves (RFC 9293, section 3.7.1).
const MSS: u32 = 536;
/// How much is sent.
const BYTES: usize = 10_000;

pub(super) const SCENE: Scene = Scene {
    name: "mtu",
    title: "one send leaves in many segments, and arrives as one",
    why: "A segment is as large as the path carries (the MTU, less the headers), so the kernel cuts what it was given. The \
          receiver's kernel puts the bytes together again: nobody above it sees a segment's edge, in either direction.",
    fix: "nothing is broken: segments are no messages, so neither the MTU nor the MSS is a size to design messages by",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let (info, received) = {
        let (client, server) = tcp_pair(&stage.recording, |socket| socket.set_tcp_mss(MSS))?;
        client.record("setsockopt", ["TCP_MAXSEG".into(), (MSS as usize).into()], ().into());
        client.send(&[b'x'; BYTES])?;
        server.until_queued(BYTES as u64)?;
        let info = || tcp_info(&client.stream).map_err(LabError::io("read TCP_INFO"));
        until("the acknowledgement", || Ok(info()?.unacked == 0))?;
        (info()?, server.recv(2 * BYTES)?)
    };
    stage.way("client", "server");
    let least = BYTES.div_ceil(info.snd_mss as usize) as u64;
    let segments = u64::from(info.first_sent());
    stage.claim("no segment is larger than the MSS, so there are many", info.snd_mss <= MSS && segments >= least);
    stage.claim("one recv gives all of it", received == [b'x'; BYTES]);
    stage.bar("sends", 1.0, "");
    stage.bar("segments", segments as f64, "");
    stage.bar("recvs", 1.0, "");
    stage.result("sends", 1);
    stage.result("segment_bytes_at_most", info.snd_mss);
    stage.result("segments_at_least", least);
    stage.result("received_bytes", vec![received.len()]);
    stage.measured("segments", segments);
    Ok(())
}
