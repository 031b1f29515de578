//! The user's own `ssh` as the way to a server: nothing has to be installed or to listen on the other side.
//!
//! One ssh session carries everything. [`Ssh`] starts `ssh HOST /bin/sh -c SCRIPT`; the script (`start.sh`) runs the program
//! of this version if an earlier session has left it on the other side, and asks for it otherwise. The program is then uploaded on
//! the same channel (`upload.sh`), proves its digest, and serves its standard input and output. The client sends nothing before
//! it has read a random marker, so that neither a login script's output nor its questions come between.
//!
//! | module | what it is for |
//! |---|---|
//! | `options` | which ssh, with which options, and which programs may be uploaded |
//! | `words` | splitting `UNGLUE_SSH` |
//! | `command` | the command line: ssh's words, and the script for the other side |
//! | `child` | starting ssh, so that it neither dies of this terminal's Ctrl-C nor survives this process |
//! | `stderr` | what ssh and the other side print meanwhile |
//! | `conversation` | reading the marker's lines, with deadlines |
//! | `bootstrap` | the steps, from the start of ssh to the program that serves |
//! | `failure` | why there is no connection: the stage, what happened, what to do |
//! | `program`, `digest` | the program for the other side, its digest, and how it is packed |
//! | [`far`] | what the uploaded program does before it serves |

mod bootstrap;
mod child;
mod command;
mod conversation;
mod digest;
mod failure;
pub mod far;
mod options;
mod program;
mod stderr;
mod words;

use std::sync::Arc;

use crate::client::{Connecting, Connector};

pub use options::{Report, SshOptions};
pub use program::file_name;
pub use words::split_command;

/// A server that the user's ssh reaches.
#[derive(Clone)]
pub struct Ssh {
    /// The host, as ssh knows it: a name, an address or an alias of its configuration.
    pub(crate) host: String,
    /// The user, where one was typed; otherwise ssh's configuration decides.
    pub(crate) user: Option<String>,
    pub(crate) options: Arc<SshOptions>,
}

impl Ssh {
    /// The host and the user are given to ssh as they are.
    pub fn new(host: impl Into<String>, user: Option<String>, options: SshOptions) -> Ssh {
        Ssh { host: host.into(), user, options: Arc::new(options) }
    }

    /// `user@host`, as errors name it.
    fn name(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }
}

impl Connector for Ssh {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(bootstrap::connect(self))
    }
}
