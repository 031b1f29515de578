//! `unglue forward`, and `-L`, `-R`, `-D` of `unglue exec`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use unglue_testkit::port::HeldPort;

use super::host::Host;
use super::run::{finish, until};

/// A listener that sends back what each connection sends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut writing = tcp.try_clone().expect("a descriptor");
                let _ = std::io::copy(&mut &tcp, &mut writing);
                let _ = writing.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// What comes back, or why nothing does.
fn exchange(at: &str, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(at)?;
    tcp.write_all(sent)?;
    tcp.shutdown(Shutdown::Write)?;
    let mut came = Vec::new();
    tcp.read_to_end(&mut came)?;
    Ok(came)
}

/// `unglue forward` under way; killed when it is dropped.
struct Forwarding {
    child: Child,
    /// The places in the lines that it wrote.
    at: Vec<String>,
}

impl Forwarding {
    fn start(host: &Host, flags: &[&str]) -> Forwarding {
        let count = flags.iter().filter(|flag| ["-L", "-R", "-D"].contains(flag)).count();
        let command = host.client(["forward"]).args(flags).arg(host.target());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let at = (0..count).map(|_| {
            let line = lines.next().expect("a line").expect("text");
            let place = line.split_once("listens on ").expect(&line).1.split([',', ' ']).next();
            place.expect("a place").to_owned()
        });
        let at = at.collect();
        thread::spawn(move || lines.for_each(drop));
        Forwarding { child, at }
    }

    /// Its exit code after a signal.
    fn ended_by(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
        until("its end", || self.child.try_wait().expect("a child of ours")).code()
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ports_are_forwarded_until_ctrl_c() {
    let (host, echo) = (Host::start(), echo());
    let (to, socket) = (format!("0:{echo}"), host.home().join("socket"));
    let to_socket = format!("{}:{echo}", socket.display());
    let mut forwarding = Forwarding::start(&host, &["-L", &to, "-R", &to, "-D", "127.0.0.1:0", "-L", &to_socket]);
    // The socket's place and the proxy come last.
    assert!(forwarding.at.contains(&socket.display().to_string()), "{:?}", forwarding.at);
    let sent = vec![9; 1 << 20];
    for at in forwarding.at.iter().filter(|at| at.starts_with("127.0.0.1")).take(1) {
        assert_eq!(exchange(at, &sent).expect("an echo").len(), sent.len());
    }
    let mut stdout = forwarding.child.stdout.take().expect("a pipe");
    assert_eq!(forwarding.ended_by(Signal::INT), Some(0));
    let mut printed = String::new();
    stdout.read_to_string(&mut printed).expect("read");
    assert_eq!(printed, "");
    assert!(!socket.exists());
}

#[test]
fn a_program_runs_meanwhile_and_its_exit_code_is_the_result() {
    let (host, echo) = (Host::start(), echo());
    let socket = host.home().join("s");
    let to = format!("{}:{echo}", socket.display());
    let run = |program: &[&str]| finish(host.client(["forward", "-L", &to, &host.target(), "--"]).args(program));
    let check = format!("test -S {} && exit 7", socket.display());
    run(&["sh", "-c", &check]).expect(7);
    run(&["sh", "-c", "kill -TERM $$"]).expect(143);
    run(&["no-such-program"]).expect(127);
    assert!(!socket.exists());
}

#[test]
fn sigterm_goes_to_the_program() {
    let (host, echo) = (Host::start(), echo());
    let ready = host.home().join("ready");
    let script = format!("trap 'exit 9' TERM; touch {}; while :; do sleep 0.05; done", ready.display());
    let words = ["forward", "-L", &format!("0:{echo}"), &host.target(), "--", "sh", "-c", &script];
    let mut child = host.client(words).stderr(Stdio::null()).spawn().expect("it starts");
    until("the program's start", || ready.exists().then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it lives");
    assert_eq!(until("its end", || child.try_wait().expect("a child of ours")).code(), Some(9));
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let host = Host::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address");
    for flag in ["-L", "-R"] {
        let finished = finish(host.client(["forward", flag, &format!("{at}:localhost:1"), &host.target()]));
        let said = finished.expect(125).stderr;
        assert!(said.starts_with("unglue: ") && said.contains(&at.to_string()) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn what_the_server_does_not_allow_is_refused() {
    let host = Host::start_with(&["--allow", "exec,files"]);
    let finished = finish(host.client(["forward", "-R", "0:localhost:1", &host.target()]));
    finished.complains("--allow forward");
}

#[test]
fn a_command_may_have_ports_too() {
    let (host, echo) = (Host::start(), echo());
    let socket = host.home().join("there");
    // The command finds the socket that the server listens on for it.
    let remote = format!("{}:{echo}", socket.display());
    let check = format!("test -S {} && echo it is there", socket.display());
    let finished = finish(host.client(["exec", "-R", &remote, &host.target(), "-c", &check]));
    assert_eq!(finished.expect(0).stdout, b"it is there\n");
    until("the file's removal", || (!socket.exists()).then_some(()));
}

#[test]
fn the_same_semantics_as_ssh() {
    // What ssh does with a closed target: the connection is accepted, and then ends without a byte.
    let host = Host::start();
    let closed = HeldPort::any();
    let forwarding = Forwarding::start(&host, &["-L", &format!("127.0.0.1:0:{}", closed.address())]);
    let came = exchange(&forwarding.at[0], b"");
    assert!(came.as_ref().map_or(true, Vec::is_empty), "{came:?}");
}
