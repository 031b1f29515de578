//! The flags of `exec` for a command that is to be found again.

use std::time::Duration;

use clap::Args;
use unglue::{Exec, Lease, new_id};

use super::span::{parse_bytes, parse_timeout};

/// How long a command lives without its client, and how it is found again.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Jobs")]
pub(crate) struct LeaseArgs {
    /// How long the command may live without a client: not at all (kill), so long (keep=30s), or as long as it runs (detach)
    /// [default: kill]
    #[arg(long, value_name = "LEASE", value_parser = parse_lease)]
    lease: Option<Lease>,
    /// Start the command with the lease detach, print its id, and return
    #[arg(long, conflicts_with_all = ["lease", "json", "outcome", "events", "stdin"])]
    detach: bool,
    /// Run the command under this id, at most once
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    id: Option<String>,
    /// A name to find the command by
    #[arg(long, value_name = "NAME", value_parser = parse_id)]
    name: Option<String>,
    /// Write the id to the server's disk before the command starts
    #[arg(long)]
    durable: bool,
    /// Kill the command when both outputs together exceed this (output=64M, output=1G)
    #[arg(long, value_name = "output=BYTES", value_parser = parse_limit)]
    limit: Option<u64>,
}

impl LeaseArgs {
    /// Whether to return once the command runs.
    pub(crate) fn detaches(&self) -> bool {
        self.detach
    }

    /// The lease that was asked for.
    pub(crate) fn lease(&self) -> Lease {
        match self.detach {
            true => Lease::Detach,
            false => self.lease.unwrap_or_default(),
        }
    }

    /// The command with these flags, and its id: the one that was typed, or a new one.
    pub(crate) fn apply(&self, exec: Exec) -> (Exec, String) {
        let mut exec = exec.lease(self.lease());
        if let Some(name) = &self.name {
            exec = exec.name(name);
        }
        if self.durable {
            exec = exec.durable();
        }
        if let Some(bytes) = self.limit {
            exec = exec.output_limit(bytes);
        }
        match &self.id {
            Some(id) => (exec.id(id), id.clone()),
            None => {
                let id = new_id();
                (exec.fresh_id(&id), id)
            }
        }
    }
}

/// Reads a lease: `kill`, `keep=30s` or `detach`.
pub(crate) fn parse_lease(text: &str) -> Result<Lease, String> {
    match (text, text.strip_prefix("keep=")) {
        ("kill", _) => Ok(Lease::Kill),
        ("detach", _) => Ok(Lease::Detach),
        (_, Some(time)) => parse_timeout(time).map(Lease::Keep),
        ("keep", _) => Err("keep needs a time: write keep=30s".into()),
        _ => Err("a lease is kill, keep=DUR or detach".into()),
    }
}

/// Reads `output=64M`.
fn parse_limit(text: &str) -> Result<u64, String> {
    match text.strip_prefix("output=") {
        Some(bytes) => parse_bytes(bytes),
        None => Err("only the output can be limited: write output=64M".into()),
    }
}

/// Reads an id or a name: anything but nothing.
pub(crate) fn parse_id(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty".into()),
        text => Ok(text.to_owned()),
    }
}

/// A span as it is typed, in the largest unit that is exact.
pub(crate) fn span(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        _ if !ms.is_multiple_of(1000) => format!("{ms}ms"),
        _ if !ms.is_multiple_of(60_000) || ms == 0 => format!("{}s", ms / 1000),
        _ if !ms.is_multiple_of(3_600_000) => format!("{}m", ms / 60_000),
        _ => format!("{}h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_read_and_shown() {
        assert_eq!((parse_lease("kill"), parse_lease("detach")), (Ok(Lease::Kill), Ok(Lease::Detach)));
        for text in ["30s", "1500ms", "2m", "1h"] {
            let Ok(Lease::Keep(time)) = parse_lease(&format!("keep={text}")) else { panic!("{text}") };
            assert_eq!(span(time), text);
        }
        for text in ["", "keep", "keep=", "keep=0", "keep=soon", "forever"] {
            assert!(parse_lease(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_output_is_limited() {
        assert_eq!(parse_limit("output=64K"), Ok(65536));
        assert!(parse_limit("64K").is_err() && parse_limit("time=3s").is_err() && parse_limit("output=").is_err());
    }
}
