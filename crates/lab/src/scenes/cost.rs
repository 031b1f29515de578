//! What the fixes cost, over a line with a delay.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use unglue_frame::{Deframer, Enframer, Framing};

use super::Scene;
use super::stage::{PATIENCE, Stage};
use crate::LabError;
use crate::coding::Coding;
use crate::connection::{Connection, Recorder};
use crate::dialects::Asks;
use crate::dialects::ack::{self, Ack};
use crate::dialects::len32::{self, Len32};
use crate::record::Recording;
use crate::relay::Relay;
use crate::server::{ServedConnection, Service, Settings, TcpServer};
use crate::shell::Shell;

/// The line's delay in each direction.
const DELAY: Duration = Duration::from_millis(10);
/// How many commands are asked.
const COMMANDS: usize = 3;

pub(super) const SCENE: Scene = Scene {
    name: "cost",
    title: "what the fixes cost: ack, a length, and messages asked ahead",
    why: "A round trip takes twice the line's delay, however fast both ends are: ack waits for two of them for each command, a \
          length in front of the reply for one. Where commands have boundaries too, they can be sent without waiting, and all of \
          them together cost one.",
    fix: "frame both directions, and send what you know already: unglue runs a thousand commands over one connection in one round trip \
          and their run time",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let calls = Arc::new(Recording::default());
    let line = |who, address| -> Result<Connection, LabError> {
        let recorder = Recorder { who, recording: calls.clone() };
        Ok(Connection::connect(address, PATIENCE)?.recorded(recorder))
    };
    let ack = through_relay(&Ack(Shell::default()), |address| {
        asked(&mut ack::Client::over(line("ack", address)?, Coding::Utf8))
    })?;
    let len32 = through_relay(&Len32(Shell::default()), |address| {
        asked(&mut len32::Client::over(line("len32", address)?, Coding::Utf8))
    })?;
    let ahead = through_relay(&framed, |address| asked_ahead(line("ahead", address)?))?;
    calls.taken().into_iter().for_each(|call| stage.recording.add(call));
    let trips = [ack.trips, len32.trips, ahead.trips];
    let took = [ack.took, len32.took, ahead.took];
    let commands_asked = COMMANDS as u64;
    stage.claim(
        "ack takes two round trips for each command, a length one",
        trips[..2] == [2 * commands_asked, commands_asked],
    );
    stage.claim("asked ahead, all commands together take one", trips[2] == 1);
    let right = [&ack, &len32, &ahead].map(|trial| trial.replies == expected());
    stage.claim("every reply was whole, in each of the three", right == [true; 3]);
    let least = trips.map(|trips| 2 * DELAY * u32::try_from(trips).unwrap_or(u32::MAX));
    stage.claim(
        "none was faster than its round trips allow",
        took.iter().zip(least).all(|(took, least)| *took >= least),
    );
    for (name, took) in ["ack", "len32", "asked ahead"].into_iter().zip(took) {
        stage.bar(name, milliseconds(took), "ms");
    }
    stage.result("commands", COMMANDS);
    stage.result("round_trip_ms", 2 * DELAY.as_millis() as u64);
    stage.result("round_trips_ack", trips[0]);
    stage.result("round_trips_len32", trips[1]);
    stage.result("round_trips_ahead", trips[2]);
    stage.measured("ms_ack", milliseconds(took[0]));
    stage.measured("ms_len32", milliseconds(took[1]));
    stage.measured("ms_ahead", milliseconds(took[2]));
    Ok(())
}

struct Trial {
    replies: Vec<Vec<u8>>,
    took: Duration,
    trips: u64,
}

/// What a client did.
type Asked = (Vec<Vec<u8>>, Duration);

fn commands() -> impl Iterator<Item = Vec<u8>> {
    (0..COMMANDS).map(|number| format!("echo {number}").into_bytes())
}

fn expected() -> Vec<Vec<u8>> {
    (0..COMMANDS).map(|number| format!("{number}\n").into_bytes()).collect()
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// A server, a relay in front of it, and a client that does its part.
fn through_relay(
    service: &dyn Service,
    client: impl FnOnce(SocketAddr) -> Result<Asked, LabError>,
) -> Result<Trial, LabError> {
    let server = TcpServer::new(Settings::default())?.bind((Ipv4Addr::LOCALHOST, 0).into())?.activate()?;
    let relay = Relay::start(server.address(), DELAY)?;
    let stopper = server.stopper();
    thread::scope(|scope| {
        scope.spawn(|| server.run(service, &|_, _| {}));
        let asked = client(relay.address());
        stopper.shut_down();
        asked.map(|(replies, took)| Trial { replies, took, trips: relay.round_trips() })
    })
}

/// One command after the other: each waits for its reply.
fn asked(client: &mut impl Asks) -> Result<Asked, LabError> {
    let started = Instant::now();
    let mut replies = Vec::new();
    for command in commands() {
        let mut reply = Vec::new();
        client.ask(&command, &mut reply)?;
        replies.push(reply);
    }
    Ok((replies, started.elapsed()))
}

fn frames_of(messages: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, LabError> {
    let (enframer, mut wire) = (Enframer::new(Framing::u32be()), Vec::new());
    for message in messages {
        enframer.encode(&[], &message, &mut wire).map_err(|error| LabError::misuse(error.to_string(), "send less"))?;
    }
    Ok(wire)
}

/// All commands at once, in frames; then all replies.
fn asked_ahead(mut connection: Connection) -> Result<Asked, LabError> {
    let started = Instant::now();
    connection.send_all(&frames_of(commands())?, "commands")?;
    let mut replies = Vec::new();
    let mut deframer = Deframer::new(Framing::u32be());
    while replies.len() < COMMANDS {
        let mut buffer = [0; 4096];
        match connection.recv(&mut buffer, "a reply", PATIENCE)? {
            0 => {
                return Err(LabError::Cut {
                    what: "the replies".into(),
                    got: replies.len() as u64,
                    wanted: COMMANDS as u64,
                });
            }
            n => deframer.feed(&buffer[..n]),
        }
        while let Some(frame) = deframer.next().map_err(undecodable)? {
            replies.push(frame.data().to_vec());
        }
    }
    Ok((replies, started.elapsed()))
}

/// A server whose commands and replies are frames.
fn framed(session: &mut ServedConnection<'_>) -> Result<(), LabError> {
    let shell = Shell::default();
    let mut deframer = Deframer::new(Framing::u32be().max(4096));
    let mut buffer = [0; 4096];
    loop {
        match session.recv_command(&mut buffer)? {
            0 => return Ok(()),
            n => deframer.feed(&buffer[..n]),
        }
        while let Some(frame) = deframer.next().map_err(undecodable)? {
            let printed = session.run(&shell, frame.data())?;
            session.connection.send_all(&frames_of([printed.stdout].into_iter())?, "a reply")?;
        }
    }
}

fn undecodable(error: unglue_frame::DecodeError) -> LabError {
    LabError::malformed(format!("what is not a frame ({error})"), "the peer lost its place")
}
