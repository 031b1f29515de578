//! Why ssh gave no connection: at which stage, what happened, and what to do about it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use unglue_proto::{Code, Fault};

use super::conversation::Break;
use crate::client::NotConnected;

/// The stages of a connection by ssh, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// ssh is started.
    Start,
    /// ssh connects and logs in, and the other side's login shell starts.
    Login,
    /// The other side says what it is.
    Probe,
    /// The program is sent.
    Upload,
    /// The program starts.
    Run,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Start => "starting ssh",
            Stage::Login => "logging in",
            Stage::Probe => "looking at the other side",
            Stage::Upload => "uploading the program",
            Stage::Run => "starting the program",
        }
    }
}

/// What to try instead, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The login shell may allow no paths.
    ByName,
    /// The program that is there may be damaged, or of another machine.
    Again,
}

/// A connection that came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    stage: Stage,
    code: Code,
    what: String,
    advice: String,
    pub(super) retry: Option<Retry>,
}

impl Failure {
    pub(super) fn new(stage: Stage, what: impl Into<String>, advice: impl Into<String>) -> Failure {
        Failure { stage, code: Code::Unreachable, what: what.into(), advice: advice.into(), retry: None }
    }

    pub(super) fn code(self, code: Code) -> Failure {
        Failure { code, ..self }
    }

    pub(super) fn retry(self, retry: Retry) -> Failure {
        Failure { retry: Some(retry), ..self }
    }

    /// With the name of the other side.
    pub(super) fn at(self, name: &str) -> NotConnected {
        match self.code {
            // The network, the other machine, or what ssh does not tell.
            Code::Unreachable | Code::TimedOut | Code::LinkLost | Code::System => {
                NotConnected::Passing(self.into_fault(name))
            }
            _ => NotConnected::Lasting(self.into_fault(name)),
        }
    }

    pub(super) fn into_fault(self, name: &str) -> Fault {
        let stage = self.stage.name();
        Fault::system(self.code, format!("ssh to {name}, {stage}: {}", self.what)).advise(self.advice)
    }
}

/// What there is to say about a connection that broke.
pub(super) struct Scene<'a> {
    /// How to try the same by hand: `ssh HOST`.
    pub(super) by_hand: &'a str,
    /// The last lines of standard error.
    pub(super) lines: &'a [String],
    /// What the other side printed instead of the marker.
    pub(super) noise: &'a str,
}

impl Scene<'_> {
    /// What ssh, or the other side's shell, has to say: the last line that says more than that the connection is closed.
    fn said(&self) -> Option<&str> {
        let closing = |line: &&String| line.starts_with("Connection to ") && line.ends_with(" closed.");
        self.lines.iter().rev().find(|line| !closing(line)).map(String::as_str)
    }

    /// A break before the marker.
    pub(super) fn login(&self, broken: Break) -> Failure {
        match broken {
            Break::Late(limit) => self.silent(limit.as_secs_f64()),
            Break::Flood => Failure::new(
                Stage::Login,
                "the other side's login script prints without an end",
                "have it print nothing where there is no terminal",
            ),
            Break::Ended(status) => match status.and_then(|status| status.code()) {
                Some(255) | None => self.ssh_failed(status),
                Some(code) => self.shell_ended(code),
            },
        }
    }

    fn silent(&self, seconds: f64) -> Failure {
        let what = match self.noise {
            "" => format!("nothing came from the other side's shell within {seconds:.0} s"),
            noise => format!("the other side's login script printed {noise:?}, and ran nothing for {seconds:.0} s"),
        };
        let by_hand = self.by_hand;
        let advice = format!(
            "look at what {by_hand} true does: it must end without a question. A login script that asks or waits belongs behind a test for a terminal ([ -t 0 ])"
        );
        Failure::new(Stage::Login, what, advice).code(Code::TimedOut)
    }

    /// The status 255 is ssh's own.
    fn ssh_failed(&self, status: Option<ExitStatus>) -> Failure {
        let how = match status {
            Some(status) => status.signal().map_or_else(
                || format!("ssh ended with status {}", status.code().unwrap_or(255)),
                |signal| format!("ssh was ended by signal {signal}"),
            ),
            None => String::from("ssh closed its output"),
        };
        let said = self.said().unwrap_or_default();
        let what = if said.is_empty() { how } else { format!("{how}: {said}") };
        let (code, advice) = self.advice_for_ssh();
        Failure::new(Stage::Login, what, advice).code(code)
    }

    fn advice_for_ssh(&self) -> (Code, String) {
        let all = self.lines.join("\n");
        let has = |words: &str| all.contains(words);
        let by_hand = self.by_hand;
        if has("Host key verification failed") || has("HOST IDENTIFICATION HAS CHANGED") {
            let advice = match has("HAS CHANGED") {
                true => format!(
                    "the host key is another one than in ssh's known_hosts: find out why before you run {by_hand} again"
                ),
                false => format!("run {by_hand} once, and compare the host key's fingerprint"),
            };
            return (Code::UntrustedHost, advice);
        }
        if has("Permission denied") || has("Too many authentication failures") {
            return (
                Code::Denied,
                format!("make {by_hand} log in first: a key in authorized_keys there, or a terminal for the password"),
            );
        }
        if has("Could not resolve hostname") {
            return (Code::Unreachable, String::from("check the host's name"));
        }
        (Code::Unreachable, format!("{by_hand} true shows the same; ssh -v shows more"))
    }

    /// The login shell, or what stands in its place, ended and did not run the script.
    fn shell_ended(&self, code: i32) -> Failure {
        let said = [self.noise, self.said().unwrap_or_default()].into_iter().find(|said| !said.is_empty());
        let said = said.map(|said| format!(", and printed {said:?}")).unwrap_or_default();
        let by_hand = self.by_hand;
        let what = format!("the other side ended with status {code} and ran nothing{said}");
        let advice = format!(
            "{by_hand} echo works must print works: the account's shell (nologin?), a ForceCommand of sshd, or command= in authorized_keys is in the way"
        );
        let failure = Failure::new(Stage::Login, what, advice);
        match code {
            1 | 2 | 126 | 127 => failure.retry(Retry::ByName),
            _ => failure,
        }
    }

    /// A break after the marker.
    pub(super) fn later(&self, stage: Stage, broken: Break) -> Failure {
        let said = self.said().map(|said| format!(": {said}")).unwrap_or_default();
        let what = match broken {
            Break::Late(limit) => format!("no answer within {:.0} s{said}", limit.as_secs_f64()),
            Break::Flood => String::from("the answer has no end"),
            Break::Ended(Some(status)) => match (status.code(), status.signal()) {
                (_, Some(signal)) => format!("ssh was ended by signal {signal}{said}"),
                (Some(255), _) => format!("ssh lost the connection{said}"),
                (code, _) => format!("the other side ended with status {}{said}", code.unwrap_or(255)),
            },
            Break::Ended(None) => format!("the connection ended{said}"),
        };
        let advice = match stage {
            Stage::Upload => "try again; what had arrived is removed",
            _ => "try again; ssh -v shows more about the connection",
        };
        Failure::new(stage, what, advice).code(Code::LinkLost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene<'a>(lines: &'a [String], noise: &'a str) -> Scene<'a> {
        Scene { by_hand: "ssh host", lines, noise }
    }

    fn ended(code: i32) -> Break {
        Break::Ended(Some(ExitStatus::from_raw(code << 8)))
    }

    #[test]
    fn each_failure_names_its_stage_what_was_said_and_what_to_do() {
        let lines = ["Permission denied (publickey).".to_owned()];
        let fault = scene(&lines, "").login(ended(255)).into_fault("ada@host");
        assert_eq!(fault.code, Code::Denied);
        assert!(
            fault.what.starts_with("ssh to ada@host, logging in: ssh ended with status 255: Permission denied"),
            "{fault}"
        );
        let lines = ["Host key verification failed.".to_owned()];
        assert_eq!(scene(&lines, "").login(ended(255)).into_fault("host").code, Code::UntrustedHost);
        let fault = scene(&[], "This account is currently not available.").login(ended(1)).into_fault("host");
        assert!(fault.what.contains("not available") && fault.advice.contains("nologin"), "{fault}");
        let lines = ["x: version `GLIBC_2.99' not found".to_owned(), "Connection to host closed.".to_owned()];
        let fault = scene(&lines, "").later(Stage::Run, ended(1)).into_fault("host");
        assert!(fault.what.contains("starting the program") && fault.what.contains("GLIBC_2.99"), "{fault}");
    }
}
