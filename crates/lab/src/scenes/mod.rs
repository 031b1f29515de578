//! Scenes: small plays that show where messages go, on real sockets.
//!
//! A scene yields a [`SceneReport`]. Its `result` is what the network guarantees, so it is the same in every run, at any load: scenes wait
//! for facts (the receive queue's length, a counter of the kernel), never for a time. What may differ is in `measured`.
//!
//! ```
//! let report = unglue_lab::scenes::find("sender").expect("a scene").play()?;
//! assert!(report.holds());
//! assert_eq!(report.calls[2].to_string(), "recv(10) = b\"helloegg\"");
//! # Ok::<(), unglue_lab::LabError>(())
//! ```

mod actor;
mod cost;
pub mod cut_reply;
mod empty;
mod mtu;
mod nagle;
mod partial_send;
mod receiver;
mod report;
mod sender;
mod stage;
mod timeout;
mod udp_limit;
mod udp_many;
mod udp_truncate;
mod utf8_cut;

use crate::LabError;
pub use report::{Bar, Claim, Fact, SceneReport};
use stage::Stage;

/// A scene: what it is called and about, and how it is played.
#[derive(Debug)]
pub struct Scene {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in a few words.
    pub title: &'static str,
    /// Why, in two sentences.
    pub why: &'static str,
    /// What fixes it.
    pub fix: &'static str,
    play: fn(&mut Stage) -> Result<(), LabError>,
}

/// All scenes, in an order in which they explain each other.
pub const ALL: [&Scene; 13] = [
    &sender::SCENE,
    &receiver::SCENE,
    &cut_reply::SCENE,
    &nagle::SCENE,
    &mtu::SCENE,
    &partial_send::SCENE,
    &empty::SCENE,
    &udp_limit::SCENE,
    &udp_truncate::SCENE,
    &udp_many::SCENE,
    &timeout::SCENE,
    &utf8_cut::SCENE,
    &cost::SCENE,
];

/// The scene of that name.
pub fn find(name: &str) -> Option<&'static Scene> {
    ALL.into_iter().find(|scene| scene.name == name)
}

impl Scene {
    /// Plays it.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] if this machine or this user can't; anything else is a failure of the machine's.
    pub fn play(&self) -> Result<SceneReport, LabError> {
        let mut stage = Stage::default();
        (self.play)(&mut stage)?;
        Ok(stage.report(self))
    }
}
