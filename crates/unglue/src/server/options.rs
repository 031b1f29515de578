//! How a server is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use unglue_host::process::SupervisorCommand;
use unglue_link::LinkConfig;
use unglue_link::auth::Gatekeeper;

/// How a server is set up. The default listens on loopback, serves the whole home directory, and allows everything to
/// the owners of authorised keys.
///
/// ```
/// use unglue::ServerOptions;
///
/// let options = ServerOptions::default().listen("127.0.0.1:0").root("/srv/files").exec(false);
/// assert!(options.files && !options.exec);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Each `ADDRESS:PORT`, or `NAME:PORT` for all addresses of a name, where port 0 picks a free one; or `unix:PATH` for a unix
    /// socket, which admits this process's user and root. Not used where the caller gives a listener.
    pub listen: Vec<String>,
    /// The directory that every path lies beneath; without it paths are relative to the home directory, and may be
    /// absolute.
    pub root: Option<PathBuf>,
    /// Whether commands may be run.
    pub exec: bool,
    /// Whether files may be read and written.
    pub files: bool,
    /// Whether ports may be forwarded.
    pub forward: bool,
    /// Whether clients may have the server listen on other addresses than loopback.
    pub gateway_ports: bool,
    /// Where the server keeps its own host key, its journal, the outputs of jobs and the records of temporary files;
    /// `~/.local/state/unglue` where it is `None`.
    pub state: Option<PathBuf>,
    /// The files of the host keys, ed25519 or ECDSA; where it is empty, `/etc/ssh/ssh_host_ed25519_key` and
    /// `/etc/ssh/ssh_host_ecdsa_key` as far as they can be read, or else an ed25519 key of the server's own. A certificate in
    /// `FILE-cert.pub` is shown to clients that know its authority.
    pub host_keys: Vec<PathBuf>,
    /// The file of those who may log in; `~/.ssh/authorized_keys` where it is `None`.
    pub authorized_keys: Option<PathBuf>,
    /// The file of revoked keys and certificates, a list of keys or a KRL, if there is one.
    pub revoked_keys: Option<PathBuf>,
    /// Whether `environment=` options of `authorized_keys` set variables of commands, as sshd's PermitUserEnvironment has it.
    pub user_environment: bool,
    /// The program that supervises commands.
    pub supervisor: SupervisorCommand,
    /// Says who may log in, in place of `authorized_keys`. What it allows is allowed only as far as `exec`, `files` and `forward` do.
    pub gatekeeper: Option<Arc<dyn Gatekeeper>>,
    /// Ends after so long with nothing under way; see [`ServerOptions::resident`].
    pub resident: Option<Duration>,
    /// Why the state isn't owned; see [`ServerOptions::unowned`].
    pub unowned: Option<String>,
    /// Deadlines, heartbeat and memory of each link.
    pub link: LinkConfig,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            listen: vec![format!("127.0.0.1:{}", crate::client::DEFAULT_PORT)],
            root: None,
            exec: true,
            files: true,
            forward: true,
            gateway_ports: false,
            state: None,
            host_keys: Vec::new(),
            authorized_keys: None,
            revoked_keys: None,
            user_environment: false,
            supervisor: SupervisorCommand::current_exe(),
            gatekeeper: None,
            resident: None,
            unowned: None,
            link: LinkConfig::default(),
        }
    }
}

impl ServerOptions {
    /// Where it listens, in place of the default.
    pub fn listen(self, listen: impl Into<String>) -> ServerOptions {
        ServerOptions { listen: vec![listen.into()], ..self }
    }

    /// Where it listens as well.
    pub fn also_listen(mut self, listen: impl Into<String>) -> ServerOptions {
        self.listen.push(listen.into());
        self
    }

    /// Listens nowhere but in the state directory, where [`owner::connect`](crate::owner::connect) finds it, and ends once nothing has
    /// been under way for so long. A server that is not a resident takes the state over.
    pub fn resident(self, linger: Duration) -> ServerOptions {
        ServerOptions { listen: Vec::new(), resident: Some(linger), ..self }
    }

    /// Doesn't take the ownership of the state, for this reason: ids are not recorded, and commands that would outlive their link
    /// are refused.
    pub fn unowned(self, why: impl Into<String>) -> ServerOptions {
        ServerOptions { unowned: Some(why.into()), ..self }
    }

    /// The directory that every path lies beneath.
    pub fn root(self, root: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions { root: Some(root.into()), ..self }
    }

    /// Whether commands may be run.
    pub fn exec(self, exec: bool) -> ServerOptions {
        ServerOptions { exec, ..self }
    }

    /// Whether files may be read and written.
    pub fn files(self, files: bool) -> ServerOptions {
        ServerOptions { files, ..self }
    }

    /// Whether ports may be forwarded.
    pub fn forward(self, forward: bool) -> ServerOptions {
        ServerOptions { forward, ..self }
    }

    /// Whether clients may have the server listen on other addresses than loopback.
    pub fn gateway_ports(self, gateway_ports: bool) -> ServerOptions {
        ServerOptions { gateway_ports, ..self }
    }

    /// Where the server keeps its own host key, its journal, the outputs of jobs and the records of temporary files.
    pub fn state(self, state: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions { state: Some(state.into()), ..self }
    }

    /// The file of a host key, one more with each call.
    pub fn host_key(mut self, host_key: impl Into<PathBuf>) -> ServerOptions {
        self.host_keys.push(host_key.into());
        self
    }

    /// The file of revoked keys and certificates.
    pub fn revoked_keys(self, file: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions { revoked_keys: Some(file.into()), ..self }
    }

    /// Whether `environment=` options set variables of commands.
    pub fn user_environment(self, user_environment: bool) -> ServerOptions {
        ServerOptions { user_environment, ..self }
    }

    /// The file of those who may log in.
    pub fn authorized_keys(self, file: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions { authorized_keys: Some(file.into()), ..self }
    }

    /// The program that supervises commands.
    pub fn supervisor(self, supervisor: SupervisorCommand) -> ServerOptions {
        ServerOptions { supervisor, ..self }
    }

    /// Says who may log in, in place of `authorized_keys`.
    pub fn gatekeeper(self, gatekeeper: impl Gatekeeper + 'static) -> ServerOptions {
        ServerOptions { gatekeeper: Some(Arc::new(gatekeeper)), ..self }
    }

    /// Deadlines, heartbeat and memory of each link.
    pub fn link(self, link: LinkConfig) -> ServerOptions {
        ServerOptions { link, ..self }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("listen", &self.listen)
            .field("root", &self.root)
            .field("exec", &self.exec)
            .field("files", &self.files)
            .field("forward", &self.forward)
            .field("gateway_ports", &self.gateway_ports)
            .field("state", &self.state)
            .field("host_keys", &self.host_keys)
            .field("authorized_keys", &self.authorized_keys)
            .field("revoked_keys", &self.revoked_keys)
            .finish_non_exhaustive()
    }
}
