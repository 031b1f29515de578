//! What to do about a copy that failed, where the command line says more than the error knows.

use std::path::Path;

use unglue::{Fault, Side};

use crate::args::cp::{CpPlan, Way};
use crate::args::target::HostArg;

/// The fault with the advice that fits this command line. `port` is that of `-P`.
pub(super) fn advised(fault: Fault, plan: &CpPlan, port: Option<u16>, source: &Path) -> Fault {
    let host = HostArg { port, ..plan.host.clone() };
    if is_the_source(&fault, plan, source) && fault.errno.as_deref() == Some("EISDIR") {
        return Fault { advice: "copy a directory with -r".into(), ..fault };
    }
    let remote = match &plan.way {
        Way::Up { destination, .. } => destination,
        Way::Down { .. } => source,
    };
    let hint = port_hint(remote).or_else(|| match fault.errno.as_deref() {
        Some("ENOENT") if fault.side == Some(Side::Server) => missing_hint(plan, &host, remote),
        _ => None,
    });
    with(fault, hint)
}

/// A connection's failure, with the advice that fits this command line.
pub(super) fn unreached(fault: Fault, plan: &CpPlan) -> Fault {
    let remote = match &plan.way {
        Way::Up { destination, .. } => Some(destination),
        Way::Down { sources, .. } => sources.first(),
    };
    with(fault, remote.and_then(|remote| port_hint(remote)))
}

fn with(fault: Fault, hint: Option<String>) -> Fault {
    match hint {
        Some(hint) if fault.advice.is_empty() => fault.advise(hint),
        Some(hint) => Fault { advice: format!("{}; {hint}", fault.advice), ..fault },
        None => fault,
    }
}

/// Whether the fault is about the source, and not about what is at the destination.
fn is_the_source(fault: &Fault, plan: &CpPlan, source: &Path) -> bool {
    let there = matches!(plan.way, Way::Down { .. });
    (fault.side == Some(Side::Server)) == there && fault.path == Some(source.as_os_str().into())
}

/// A port behind the host, as other commands take it, is a part of the path here.
fn port_hint(remote: &Path) -> Option<String> {
    let text = remote.to_string_lossy();
    let (first, _) = text.split_once(':')?;
    let port: u16 = first.parse().ok()?;
    Some(format!("{port} is read as a part of the path; to set the port, write -P {port}"))
}

/// A shell would have read a path that isn't there in another way.
fn missing_hint(plan: &CpPlan, host: &HostArg, remote: &Path) -> Option<String> {
    let text = remote.to_string_lossy();
    if text.starts_with('~') {
        return Some("only ~ and ~/ are expanded: name the directory of another user by its path".into());
    }
    let Way::Down { destination, .. } = &plan.way else { return None };
    if !text.contains(['*', '?', '[']) {
        return None;
    }
    // The server's shell expands the pattern, the local one must not.
    let list = quoted(&format!("tar -cf - -- {text}"));
    Some(format!(
        "patterns are not expanded on the server; this copies what matches: unglue exec {host} -c {list} | tar -C {} -xf -",
        directory(destination)
    ))
}

fn directory(path: &Path) -> String {
    match path.as_os_str().is_empty() {
        true => ".".into(),
        false => quoted(&path.to_string_lossy()),
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    match !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        true => word.into(),
        // Names that begin with a dash are no options.
        false if word.starts_with('-') => format!("'./{}'", word.replace('\'', r"'\''")),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use unglue::Code;

    use super::*;

    fn plan(way: Way) -> CpPlan {
        CpPlan {
            host: HostArg { user: None, host: "::1".into(), port: None },
            preserve: false,
            in_place: false,
            resume: false,
            whole_file: false,
            limit: None,
            compress: Default::default(),
            explain: false,
            way,
        }
    }

    fn down(source: &str) -> CpPlan {
        plan(Way::Down { sources: vec![source.into()], destination: "to".into() })
    }

    #[test]
    fn a_directory_is_reported_with_the_flag_that_copies_it() {
        let fault = Fault::user(Code::PathRefused, "it is a directory").errno("EISDIR").at("a/x").advise("no");
        let up = plan(Way::Up { sources: vec!["a/x".into()], destination: "b".into() });
        assert_eq!(advised(fault.clone(), &up, None, "a/x".as_ref()).advice, "copy a directory with -r");
        let down = advised(fault.clone().on(Side::Server), &down("a/x"), None, "a/x".as_ref());
        assert_eq!(down.advice, "copy a directory with -r");
        // The destination holds a directory of that name.
        let fault = Fault { path: Some("b/x".into()), ..fault };
        assert_eq!(advised(fault, &up, None, "a/x".as_ref()).advice, "no");
    }

    #[test]
    fn a_pattern_is_reported_with_the_line_that_expands_it() {
        let fault = Fault::user(Code::System, "can't open").errno("ENOENT").at("logs/*.log").on(Side::Server);
        let told = advised(fault, &down("logs/*.log"), Some(1), "logs/*.log".as_ref()).advice;
        assert!(told.ends_with("unglue exec [::1]:1 -c 'tar -cf - -- logs/*.log' | tar -C to -xf -"), "{told}");
        let fault = Fault::user(Code::System, "can't open").errno("ENOENT").at("plain").on(Side::Server);
        assert_eq!(advised(fault, &down("plain"), None, "plain".as_ref()).advice, "");
    }
}
