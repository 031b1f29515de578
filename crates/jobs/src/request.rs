//! A request for a command, as the registry compares it with another one of the same id.

use unglue_proto::Octets;
use unglue_proto::message::exec::{Descendants, Exec, Lease};

/// The digest of everything that makes two requests the same command: argv, environment, directory, whether there is an
/// input or a terminal, timeout, lease, limit, and what becomes of descendants.
pub(crate) fn digest(exec: &Exec) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    put(&(exec.argv.len() as u64).to_le_bytes());
    exec.argv.iter().for_each(|argument| put(bytes(argument)));
    put(&(exec.env.len() as u64).to_le_bytes());
    exec.env.iter().for_each(|(name, value)| {
        put(bytes(name));
        put(bytes(value));
    });
    match &exec.cwd {
        Some(cwd) => put(bytes(cwd)),
        None => put(b"\0none"),
    }
    let (lease, keep) = match &exec.lease {
        Lease::Kill(_) => (0, 0),
        Lease::Keep(keep) => (1, keep.ms),
        Lease::Detach(_) => (2, 0),
        Lease::Unknown(_) => (3, 0),
    };
    let leave = u64::from(exec.descendants == Descendants::Leave);
    let numbers =
        [u64::from(exec.stdin.is_some()), number(exec.timeout_ms), number(exec.output_limit), leave, lease, keep];
    numbers.iter().for_each(|number| put(&number.to_le_bytes()));
    // Its size is not a part of the command: the client's terminal may have another one when it asks again.
    if exec.terminal.is_some() {
        put(b"terminal");
    }
    *hasher.finalize().as_bytes()
}

fn bytes(octets: &Octets) -> &[u8] {
    octets.as_bytes()
}

/// `None` is unlike every number that somebody would choose.
fn number(value: Option<u64>) -> u64 {
    value.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(json: &str) -> Exec {
        serde_json::from_str(json).expect("a request")
    }

    #[test]
    fn what_tells_two_commands_apart_changes_the_digest() {
        let requests = [
            r#"{"id":"a","argv":["x","y"]}"#,
            r#"{"id":"a","argv":["xy"]}"#,
            r#"{"id":"a","argv":["x"],"env":[["y",""]]}"#,
            r#"{"id":"a","argv":["x","y"],"cwd":"d"}"#,
            r#"{"id":"a","argv":["x","y"],"stdin":2}"#,
            r#"{"id":"a","argv":["x","y"],"timeout_ms":5}"#,
            r#"{"id":"a","argv":["x","y"],"terminal":{"rows":24,"columns":80}}"#,
            r#"{"id":"a","argv":["x","y"],"output_limit":5}"#,
            r#"{"id":"a","argv":["x","y"],"lease":{"detach":{}}}"#,
            r#"{"id":"a","argv":["x","y"],"lease":{"keep":{"ms":1}}}"#,
            r#"{"id":"a","argv":["x","y"],"lease":{"keep":{"ms":2}}}"#,
            r#"{"id":"a","argv":["x","y"],"descendants":"leave"}"#,
        ];
        let digests: Vec<_> = requests.iter().map(|json| digest(&exec(json))).collect();
        for (number, one) in digests.iter().enumerate() {
            assert!(!digests[..number].contains(one), "{}", requests[number]);
        }
    }

    #[test]
    fn what_differs_between_two_tries_does_not() {
        let first = exec(r#"{"id":"a","argv":["x"],"stdin":2}"#);
        let again = exec(r#"{"id":"b","argv":["x"],"stdin":6,"again":{"stdout":7},"require":["lease"]}"#);
        assert_eq!(digest(&first), digest(&again));
    }

    #[test]
    fn a_terminal_of_another_size_is_the_same() {
        let sized = |rows: u16| exec(&format!(r#"{{"id":"a","argv":[],"terminal":{{"rows":{rows},"columns":80}}}}"#));
        assert_eq!(digest(&sized(24)), digest(&sized(50)));
    }
}
