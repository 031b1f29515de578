//! TCP or ssh: which way is taken, and what is said about it.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use unglue_testkit::port::HeldPort;

use super::super::host::Host;
use super::super::run::{finish, until};
use super::site::{Account, Site, possible, socket_with_a_full_queue, start_client};

#[test]
fn ssh_is_taken_where_tcp_is_refused_and_that_is_remembered() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let closed = HeldPort::any();
    let target = format!("ada@127.0.0.1:{}", closed.number());
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
    let closed = HeldPort::any();
    let target = format!("ada@127.0.0.1:{}", closed.number());
    let done = finish(&mut site.client(["exec", &target, "-c", "echo hi"])).expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("hi\n", ""));
}

#[test]
fn both_reasons_are_told_where_neither_way_works() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let closed = HeldPort::any();
    let target = format!("ada@127.0.0.1:{}", closed.number());
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
    assert!(!second.stderr.contains("connecting to"), "{}", second.stderr);
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
    let closed = HeldPort::any();
    let target = format!("ada@box:{}", closed.number());
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

/// The commands of README's section "Two machines", as they are printed there: nothing listens on the other side but sshd.
#[test]
fn the_first_commands_of_the_readme_need_only_sshd() {
    if !possible() {
        return;
    }
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("it is there");
    let section = readme.split("## Two machines").nth(1).and_then(|rest| rest.split("```").nth(1));
    let section = section.expect("a block of commands");
    let commands: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("unglue ")).collect();
    assert_eq!(commands.len(), 3, "{section}");
    let site = Site::start(&[Account::named("ada").fresh()]);
    site.configure("Host build.example\n User ada\n");
    fs::create_dir(site.path("client/project")).expect("a directory");
    fs::write(site.path("client/project/file"), "contents").expect("written");
    fs::write(site.path("client/release.tar"), "a release").expect("written");
    let outputs =
        commands.iter().map(|command| finish(&mut site.client(command.split(' '))).expect(0).text().to_owned());
    let outputs: Vec<String> = outputs.collect();
    assert!(outputs[0].starts_with("Linux "), "{outputs:?}");
    assert_eq!(fs::read_to_string(site.home("ada").join("release.tar")).expect("it is there"), "a release");
    assert_eq!(fs::read_to_string(site.home("ada").join("project/file")).expect("it is there"), "contents");
}

/// docs/from-ssh.md: a forwarded agent is not seen, and what it says to do instead.
#[test]
fn an_agent_is_seen_only_where_its_socket_is_forwarded() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let socket = site.path("agent");
    let agent = std::process::Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
    let mut agent = agent.expect("it starts");
    until("the agent", || socket.exists().then_some(()));
    let client = |words: &[&str]| {
        let mut command = site.client([words[0], "--transport", "ssh"]);
        command.args(&words[1..]).env("SSH_AUTH_SOCK", &socket);
        command
    };
    let option = ["exec", "--ssh-option", "ForwardAgent=yes", "ada@box", "-c", "echo ${SSH_AUTH_SOCK-none}"];
    assert_eq!(finish(&mut client(&option)).expect(0).text(), "none\n");
    let there = site.home("ada").join("agent");
    let forward = format!("{}:{}", there.display(), socket.display());
    let forwarding = start_client(client(&["forward", "-R", &forward, "ada@box"]));
    until("the socket", || there.exists().then_some(()));
    let set = format!("SSH_AUTH_SOCK={}", there.display());
    let listed = finish(&mut client(&["exec", "--env", &set, "ada@box", "ssh-add", "-l"]));
    assert!(listed.text().contains("The agent has no identities"), "{listed:?}");
    forwarding.signal(Signal::INT);
    forwarding.finish();
    let _ = agent.kill();
    let _ = agent.wait();
}
