//! `unglue key trust`: a server is remembered if it proves to have the key that its fingerprint says.

use std::sync::Arc;

use unglue::ClientOptions;
use unglue::identity::{KnownHosts, KnownHostsFiles, PublicKey, Verdict};
use unglue::link::auth::Credentials;
use unglue::link::{self, ConnectError, HostTrust, LinkConfig, Target};

use super::refused;
use crate::args::key::TrustArgs;
use crate::complaint::Complaint;
use crate::{configuration, runtime};

/// Connects, compares, and remembers.
///
/// # Errors
/// The server can't be reached, has another key, or is known by another key.
pub(super) fn trust(args: &TrustArgs) -> Result<String, Complaint> {
    if args.host.socket().is_some() {
        return Err(Complaint::new("a unix socket has no host key: its server is admitted by its user; name a host"));
    }
    let mut address = args.host.address(args.connection.port).map_err(Complaint::new)?;
    let ssh = configuration::apply(&mut address, args.connection.ssh_config.as_deref())?;
    let (target, options) = (address.target, ClientOptions::default().ssh(ssh));
    let mut options = options;
    options.known_hosts.clone_from(&args.connection.known_hosts);
    let files = options.known_hosts_files().map_err(refused)?;
    let (host, port) = match &options.ssh.host_key_alias {
        Some(alias) => (alias.clone(), 22),
        None => (target.host.clone(), target.port),
    };
    let key = runtime::run(proved_key(&target, files.append.clone()))?;
    let (shown, wanted) = (key.fingerprint(), args.fingerprint);
    if shown != wanted {
        let what = format!("the server at {target} has the host key {shown}, not {wanted}; it was not trusted");
        return Err(Complaint::new(format!(
            "{what}. Compare it with the fingerprint that `unglue serve` printed there"
        )));
    }
    match KnownHosts::load(&files.read).map_err(refused)?.lookup(&host, port, &key) {
        Verdict::Trusted { at } => Ok(format!("{target} is trusted already: {at}\n")),
        Verdict::Unknown { .. } => {
            KnownHosts::append(&files.append, &host, port, &key).map_err(refused)?;
            Ok(format!("{target} is trusted now, by {shown} in {}\n", files.append.display()))
        }
        Verdict::Changed { at, known } => Err(Complaint::new(format!(
            "{at} knows {target} by another key, {known}; if the key was changed on purpose, remove that line first"
        ))),
        Verdict::Revoked { at } => Err(Complaint::new(format!("{at} revokes that key; it was not trusted"))),
    }
}

/// The key that the server proves to have. Since no file is read, it is unknown always, and nobody logs in.
async fn proved_key(target: &Target, append: std::path::PathBuf) -> Result<PublicKey, Complaint> {
    let trust =
        HostTrust { files: KnownHostsFiles { read: Vec::new(), append }, accept_new: false, agreed: None, alias: None };
    let nobody = Credentials { user: None, identities: Vec::new(), ask: Arc::new(|_| None) };
    match link::connect(target, &trust, &nobody, &LinkConfig::default()).await {
        Err(ConnectError::Unknown(unknown)) => Ok(unknown.key),
        Err(error) => Err(unglue::Fault::from(error).into()),
        Ok(_) => Err(Complaint::new(format!("no file trusts the server at {target}, but it was treated as trusted"))),
    }
}
