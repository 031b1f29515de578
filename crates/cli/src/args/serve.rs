//! `unglue serve`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use unglue::client::DEFAULT_PORT;

const EXAMPLES: &str = "\
Examples:
  unglue serve                                  # on 127.0.0.1:7227, for this user's keys
  unglue serve --listen '[::]:7227'             # also for other machines, IPv4 and IPv6
  unglue serve --root /srv/drop --allow files   # files below /srv/drop, and no commands
  unglue serve --listen 127.0.0.1:0 --json      # a free port, printed as JSON
  unglue serve --listen localhost:7300          # both 127.0.0.1 and ::1

The keys in ~/.ssh/authorized_keys may log in, as with ssh. --root confines files, not
commands. After the first SIGTERM or SIGINT, running commands have 10 s to end. The second
signal ends the server at once.";

/// Run a server on this machine, for clients with an authorised key
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// The address and port to listen on; a name means all its addresses, and port 0 chooses a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7227", value_parser = parse_listen)]
    pub(crate) listen: String,
    /// Keep all files below this directory [default: paths start at the home directory and may be absolute]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The operations that are allowed
    #[arg(long, value_name = "OPERATIONS", value_enum, value_delimiter = ',', default_value = "exec,files,forward")]
    pub(crate) allow: Vec<Allowed>,
    /// Let clients have this server listen on other addresses than loopback (-R '*:8080:…')
    #[arg(long)]
    pub(crate) gateway_ports: bool,
    /// Where the server keeps its host key, its record of commands, and their outputs [default: ~/.local/state/unglue]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// A host key, ed25519 or ECDSA; may be repeated [default: /etc/ssh/ssh_host_ed25519_key and ssh_host_ecdsa_key if they
    /// can be read, else a key of its own]
    #[arg(long, value_name = "FILE")]
    pub(crate) host_key: Vec<PathBuf>,
    /// The keys that may log in [default: ~/.ssh/authorized_keys]
    #[arg(long, value_name = "FILE")]
    pub(crate) authorized_keys: Option<PathBuf>,
    /// Refuse the keys and certificates of this file: public keys, or a list that ssh-keygen -k has made
    #[arg(long, value_name = "FILE")]
    pub(crate) revoked_keys: Option<PathBuf>,
    /// Set the variables of environment= options in authorized_keys
    #[arg(long)]
    pub(crate) permit_user_environment: bool,
    /// Print the address and the log as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// An operation that a server may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allowed {
    /// Running commands.
    Exec,
    /// Reading and writing files.
    Files,
    /// Forwarding ports.
    Forward,
}

impl ServeArgs {
    /// Whether an operation is allowed.
    pub(crate) fn allows(&self, operation: Allowed) -> bool {
        self.allow.contains(&operation)
    }
}

/// Adds the default port to a plain address, which may have a zone.
fn parse_listen(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(text);
    let (ip, zone) = bare.split_once('%').map_or((bare, ""), |(ip, zone)| (ip, zone));
    match (ip.parse::<IpAddr>(), text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()))) {
        (Ok(IpAddr::V6(_)), _) => Ok(format!("[{bare}]:{DEFAULT_PORT}")),
        (Ok(IpAddr::V4(ip)), _) if zone.is_empty() => Ok(format!("{ip}:{DEFAULT_PORT}")),
        (Err(_), Some((host, Ok(_)))) if !host.is_empty() => Ok(text.into()),
        _ => {
            Err("this is not an address; write it like 127.0.0.1:7227, 0.0.0.0:7227, [::]:7227 or [fe80::1%eth0]:7227"
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_leave_out_the_port() {
        let listen = |text| parse_listen(text).expect("an address");
        assert_eq!(listen("[::1]:0"), "[::1]:0");
        assert_eq!(listen("0.0.0.0"), "0.0.0.0:7227");
        assert_eq!(listen("::"), "[::]:7227");
        assert_eq!(listen("localhost:1"), "localhost:1");
        assert_eq!(listen("fe80::1%eth0"), "[fe80::1%eth0]:7227");
        assert_eq!(listen("[fe80::1%eth0]:1"), "[fe80::1%eth0]:1");
        for text in ["", "localhost", ":1", "localhost:http", "1.2.3.4:65536"] {
            assert!(parse_listen(text).is_err(), "{text:?}");
        }
    }
}
