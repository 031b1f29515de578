//! The names of signals, as signal(7) has them on Linux.
//!
//! A signal travels by name, since numbers differ between systems. A real-time signal is `SIGRTMIN+n`, counted from
//! 34 as glibc does.

const NAMES: [(i32, &str); 31] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (17, "SIGCHLD"),
    (18, "SIGCONT"),
    (19, "SIGSTOP"),
    (20, "SIGTSTP"),
    (21, "SIGTTIN"),
    (22, "SIGTTOU"),
    (23, "SIGURG"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (28, "SIGWINCH"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
    (31, "SIGSYS"),
];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The name of a signal's number; `SIG` and the number for one that has no name.
///
/// ```
/// assert_eq!(unglue_proto::signal::name(9), "SIGKILL");
/// assert_eq!(unglue_proto::signal::name(36), "SIGRTMIN+2");
/// ```
pub fn name(number: i32) -> String {
    match NAMES.iter().find(|(n, _)| *n == number) {
        Some((_, name)) => (*name).to_owned(),
        None if (RTMIN..=RTMAX).contains(&number) => format!("SIGRTMIN+{}", number - RTMIN),
        None => format!("SIG{number}"),
    }
}

/// The number of a signal's name, as [`name`] writes it; `None` for one that this system doesn't know.
pub fn number(name: &str) -> Option<i32> {
    if let Some((number, _)) = NAMES.iter().find(|(_, n)| *n == name) {
        return Some(*number);
    }
    let number = match name.strip_prefix("SIGRTMIN+") {
        Some(offset) => RTMIN.checked_add(offset.parse().ok()?)?,
        None => name.strip_prefix("SIG")?.parse().ok()?,
    };
    (1..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_numbers_are_inverse() {
        for number in 1..=64 {
            assert_eq!(super::number(&super::name(number)), Some(number));
        }
        assert_eq!(super::number("SIGRTMIN+99"), None);
        assert_eq!(super::number("KILL"), None);
    }
}
