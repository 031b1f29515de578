//! The way to a server: connecting, and what a person is asked on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use unglue::identity::Passphrase;
use unglue::identity::ssh_config::{Checking, Settings};
use unglue::{Address, Client, ClientOptions, Code, ConnectError, Exec, Fault, UnknownHost};

use crate::args::connection::ConnectionArgs;
use crate::args::target::HostArg;
use crate::complaint::{Complaint, printable, say};
use crate::configuration;
use crate::host_prompt::agreed;
use crate::passphrase;
use crate::patience::{Asked, within};

/// Which server, which user and key, and which servers to trust.
pub(crate) struct Access {
    pub(crate) address: Address,
    /// The unix socket that it is reached by, in place of the network.
    socket: Option<PathBuf>,
    options: ClientOptions,
    limit: Option<Duration>,
    asked: Asked,
}

impl Access {
    /// Joins the host with the connection's flags.
    ///
    /// # Errors
    /// They contradict each other.
    pub(crate) fn new(host: &HostArg, flags: &ConnectionArgs) -> Result<Access, Complaint> {
        let mut address = host.address(flags.port).map_err(Complaint::new)?;
        let socket = host.socket().map(Path::to_owned);
        let ssh = match socket {
            Some(_) => Settings::default(),
            None => configuration::apply(&mut address, flags.ssh_config.as_deref())?,
        };
        let asked = Asked::default();
        let asking = asked.clone();
        let ask = move |path: &Path| asking.ask(|| ask_passphrase(path));
        let accept_new = flags.accept_new || ssh.checking == Checking::AcceptNew;
        let limit = flags.connect_timeout.or(ssh.connect_timeout);
        let mut options = ClientOptions::default().accept_new(accept_new).ask_passphrase(Arc::new(ask)).ssh(ssh);
        options.identity = flags.identity.clone();
        options.known_hosts = flags.known_hosts.clone();
        if let Some(limit) = limit {
            // The steps may take as long as all of it.
            options.link.connect = limit;
            options.link.handshake = limit;
            options.link.first_message = limit;
            options.link.welcome = limit;
        }
        Ok(Access { address, socket, options, limit, asked })
    }

    /// The command with the variables that the ssh configuration sends (`SendEnv`).
    pub(crate) fn with_variables(&self, exec: Exec) -> Exec {
        exec.env_defaults(self.options.ssh.variables())
    }

    /// Connects. A server that isn't known is asked about once, if there is somebody to ask.
    ///
    /// # Errors
    /// There is no link; nothing has run.
    pub(crate) async fn connect(&self) -> Result<Client, Fault> {
        let Some(limit) = self.limit else { return self.connect_at_leisure().await };
        let logged_in = async {
            let client = self.connect_at_leisure().await?;
            // Connecting doesn't wait for the server's answer, which belongs to what is limited.
            client.welcome().await?;
            Ok(client)
        };
        within(limit, &self.asked, logged_in).await.unwrap_or_else(|| {
            let (target, limit) = (self.target(), limit.as_secs_f64());
            let what = format!("connecting to {target} took longer than {limit} s");
            Err(Fault::system(Code::Unreachable, what)
                .advise("check the address, the network and a firewall in between, or give --connect-timeout more"))
        })
    }

    /// `StrictHostKeyChecking yes` refuses without a question.
    fn may_ask(&self) -> bool {
        self.options.ssh.checking != Checking::Strict
    }

    /// The server, for messages.
    fn target(&self) -> String {
        match &self.socket {
            Some(_) => self.address.target.host.clone(),
            None => self.address.target.to_string(),
        }
    }

    async fn connect_at_leisure(&self) -> Result<Client, Fault> {
        if let Some(socket) = &self.socket {
            return Client::connect_unix(socket, self.address.user.clone(), &self.options).await;
        }
        match Client::connect(&self.address, &self.options).await {
            Err(ConnectError::Unknown(unknown)) if self.may_ask() && self.asked.ask(|| agreed(&unknown)) => {
                remember(&unknown);
                let options = self.options.clone().agreed(unknown.key.clone());
                Client::connect(&self.address, &options).await.map_err(fault)
            }
            connected => connected.map_err(fault),
        }
    }
}

/// A server that isn't trusted, as a fault: what happened, and the command that would trust it.
fn fault(error: ConnectError) -> Fault {
    error.into()
}

/// Adds the server to the known hosts. Where that can't be done, as in a home that is read-only, it is trusted this time.
fn remember(unknown: &UnknownHost) {
    if let Err(error) = unknown.remember() {
        say(&format!(
            "warning: {} is trusted this time only: {error}. --known-hosts FILE names another file",
            unknown.target
        ));
    }
}

/// Asks for the passphrase of a key, at the terminal; `None` where there is none, or where nothing was typed.
fn ask_passphrase(path: &Path) -> Option<Passphrase> {
    let question = format!("Passphrase for {}: ", printable(&path.display().to_string()));
    match passphrase::ask(&question) {
        Ok(text) if !text.is_empty() => Some(Passphrase::new(text)),
        _ => None,
    }
}
