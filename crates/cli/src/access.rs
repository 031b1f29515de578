//! The way to a server: connecting, and what a person is asked on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use unglue::identity::Passphrase;
use unglue::identity::ssh_config::{Checking, Settings};
use unglue::link::{LOGIN_STEPS, Reached, reach};
use unglue::{Address, Client, ClientOptions, Code, Compression, ConnectError, Exec, Fault, LinkError, UnknownHost};

use crate::args::connection::{ConnectionArgs, TransportArg};
use crate::args::target::HostArg;
use crate::complaint::{Complaint, printable, say};
use crate::configuration;
use crate::host_prompt::agreed;
use crate::passphrase;
use crate::patience::{Asked, within};
use crate::transport::{TCP_FIRST, Ways};

/// Which server, which user and key, and which servers to trust.
pub(crate) struct Access {
    pub(crate) address: Address,
    /// The unix socket that it is reached by, in place of the network.
    socket: Option<PathBuf>,
    options: ClientOptions,
    limit: Option<Duration>,
    asked: Asked,
    ways: Ways,
    verbose: bool,
}

impl Access {
    /// Joins the host with the connection's flags.
    ///
    /// # Errors
    /// They contradict each other.
    pub(crate) fn new(host: &HostArg, flags: &ConnectionArgs) -> Result<Access, Complaint> {
        let mut address = host.address(flags.port).map_err(Complaint::new)?;
        let socket = host.socket().map(Path::to_owned);
        let ways = Ways::new(host, flags, flags.connect_timeout)?;
        let ssh = match &socket {
            Some(_) => Settings::default(),
            None => match configuration::apply(&mut address, flags.ssh_config.as_deref()) {
                // ssh reads its configuration itself.
                Err(_) if ways.transport == TransportArg::Ssh => Settings::default(),
                settings => settings?,
            },
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
        Ok(Access { address, socket, options, limit, asked, ways, verbose: flags.verbose })
    }

    /// The command with the variables that the ssh configuration sends (`SendEnv`).
    pub(crate) fn with_variables(&self, exec: Exec) -> Exec {
        exec.env_defaults(self.options.ssh.variables())
    }

    /// Connects, by the transport that was chosen. By TCP, a server that isn't known is asked about once, if there is a person
    /// to ask.
    ///
    /// # Errors
    /// There is no link; nothing has run.
    pub(crate) async fn connect(&self) -> Result<Client, Fault> {
        match self.ways.transport {
            _ if self.socket.is_some() => self.by_tcp(None).await,
            TransportArg::Tcp => self.by_tcp(None).await,
            TransportArg::Ssh => self.by_ssh().await,
            TransportArg::Auto => self.by_either().await,
        }
    }

    /// With `-v`, says that a server of before compression is sent plain bytes.
    pub(crate) async fn tell_compression(&self, client: &Client, compression: Compression) {
        if compression == Compression::Off || !self.verbose {
            return;
        }
        // A failure is the operation's to report.
        if let Ok(welcome) = client.welcome().await
            && !welcome.accepts.iter().any(|what| what == "zstd")
        {
            tracing::debug!(target: LOGIN_STEPS, "not compressed: {} takes no compressed data", welcome.agent);
        }
    }

    /// TCP, or ssh if there is no TCP connection. What a server says that was reached by TCP is final.
    async fn by_either(&self) -> Result<Client, Fault> {
        let memory = self.ways.memory(&self.address.target);
        if let Some(why) = memory.recent() {
            tracing::debug!(target: LOGIN_STEPS, "by ssh, because TCP was not possible: {why}");
            let failed = match self.by_ssh().await {
                Ok(client) => return Ok(client),
                Err(failed) => failed,
            };
            let reached = reach(&self.address.target, TCP_FIRST).await.map_err(|error| neither(&error, &failed))?;
            memory.forget();
            return self.by_tcp(Some(reached)).await;
        }
        let limit = self.limit.map_or(TCP_FIRST, |limit| limit.min(TCP_FIRST));
        match reach(&self.address.target, limit).await {
            Ok(reached) => self.by_tcp(Some(reached)).await,
            Err(error) if error.is_unreachable() => {
                tracing::debug!(target: LOGIN_STEPS, "by ssh, because TCP is not possible: {error}");
                let client = self.by_ssh().await.map_err(|failed| neither(&error, &failed))?;
                memory.note(&error);
                Ok(client)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn by_ssh(&self) -> Result<Client, Fault> {
        Client::connect_by(self.ways.ssh.clone(), None, &self.options).await
    }

    /// On the connection that was `reached`, if there is one.
    async fn by_tcp(&self, reached: Option<Reached>) -> Result<Client, Fault> {
        let Some(limit) = self.limit else { return self.connect_at_leisure(reached).await };
        let logged_in = async {
            let client = self.connect_at_leisure(reached).await?;
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

    async fn connect_at_leisure(&self, reached: Option<Reached>) -> Result<Client, Fault> {
        if let Some(socket) = &self.socket {
            return Client::connect_unix(socket, self.address.user.clone(), &self.options).await;
        }
        let connected = match reached {
            Some(reached) => Client::connect_reached(reached, &self.address, &self.options).await,
            None => Client::connect(&self.address, &self.options).await,
        };
        match connected {
            Err(ConnectError::Unknown(unknown)) if self.may_ask() && self.asked.ask(|| agreed(&unknown)) => {
                remember(&unknown);
                let options = self.options.clone().agreed(unknown.key.clone());
                Client::connect(&self.address, &options).await.map_err(fault)
            }
            connected => connected.map_err(fault),
        }
    }
}

/// Neither way leads to the server: both reasons, and what to do about ssh, which needs nothing on the other side.
fn neither(tcp: &LinkError, ssh: &Fault) -> Fault {
    let what = format!("no connection by TCP ({tcp}), nor by ssh ({})", ssh.what);
    Fault { what, ..ssh.clone() }
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
