//! A server inside the caller's runtime, with the caller's own gatekeeper, listeners and connections.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, UnixStream};
use tokio::sync::oneshot;
use unglue::identity::Login;
use unglue::{Client, Code, Denial, Exec, Fault, Gatekeeper, Peer, Policy, Principal, PublicKey, Service, Welcome};
use unglue_testkit::relay::{Break, Flow, Relay, Towards};

use crate::site::{Site, address_of, code, run, soon, within};

/// Decides as it is told.
struct Own(fn(&PublicKey) -> Result<Principal, Denial>);

impl Gatekeeper for Own {
    fn welcome(&self, principal: &Principal) -> Welcome {
        assert_ne!(principal.user, "eve", "a bug of the gatekeeper");
        Welcome {
            protocol: "unglue/1".into(),
            agent: "embedded".into(),
            user: principal.user.clone(),
            allow: Vec::new(),
            journal: None,
            accepts: Vec::new(),
        }
    }

    fn authorise(&self, login: &Login) -> Result<Principal, Denial> {
        (self.0)(login.credential.key())
    }
}

/// Serves with this gatekeeper until the sender is used or dropped; gives the address and the service's end.
async fn serve(site: &Site, own: Own) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let service = Service::new(site.server_options().gatekeeper(own)).expect("a service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (shutdown, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        service.serve(listener, async { drop(ended.await) }).await.expect("it serves");
    });
    (address, shutdown, serving)
}

#[test]
fn a_service_runs_in_the_callers_runtime_until_it_is_shut_down() {
    within(60, async || {
        let site = Site::new();
        let own = Own(|key| Ok(Principal::new("ada", Some(key.clone()), Policy::everything())));
        let (address, shutdown, serving) = serve(&site, own).await;
        let client = site.connect(address).await;
        assert_eq!(client.welcome().await.expect("it is let in").agent, "embedded");
        let running = client.exec(&Exec::shell("echo begun; sleep 0.5; exit 3")).await.expect("it starts");
        drop(shutdown);
        let done = soon(10, "the command", running.collect(100)).await;
        assert_eq!((code(&done.report), done.stdout.as_slice()), (3, b"begun\n".as_slice()));
        soon(10, "the service", serving).await.expect("no panic");
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");
    });
}

#[test]
fn a_principal_may_do_what_its_policy_allows() {
    within(60, async || {
        let site = Site::new();
        let own = Own(|key| Ok(Principal::new("ada", Some(key.clone()), Policy::default().allow_files())));
        let (address, _shutdown, _serving) = serve(&site, own).await;
        let client = site.connect(address).await;
        std::fs::write(site.local().join("file"), "content").expect("a source");
        client
            .put(unglue::Upload::file(&site.local_store(), "file"), "file", Default::default())
            .await
            .expect("files go");
        let refused = run(&client, &Exec::new(["true"])).await.report.outcome;
        assert!(format!("{refused:?}").contains("NotAllowed"), "{refused:?}");
    });
}

#[test]
fn a_lookup_that_fails_is_the_servers_failure() {
    within(60, async || {
        let site = Site::new();
        let own = Own(|_| Err(Denial::unavailable(std::io::Error::from_raw_os_error(24))));
        let (address, _shutdown, _serving) = serve(&site, own).await;
        let client = site.connect(address).await;
        let fault: Fault = soon(10, "the denial", client.welcome()).await.expect_err("nobody is let in");
        assert_eq!(fault.code, Code::System, "{fault}");
        assert!(fault.what.contains("could not look your key up"), "{fault}");
        assert!(!fault.to_string().contains("authorized_keys"), "{fault}");
    });
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_ends_one_connection_and_is_logged() {
    within(60, async || {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let site = Site::new();
        let own = Own(|key| Ok(Principal::new("ada", Some(key.clone()), Policy::everything())));
        let service = Service::new(site.server_options().gatekeeper(own)).expect("a service");
        let trusted = |user: &str| {
            let (near, far) = UnixStream::pair().expect("a pair");
            let (service, principal) = (service.clone(), Principal::new(user, None, Policy::everything()));
            let peer = Peer::Unix { uid: 1000 };
            let serving = async move { service.serve_trusted(far, peer, principal, std::future::pending()).await };
            let serving = tokio::spawn(serving);
            (Client::connect_over(near, None, &site.client_options()).expect("a link"), serving)
        };
        let (ada, _serving) = trusted("ada");
        assert_eq!(code(&run(&ada, &Exec::new(["true"])).await.report), 0);

        // Its gatekeeper panics in the connection's own task.
        let (eve, serving) = trusted("eve");
        let fault = soon(10, "the end", eve.welcome()).await.expect_err("there is no welcome");
        assert_eq!(fault.code, Code::LinkLost, "{fault}");
        soon(10, "the connection's end", serving).await.expect("no panic").expect("it is served");
        let logged = log.text();
        let line = logged.lines().find(|line| line.contains("panic")).unwrap_or_else(|| panic!("no line in {logged}"));
        assert!(line.contains("ERROR") && line.contains("unix:uid=1000"), "{line}");
        assert!(line.contains("a bug of the gatekeeper"), "{line}");

        assert_eq!(code(&run(&ada, &Exec::new(["true"])).await.report), 0, "the other connection lives");
    });
}

/// The same on a thread of the logins.
#[test]
fn a_panicking_lookup_refuses_one_login() {
    within(60, async || {
        let site = Site::new();
        let own = Own(|_| panic!("a bug in the lookup"));
        let (address, _shutdown, _serving) = serve(&site, own).await;
        for _ in 0..3 {
            let client = site.connect(address).await;
            let fault = soon(10, "the denial", client.welcome()).await.expect_err("nobody is let in");
            assert_eq!(fault.code, Code::System, "{fault}");
        }
    });
}

#[test]
fn a_ping_tells_within_a_second_that_the_network_is_gone() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        for _ in 0..3 {
            soon(5, "an answer", client.ping()).await.expect("it is alive");
        }
        relay.set_flow(Towards::Server, Flow::Silent);
        let ping = tokio::time::timeout(Duration::from_secs(1), client.ping()).await;
        assert!(ping.is_err(), "nobody could have answered");
    });
}

/// A TCP stream that ends without TLS's close may have been cut by anybody: neither end takes it for an orderly close.
#[test]
fn an_end_without_a_close_is_a_broken_link_at_both_ends() {
    within(60, async || {
        let site = Site::new();
        let daemon = crate::daemon::Daemon::start(&site);
        let relay = Relay::start(daemon.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        client.welcome().await.expect("it is let in");
        relay.break_all(Break::End);
        let ended = soon(10, "the link's end", client.ended()).await;
        assert_eq!(ended.code, Code::LinkLost, "{ended}");
        assert!(ended.what.contains("without a close"), "{ended}");
        daemon.logs(&["closed", "without a close"]).await;

        // An orderly close is told apart.
        let client = site.connect(daemon.address()).await;
        client.welcome().await.expect("it is let in");
        drop(client);
        daemon.logs(&["closed", "the other end closed the link"]).await;
        let _ = address_of(daemon.address());
    });
}
