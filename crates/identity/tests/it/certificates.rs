//! Certificates that ssh-keygen signs: what admits them, what refuses them, and hosts that show them.

use super::{has, keygen, write};
use std::path::{Path, PathBuf};
use unglue_identity::authorized_keys::{Lookup, Refused, lookup};
use unglue_identity::known_hosts::CertificateRefused;
use unglue_identity::{
    AuthorizedKeys, Certificate, CertificateError, Credential, Denied, Identity, IdentitySearch, KnownHosts, Login,
    Policy, PublicKey, RevokedKeys,
};

/// A directory with an authority and keys.
struct Workshop {
    directory: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { directory: tempfile::tempdir().expect("a directory") };
        for name in ["authority", "other", "user"] {
            workshop.key(name, &["-t", "ed25519"]);
        }
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn key(&self, name: &str, kind: &[&str]) -> PublicKey {
        keygen(["-q", "-N", "", "-C", "", "-f", &self.text(name)].iter().chain(kind));
        self.public(name)
    }

    fn public(&self, name: &str) -> PublicKey {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).expect("read").parse().expect("a key")
    }

    /// Signs a key's certificate.
    fn sign(&self, authority: &str, key: &str, options: &[&str]) -> Certificate {
        let (authority, public) = (self.text(authority), self.text(&format!("{key}.pub")));
        keygen(["-q", "-s", &authority, "-I", "an id"].iter().chain(options).chain(&[public.as_str()]));
        Certificate::from_openssh(&self.certificate_line(key)).expect("a certificate")
    }

    fn certificate_line(&self, key: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{key}-cert.pub"))).expect("read")
    }

    /// Whether a certificate of the user, with these options, may log in as `ada` by a line with these options.
    fn login(&self, line: &str, options: &[&str]) -> Result<Policy, Refused> {
        let certificate = self.sign("authority", "user", options);
        let text = format!("{line} {}\n", self.public("authority"));
        let login = Login::offer(Credential::Certificate(certificate)).from("10.0.0.1".parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        match lookup(text.as_bytes(), &login, "ada", now) {
            Lookup::Authorised { policy, .. } => Ok(*policy),
            Lookup::Refused { why, .. } => Err(why),
            Lookup::Absent { .. } => panic!("{text}"),
        }
    }
}

fn certificate_error(refused: Result<Policy, Refused>) -> CertificateError {
    match refused {
        Err(Refused::Certificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_users_certificate_is_judged_as_sshd_judges_it() {
    if !has("ssh-keygen") {
        return;
    }
    let shop = Workshop::new();
    let line = "cert-authority";
    let policy = shop.login(line, &["-n", "ada,bob"]).expect("named");
    assert!(policy.pty && policy.forward.is_allowed() && policy.files && policy.exec && policy.command.is_none());
    assert!(shop.login(line, &[]).is_ok(), "as in sshd, a certificate without names is for all");
    assert!(matches!(certificate_error(shop.login(line, &["-n", "bob"])), CertificateError::Principal { .. }));
    assert!(matches!(
        certificate_error(shop.login(line, &["-n", "ada", "-V", "20200101:20200201"])),
        CertificateError::Expired { .. }
    ));
    assert!(matches!(
        certificate_error(shop.login(line, &["-n", "ada", "-V", "+1h:+2h"])),
        CertificateError::NotYetValid { .. }
    ));
    assert!(matches!(certificate_error(shop.login(line, &["-n", "ada", "-h"])), CertificateError::Use { .. }));
    assert!(matches!(
        certificate_error(shop.login(line, &["-n", "ada", "-O", "critical:future@example.com=x"])),
        CertificateError::CriticalOption { name } if name == "future@example.com"
    ));
    assert!(shop.login(line, &["-n", "ada", "-O", "extension:future@example.com=x"]).is_ok());
    let until = shop.login(line, &["-n", "ada", "-V", "+0s:+1h"]).expect("valid").expires;
    assert!(until.is_some());
}

#[test]
fn its_options_restrict_and_so_do_those_of_the_line() {
    if !has("ssh-keygen") {
        return;
    }
    let shop = Workshop::new();
    let clear = ["-n", "ada", "-O", "clear"];
    let policy = shop.login("cert-authority", &clear).expect("admitted");
    assert!(!policy.pty && !policy.forward.is_allowed() && policy.exec);
    let policy = shop.login("cert-authority,restrict", &["-n", "ada"]).expect("admitted");
    assert!(!policy.pty && !policy.forward.is_allowed());
    let forced = ["-n", "ada", "-O", "force-command=backup"];
    let policy = shop.login("cert-authority", &forced).expect("admitted");
    assert_eq!((policy.command.as_deref(), policy.files), (Some(&b"backup"[..]), false));
    assert!(shop.login("cert-authority,command=\"backup\"", &forced).is_ok());
    assert!(matches!(shop.login("cert-authority,command=\"other\"", &forced), Err(Refused::Command)));
    for (list, admitted) in [("10.0.0.0/8", true), ("10.0.0.1,::1", true), ("11.0.0.0/8", false)] {
        let source = format!("source-address={list}");
        assert_eq!(shop.login("cert-authority", &["-n", "ada", "-O", &source]).is_ok(), admitted, "{list}");
    }
    assert!(shop.login("cert-authority,principals=\"deploy\"", &["-n", "deploy"]).is_ok());
    assert!(shop.login("cert-authority,principals=\"x,deploy\"", &["-n", "y,deploy"]).is_ok());
    for (line, named) in [("deploy", &["-n", "ada"][..]), ("dep*", &["-n", "deploy"]), ("deploy", &[])] {
        let refused = shop.login(&format!("cert-authority,principals=\"{line}\""), named);
        let for_others = matches!(refused, Err(Refused::Certificate(CertificateError::Principal { .. })));
        assert!(for_others, "names are not patterns: {line} {named:?}");
    }
    assert!(matches!(shop.login("cert-authority,from=\"11.0.0.1\"", &["-n", "ada"]), Err(Refused::From { .. })));
}

#[test]
fn another_authority_and_the_authoritys_own_key_admit_nobody() {
    if !has("ssh-keygen") {
        return;
    }
    let shop = Workshop::new();
    let certificate = shop.sign("other", "user", &["-n", "ada"]);
    let text = format!("cert-authority {}\n", shop.public("authority"));
    let login = Login::offer(Credential::Certificate(certificate.clone()));
    assert!(matches!(lookup(text.as_bytes(), &login, "ada", 1_800_000_000), Lookup::Absent { .. }));
    // A plain line with the authority's key is not about its certificates, nor is one with the user's own key.
    for plain in ["other", "user"] {
        let text = format!("{}\n", shop.public(plain));
        assert!(!matches!(lookup(text.as_bytes(), &login, "ada", 1_800_000_000), Lookup::Authorised { .. }), "{plain}");
    }
    let text = format!("cert-authority {}\n", shop.public("other"));
    let own = Login::offer(shop.public("other"));
    assert!(matches!(lookup(text.as_bytes(), &own, "ada", 0), Lookup::Refused { why: Refused::Authority, .. }));
    // A changed certificate is not one.
    let mut wire = certificate.to_wire();
    let at = wire.windows(3).position(|bytes| bytes == b"ada").expect("the name");
    wire[at] = b'e';
    assert!(matches!(Certificate::from_wire(&wire), Err(CertificateError::Signature(_))));
}

#[test]
fn every_kind_of_key_and_of_authority_works() {
    if !has("ssh-keygen") {
        return;
    }
    let shop = Workshop::new();
    let kinds = [
        ["-t", "ed25519", "-b", "256"],
        ["-t", "ecdsa", "-b", "256"],
        ["-t", "ecdsa", "-b", "384"],
        ["-t", "ecdsa", "-b", "521"],
        ["-t", "rsa", "-b", "2048"],
    ];
    for (number, kind) in kinds.iter().enumerate() {
        let (authority, user) = (format!("a{number}"), format!("u{number}"));
        let authority_key = shop.key(&authority, kind);
        let user_key = shop.key(&user, kind);
        for other in 0..=number {
            let certificate = shop.sign(&authority, &format!("u{other}"), &["-n", "ada", "-z", "7"]);
            assert_eq!((certificate.authority(), certificate.serial()), (&authority_key, 7));
        }
        let certificate = shop.sign(&authority, &user, &["-n", "ada"]);
        assert_eq!(certificate.key(), &user_key);
        assert_eq!(Certificate::from_wire(&certificate.to_wire()).as_ref(), Ok(&certificate));
        // No flipped bit leaves the same certificate.
        let wire = certificate.to_wire();
        for byte in (0..wire.len()).step_by(3) {
            let mut flipped = wire.clone();
            flipped[byte] ^= 1;
            assert!(Certificate::from_wire(&flipped).is_err(), "{kind:?} byte {byte}");
        }
    }
    // An RSA authority that signs by SHA-1 has signed nothing.
    let (authority, public) = (shop.text("a4"), shop.text("u0.pub"));
    keygen(["-q", "-s", &authority, "-t", "ssh-rsa", "-I", "x", "-n", "ada", &public]);
    let error = Certificate::from_openssh(&shop.certificate_line("u0")).expect_err("SHA-1");
    assert!(matches!(error, CertificateError::Signature(_)), "{error}");
}

#[test]
fn what_is_revoked_is_refused() {
    if !has("ssh-keygen") {
        return;
    }
    let shop = Workshop::new();
    let certificate = shop.sign("authority", "user", &["-n", "ada", "-z", "1042"]);
    let by_certificate = Credential::Certificate(certificate);
    let by_key = Credential::Key(shop.public("user"));
    let list = shop.path("revoked");
    let revokes = |credential: &Credential| RevokedKeys::at(&list).revokes(credential).expect("read");
    // Lists of keys.
    for (name, key, certificate) in [("user", true, true), ("authority", false, true), ("other", false, false)] {
        std::fs::copy(shop.path(&format!("{name}.pub")), &list).expect("copied");
        assert_eq!((revokes(&by_key), revokes(&by_certificate)), (key, certificate), "{name}");
    }
    // Revocation lists, as ssh-keygen makes them from specifications.
    let user_line = std::fs::read_to_string(shop.path("user.pub")).expect("read");
    let (sha256, sha1) = (format!("sha256: {}\n", user_line.trim()), format!("sha1: {}\n", user_line.trim()));
    for (specification, key, certificate) in [
        ("serial: 1042\n", false, true),
        ("serial: 1000-1100\n", false, true),
        ("serial: 1041\nserial: 1043\n", false, false),
        ("serial: 1001\nserial: 1010\nserial: 1042\nserial: 1043\nserial: 1050\nserial: 1055\n", false, true),
        ("id: an id\n", false, true),
        ("id: another\n", false, false),
        (sha256.as_str(), true, true),
        (sha1.as_str(), true, true),
        (user_line.as_str(), true, true),
    ] {
        write(&shop.path("specification"), specification, 0o600);
        let _ = std::fs::remove_file(&list);
        let (ca, krl, from) = (shop.text("authority.pub"), shop.text("revoked"), shop.text("specification"));
        keygen(["-q", "-k", "-f", &krl, "-s", &ca, &from]);
        assert_eq!((revokes(&by_key), revokes(&by_certificate)), (key, certificate), "{specification}");
        // ssh-keygen says the same about the certificate.
        let asked =
            super::tool("ssh-keygen", ["-Q", "-f", &krl, &shop.text("user-cert.pub")]).output().expect("it runs");
        assert_eq!(!asked.status.success(), certificate, "{specification}");
    }
    // Of another authority.
    write(&shop.path("specification"), "serial: 1042\n", 0o600);
    std::fs::remove_file(&list).expect("removed");
    keygen(["-q", "-k", "-f", &shop.text("revoked"), "-s", &shop.text("other.pub"), &shop.text("specification")]);
    assert!(!revokes(&by_certificate));
    // Cut short, it revokes everybody; so does a file that isn't there.
    let whole = std::fs::read(&list).expect("read");
    write(&list, &whole[..whole.len() - 3], 0o600);
    assert!(RevokedKeys::at(&list).revokes(&by_key).is_err());
    let keys = shop.path("keys");
    write(&keys, format!("{}\n", shop.public("user")), 0o600);
    super::chmod(shop.directory.path(), 0o700);
    let uid = rustix::process::geteuid().as_raw();
    let keys = AuthorizedKeys::new(keys, shop.directory.path(), uid);
    assert!(keys.check(&shop.public("user")).is_ok());
    let denied =
        keys.clone().revoking(Some(RevokedKeys::at(&list))).check(&shop.public("user")).expect_err("unreadable");
    assert!(matches!(denied, Denied::Unreadable { .. }) && denied.is_lookup_failure(), "{denied}");
    write(&list, user_line, 0o600);
    let denied = keys.revoking(Some(RevokedKeys::at(&list))).check(&shop.public("user")).expect_err("revoked");
    assert!(matches!(denied, Denied::Revoked { .. }) && !denied.is_lookup_failure(), "{denied}");
}

#[test]
fn a_hosts_certificate_is_judged_as_ssh_judges_it() {
    if !has("ssh-keygen") {
        return;
    }
    let shop = Workshop::new();
    let judge = |line: &str, options: &[&str], host: &str| {
        let certificate = shop.sign("authority", "user", options);
        let text = format!("{line} {}\n", shop.public("authority"));
        let known = KnownHosts::parse(Path::new("known_hosts"), text.as_bytes());
        known.lookup_certificate(host, 7227, &certificate).map(|at| at.is_some())
    };
    let host = ["-h", "-n", "build.example"];
    assert_eq!(judge("@cert-authority *.example", &host, "build.example"), Ok(true));
    assert_eq!(judge("@cert-authority [*.example]:7227", &host, "Build.Example"), Ok(true));
    assert_eq!(judge("@cert-authority [*.example]:22", &host, "build.example"), Ok(false));
    assert_eq!(judge("*.example", &host, "build.example"), Ok(false), "a plain line is not an authority");
    assert_eq!(
        judge("@cert-authority *", &["-h"], "build.example"),
        Ok(true),
        "as in ssh, without names it is for all"
    );
    assert_eq!(judge("@cert-authority *", &["-h", "-n", "*.example"], "build.example"), Ok(true));
    for (options, host) in [
        (&host[..], "other.example"),
        (&["-n", "build.example"], "build.example"),
        (&["-h", "-n", "build.example", "-V", "20200101:20200201"], "build.example"),
        (&["-h", "-n", "build.example", "-V", "+1h:+2h"], "build.example"),
        (&["-h", "-n", "build.example", "-O", "critical:x=y"], "build.example"),
    ] {
        assert!(
            matches!(judge("@cert-authority *", options, host), Err(CertificateRefused::Certificate(_))),
            "{options:?}"
        );
    }
    for revoked in ["authority", "user"] {
        let text = format!("@cert-authority * {}\n@revoked * {}\n", shop.public("authority"), shop.public(revoked));
        let known = KnownHosts::parse(Path::new("known_hosts"), text.as_bytes());
        let certificate = shop.sign("authority", "user", &host);
        let judged = known.lookup_certificate("build.example", 7227, &certificate);
        assert!(matches!(judged, Err(CertificateRefused::Revoked { .. })), "{revoked}");
    }
}

#[test]
fn a_certificate_beside_a_key_and_one_in_the_agent_are_tried_first() {
    if !super::agent::installed() {
        return;
    }
    let shop = Workshop::new();
    std::fs::create_dir(shop.path(".ssh")).expect("made");
    shop.key(".ssh/id_ed25519", &["-t", "ed25519"]);
    let certificate = shop.sign("authority", ".ssh/id_ed25519", &["-n", "ada"]);
    let mut search = IdentitySearch { home: Some(shop.directory.path().to_owned()), ..Default::default() };
    let shown =
        |search: &IdentitySearch| search.find().expect("found").iter().map(Identity::credential).collect::<Vec<_>>();
    let expected = [certificate.to_openssh(), shop.public(".ssh/id_ed25519").to_openssh()];
    assert_eq!(shown(&search), expected);
    let agent = super::agent::RunningAgent::start();
    agent.add(&[], &shop.path(".ssh/id_ed25519"));
    std::fs::remove_file(shop.path(".ssh/id_ed25519")).expect("removed");
    search.agent = Some(agent.client());
    let found = search.find().expect("found");
    assert_eq!(found.len(), 2);
    for identity in found {
        let blob = identity.prove(b"ada", &[5; 32], &|_| None).expect("signed");
        let proven = unglue_identity::proof::check(&blob, b"ada", &[5; 32]).expect("it holds");
        assert_eq!(proven.key, *certificate.key());
    }
}
