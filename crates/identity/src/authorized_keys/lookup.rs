//! What the text of a file says about a login: the decision, without reading anything.

use super::line::Line;
use super::options::Options;
use crate::addresses;
use crate::certificate::{Certificate, CertificateError, CertificateUse};
use crate::key::PublicKeyText;
use crate::login::Login;
use crate::policy::Policy;
use std::net::IpAddr;

/// The longest line that is looked at: sshd's limit for a public key.
const MAX_LINE: usize = 16 * 1024;

/// What a file's text says about a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A line admits it.
    Authorised {
        /// Its number, from 1.
        line: usize,
        /// What follows the key.
        comment: String,
        /// What it allows.
        policy: Box<Policy>,
    },
    /// A line bears the key, or the authority of the certificate, and no line admits it.
    Refused {
        /// The first such line's number, from 1.
        line: usize,
        /// Why it does not.
        why: Refused,
    },
    /// No line bears the key, or makes the certificate's authority one.
    Absent {
        /// The numbers of malformed lines, from 1.
        malformed: Vec<usize>,
    },
}

/// Why a line that bears a key does not admit a login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It has an option that can't be enforced.
    #[error("its option {name:?} admits nobody: {why}. Correct or remove the option")]
    Option {
        /// The option's name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The line is about an authority, and the login is by the authority's key itself.
    #[error(
        "it is a cert-authority line, and the client showed no certificate. Log in with one, or add a line without that option"
    )]
    Authority,
    /// It names principals, and isn't about an authority.
    #[error("its option principals= is for cert-authority lines only. Remove it, or add cert-authority")]
    Principals,
    /// Its time is over.
    #[error("it expired {seconds} s ago (expiry-time=). Give it a later time to admit the key")]
    Expired {
        /// How many seconds ago.
        seconds: u64,
    },
    /// It is for other addresses.
    #[error("its option from= does not list the client's address {}", text(.address))]
    From {
        /// The client's address, if it has one.
        address: Option<IpAddr>,
    },
    /// The certificate is for other addresses.
    #[error("the certificate's source-address does not hold the client's address {}", text(.address))]
    SourceAddress {
        /// The client's address, if it has one.
        address: Option<IpAddr>,
    },
    /// The certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate and the line force different commands.
    #[error("the certificate forces another command than its option command=")]
    Command,
    /// The authenticator was not touched.
    #[error("the authenticator reports no touch. Touch it, or add no-touch-required to the line")]
    Touch,
    /// The authenticator did not check who touched it.
    #[error("the authenticator reports that it did not check a PIN or a fingerprint, which verify-required asks for")]
    Verify,
}

fn text(address: &Option<IpAddr>) -> String {
    address.map_or_else(|| "(none)".to_owned(), |address| address.to_string())
}

/// Looks a login as `user` up in the text of a file, at the time `now` in seconds since 1970. As in sshd, the first line that
/// admits it decides what it may do; lines that refuse it are passed over.
pub fn lookup(text: &[u8], login: &Login, user: &str, now: u64) -> Lookup {
    let mut malformed = Vec::new();
    let mut refused = None;
    for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let parsed = if bytes.len() > MAX_LINE { Err("it is too long") } else { Line::parse(bytes) };
        match parsed {
            Ok(Some(found)) if bears(&found, login) => match admit(&found, login, user, now) {
                Ok(options) => return decide(line, found, &options, login),
                Err(why) => refused = refused.or(Some(Lookup::Refused { line, why })),
            },
            Ok(_) => {}
            Err(why) => {
                tracing::debug!(line, why, "a line of authorized_keys is malformed");
                malformed.push(line);
            }
        }
    }
    refused.unwrap_or(Lookup::Absent { malformed })
}

/// Whether the line has the key, or the authority of the certificate.
fn bears(line: &Line, login: &Login) -> bool {
    let wanted = login.credential.certificate().map_or(login.credential.key(), Certificate::authority);
    let about_authority = line.options.as_ref().is_ok_and(|options| options.authority);
    matches!(&line.key, PublicKeyText::Key(key) if key == wanted)
        && (login.credential.certificate().is_none() || about_authority)
}

/// What the line allows, before what a signature must have.
fn admit(line: &Line, login: &Login, user: &str, now: u64) -> Result<Options, Refused> {
    let options = line.options.clone().map_err(|bad| Refused::Option { name: bad.name, why: bad.why })?;
    let certificate = login.credential.certificate();
    match () {
        () if certificate.is_none() && options.authority => return Err(Refused::Authority),
        () if options.principals.is_some() && !options.authority => return Err(Refused::Principals),
        () => {}
    }
    if let Some(expired) = options.expires.filter(|&expires| expires < now) {
        return Err(Refused::Expired { seconds: now - expired });
    }
    if let Some(list) = &options.from {
        let admitted = login.address.is_some_and(|address| addresses::list_admits(list, address));
        if !admitted {
            return Err(Refused::From { address: login.address });
        }
    }
    match certificate {
        Some(certificate) => with_certificate(options, certificate, login.address, user, now),
        None => Ok(options),
    }
}

fn with_certificate(
    options: Options,
    certificate: &Certificate,
    address: Option<IpAddr>,
    user: &str,
    now: u64,
) -> Result<Options, Refused> {
    certificate.check(CertificateUse::User, now)?;
    let named = |name: &[u8]| certificate.principals().any(|principal| principal == name);
    let fits = match &options.principals {
        // The names have no wildcards.
        Some(list) => list.split(|&byte| byte == b',').any(named),
        // As in sshd, a certificate that names nobody is for everybody that the line is for.
        None => certificate.principals().next().is_none() || named(user.as_bytes()),
    };
    if !fits {
        return Err(CertificateError::Principal { name: user.to_owned() }.into());
    }
    let both = options.and(Options::of_certificate(certificate)?).ok_or(Refused::Command)?;
    match &both.networks {
        Some(list) if addresses::networks_hold(list, address) != Some(true) => Err(Refused::SourceAddress { address }),
        _ => Ok(both),
    }
}

/// The first line that admits the key decides, even if its signature lacks what the line asks for.
fn decide(line: usize, found: Line, options: &Options, login: &Login) -> Lookup {
    let refused = |why| Lookup::Refused { line, why };
    if let Some(presence) = login.presence.filter(|_| login.proved) {
        match () {
            () if !presence.touched && !options.no_touch => return refused(Refused::Touch),
            () if !presence.verified && options.verify => return refused(Refused::Verify),
            () => {}
        }
    }
    let until =
        login.credential.certificate().map(|certificate| certificate.validity().1).filter(|&end| end != u64::MAX);
    Lookup::Authorised { line, comment: found.comment, policy: Box::new(options.policy(until)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;

    fn key(seed: u8) -> PublicKey {
        crate::PrivateKey::from_seed(&[seed; 32]).public_key()
    }

    fn look(text: &str, seed: u8) -> Lookup {
        lookup(text.as_bytes(), &Login::offer(key(seed)).from("10.0.0.1".parse().ok()), "ada", 1000)
    }

    fn line_of(lookup: &Lookup) -> Option<usize> {
        match lookup {
            Lookup::Authorised { line, .. } => Some(*line),
            _ => None,
        }
    }

    #[test]
    fn a_plain_line_admits_its_key_only() {
        let text = format!("# keys\n\n{} ada\n{}\r\n", key(1), key(2));
        let policy = Box::new(Policy::everything());
        assert_eq!(look(&text, 1), Lookup::Authorised { line: 3, comment: "ada".into(), policy });
        assert_eq!(line_of(&look(&text, 2)), Some(4));
        assert_eq!(look(&text, 3), Lookup::Absent { malformed: vec![] });
    }

    #[test]
    fn options_allow_and_refuse() {
        let policy = |options: &str| match look(&format!("{options} {}\n", key(1)), 1) {
            Lookup::Authorised { policy, .. } => Ok(*policy),
            Lookup::Refused { why, .. } => Err(why),
            Lookup::Absent { .. } => panic!("{options}"),
        };
        let forced = policy("command=\"ls -l\",no-pty").expect("admitted");
        assert_eq!(forced.command.as_deref(), Some(&b"ls -l"[..]));
        assert!(forced.exec && !forced.files && !forced.pty && forced.forward.is_allowed());
        let restricted = policy("restrict").expect("admitted");
        assert!(restricted.exec && restricted.files && !restricted.pty && !restricted.forward.is_allowed());
        assert!(policy("restrict,pty").expect("admitted").pty);
        assert!(policy("from=\"10.0.0.0/8\"").is_ok());
        assert!(matches!(policy("from=\"11.0.0.0/8\""), Err(Refused::From { .. })));
        assert!(matches!(policy("expiry-time=\"19700102Z\""), Ok(Policy { expires: Some(86400), .. })));
        assert!(matches!(policy("cert-authority"), Err(Refused::Authority)));
        assert!(matches!(policy("principals=\"a\""), Err(Refused::Principals)));
        assert!(matches!(policy("future"), Err(Refused::Option { .. })));
        let ports = policy("permitopen=\"db:5432\",permitlisten=\"80\"").expect("admitted").forward;
        assert!(ports.may_open("db", 5432) && !ports.may_open("db", 22) && ports.may_listen("*", 80));
    }

    #[test]
    fn the_first_line_that_admits_decides() {
        let plain = key(1).to_openssh();
        for refusing in ["cert-authority", "future", "from=\"11.0.0.1\"", "principals=\"x\""] {
            assert_eq!(line_of(&look(&format!("{refusing} {plain}\n{plain}\n"), 1)), Some(2), "{refusing}");
        }
        assert_eq!(line_of(&look(&format!("restrict {plain}\n{plain}\n"), 1)), Some(1));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_authorises_nobody(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let found = lookup(&text, &Login::offer(key(1)), "ada", 0);
            proptest::prop_assert_eq!(line_of(&found), None);
        }
    }

    #[test]
    fn malformed_and_endless_lines_are_skipped_and_counted() {
        let long = format!("{} {}", key(1), "x".repeat(MAX_LINE));
        let text = format!("nonsense\n{long}\nssh-dss AAAAB3NzaC1kc3MAAAAB other kind\n{}", key(2));
        assert_eq!(look(&text, 1), Lookup::Absent { malformed: vec![1, 2] });
        assert_eq!(line_of(&look(&text, 2)), Some(4));
    }
}
