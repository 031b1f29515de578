//! What a replay file holds: the programs and the cuts, as JSON.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unglue_frame::Framing;

use super::judge::Compare;
use super::plan::Plan;
use super::{Finding, Settings, Target};
use crate::LabError;

/// The format's number.
const VERSION: u32 = 1;

/// A finding as it is written to a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replay {
    unglue_torture: u32,
    client: Vec<Word>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    server: Option<Word>,
    #[serde(default)]
    keep_server: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    frame: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    frame_reply: Option<String>,
    compare: Compare,
    seed: u64,
    timeout_ms: u64,
    /// The cuts.
    pub cuts: Plan,
    /// Them in words, for readers.
    says: Vec<String>,
}

/// A word of a command line: text, or bytes that are none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

impl From<&OsString> for Word {
    fn from(word: &OsString) -> Word {
        match word.to_str() {
            Some(text) => Word::Text(text.into()),
            None => Word::Bytes { bytes: word.as_bytes().into() },
        }
    }
}

impl From<Word> for OsString {
    fn from(word: Word) -> OsString {
        match word {
            Word::Text(text) => text.into(),
            Word::Bytes { bytes } => OsString::from_vec(bytes),
        }
    }
}

impl Replay {
    /// What to write.
    pub fn of(settings: &Settings, finding: &Finding) -> Replay {
        let (to, server, keep_server) = match &settings.target {
            Target::Address(address) => (Some(address.to_string()), None, false),
            Target::Command { command, keep } => (None, Some(Word::from(command)), *keep),
        };
        Replay {
            unglue_torture: VERSION,
            client: settings.client.iter().map(Word::from).collect(),
            to,
            server,
            keep_server,
            frame: settings.framing.as_ref().map(ToString::to_string),
            frame_reply: settings.reply_framing.as_ref().map(ToString::to_string),
            compare: settings.compare.clone(),
            seed: settings.seed,
            timeout_ms: u64::try_from(settings.timeout.as_millis()).unwrap_or(u64::MAX),
            cuts: Plan::of(finding.cuts.iter().map(|told| told.cut.clone())),
            says: finding.cuts.iter().map(|told| told.says.clone()).collect(),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`LabError::Misuse`]: it can't be written as JSON.
    pub fn to_json(&self) -> Result<String, LabError> {
        let text = serde_json::to_string_pretty(self);
        text.map_err(|error| LabError::misuse(format!("the replay can't be written: {error}"), "please report it"))
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`LabError::Misuse`]: it isn't a replay file.
    pub fn parse(text: &[u8]) -> Result<Replay, LabError> {
        let wrong = |what: String| LabError::misuse(what, "give a file that `unglue lab torture` wrote");
        let replay: Replay =
            serde_json::from_slice(text).map_err(|error| wrong(format!("it isn't a replay file: {error}")))?;
        match replay.unglue_torture {
            VERSION => {}
            other => return Err(wrong(format!("it is a replay file of version {other}; this unglue reads {VERSION}"))),
        }
        if replay.client.is_empty() || replay.cuts.cuts.iter().any(|cut| cut.connection == 0) {
            return Err(wrong("it has no client, or a cut on connection 0".into()));
        }
        Ok(replay)
    }

    /// The settings that the cuts were found with.
    ///
    /// # Errors
    /// [`LabError::Misuse`]: the address or a notation can't be read.
    pub fn settings(&self) -> Result<Settings, LabError> {
        let wrong = |what: String| LabError::misuse(what, "the replay file was changed");
        let target = match (&self.to, &self.server) {
            (Some(to), None) => {
                Target::Address(to.parse().map_err(|e| wrong(format!("`{to}` is not an address: {e}")))?)
            }
            (None, Some(command)) => Target::Command { command: command.clone().into(), keep: self.keep_server },
            _ => return Err(wrong("it must have one of `to` and `server`".into())),
        };
        let framing = |notation: &Option<String>| -> Result<Option<Framing>, LabError> {
            let parsed = notation.as_ref().map(|text| text.parse::<Framing>());
            parsed.transpose().map_err(|error| wrong(format!("its notation can't be read: {error}")))
        };
        let mut settings = Settings::new(self.client.iter().cloned().map(Into::into), target);
        settings.framing = framing(&self.frame)?;
        settings.reply_framing = framing(&self.frame_reply)?;
        settings.compare = self.compare.clone();
        settings.seed = self.seed;
        settings.timeout = Duration::from_millis(self.timeout_ms.clamp(1, 86_400_000));
        Ok(settings)
    }
}
