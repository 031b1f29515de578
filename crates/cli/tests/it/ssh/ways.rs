//! TCP or ssh: which way is taken, and what is said about it.

use std::fs;
use std::net::TcpListener;

use super::super::host::Host;
use super::super::run::finish;
use super::site::{Account, Site, possible};

/// A port at which nothing listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port().to_string()
}

#[test]
fn ssh_is_taken_where_tcp_is_refused_and_that_is_remembered() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let port = closed_port();
    let target = format!("ada@127.0.0.1:{port}");
    // The keys and known hosts of TCP disturb nothing.
    let exec = || {
        let mut command = site.client(["exec", "-v", "--accept-new", &target, "-c", "echo hi"]);
        command.env("UNGLUE_IDENTITY", "/nonexistent/key").env("UNGLUE_KNOWN_HOSTS", "/nonexistent/hosts");
        let done = finish(&mut command).expect(0);
        assert_eq!(done.text(), "hi\n");
        done.stderr
    };
    let first = exec();
    assert!(first.contains("by ssh, because TCP is not possible: can't connect to 127.0.0.1"), "{first}");
    let second = exec();
    assert!(second.contains("by ssh, because TCP was not possible: can't connect to 127.0.0.1"), "{second}");
    assert!(second.contains("s ago)") && !second.contains("connecting to"), "{second}");
}

#[test]
fn nothing_is_asked_about_a_host_that_only_ssh_knows() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let target = format!("ada@127.0.0.1:{}", closed_port());
    let done = finish(&mut site.client(["exec", &target, "-c", "echo hi"])).expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("hi\n", ""));
}

#[test]
fn both_reasons_are_told_where_neither_way_works() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let target = format!("ada@127.0.0.1:{}", closed_port());
    let done =
        finish(&mut site.client(["exec", "--ssh-option", "PubkeyAuthentication=no", &target, "true"])).expect(125);
    let done = done.complains("no connection by TCP (can't connect to 127.0.0.1");
    assert!(done.stderr.contains("nor by ssh (ssh to ada@127.0.0.1, logging in:"), "{}", done.stderr);
    // What failed is not remembered as a way that works.
    assert!(!site.path("client/.cache/unglue/unreachable").exists());
}

#[test]
fn what_a_server_says_that_tcp_reaches_is_final() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let daemon = Host::start();
    let stranger = site.path("client/stranger");
    finish(site.client(["key", "init", "-f"]).arg(&stranger)).expect(0);
    let exec = |identity: &std::path::Path| {
        let mut command = daemon.client(["exec", "--transport", "auto", &daemon.target(), "true"]);
        command = Box::leak(Box::new(std::mem::replace(command, std::process::Command::new("true"))));
        command.env("UNGLUE_SSH", format!("ssh -F {}", site.path("ssh_config").display()));
        finish(command.env("UNGLUE_IDENTITY", identity))
    };
    exec(&daemon.home().join(".config/unglue/id_ed25519")).expect(0);
    let denied = exec(&stranger).expect(125);
    assert!(!denied.stderr.contains("ssh to"), "{}", denied.stderr);
    // Another key than the one that is known.
    let hosts = daemon.home().join(".config/unglue/known_hosts");
    let key = fs::read_to_string(stranger.with_extension("pub")).expect("a key");
    fs::write(&hosts, format!("[127.0.0.1]:{} {key}", daemon.port)).expect("written");
    let changed = exec(&daemon.home().join(".config/unglue/id_ed25519")).expect(125);
    assert!(!changed.stderr.contains("ssh to"), "{}", changed.stderr);
}

/// A port that drops what comes: the listener's queue is full, so that the system doesn't answer.
#[test]
fn a_port_that_does_not_answer_is_given_up_after_two_seconds_and_remembered() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let listener = socket_with_a_full_queue();
    let target = format!("ada@127.0.0.1:{}", listener.0);
    let first = finish(&mut site.client(["exec", "-v", &target, "-c", "echo hi"])).expect(0);
    assert!(first.stderr.contains("took longer than 2 s"), "{}", first.stderr);
    let second = finish(&mut site.client(["exec", "-v", &target, "-c", "echo hi"])).expect(0);
    assert!(second.stderr.contains("TCP was not possible: the TCP connection with"), "{}", second.stderr);
    assert!(second.took + std::time::Duration::from_secs(1) < first.took, "{:?} {:?}", second.took, first.took);
}

fn socket_with_a_full_queue() -> (u16, Vec<std::os::fd::OwnedFd>) {
    use rustix::net::{AddressFamily, SocketType, bind, connect, listen, socket};
    use std::net::SocketAddrV4;
    let any: SocketAddrV4 = "127.0.0.1:0".parse().expect("an address");
    let tcp = || socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let listener = tcp();
    bind(&listener, &any).expect("bound");
    listen(&listener, 0).expect("it listens");
    let address = rustix::net::getsockname(&listener).expect("an address");
    let address = SocketAddrV4::try_from(address).expect("IPv4");
    let mut held = vec![listener];
    for _ in 0..4 {
        let one = tcp();
        rustix::io::ioctl_fionbio(&one, true).expect("it doesn't block");
        let _ = connect(&one, &address);
        held.push(one);
    }
    (address.port(), held)
}

#[test]
fn the_configuration_decides_for_a_host() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let config = site.path("client/.config/unglue");
    fs::create_dir_all(&config).expect("a directory");
    let write = |text: &str| fs::write(config.join("config.toml"), text).expect("written");
    let target = format!("ada@box:{}", closed_port());
    let exec = || finish(&mut site.client(["exec", "-v", &target, "-c", "echo hi"]));
    write("[host.box]\ntransport = \"ssh\"\n");
    let done = exec().expect(0);
    assert!(done.text() == "hi\n" && !done.stderr.contains("connecting to"), "{}", done.stderr);
    write("transport = \"tcp\"\n");
    let done = exec().expect(125);
    assert!(!done.stderr.contains("ssh to"), "{}", done.stderr);
    write("transprot = \"tcp\"\n");
    exec().expect(125).complains("config.toml, line 1: unknown field `transprot`");
}
