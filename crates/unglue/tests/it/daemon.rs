//! A server in a process of its own: to be measured, killed, and read the log of.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use unglue::{Server, ServerOptions, SupervisorCommand};
use unglue_testkit::port::HeldPort;

use crate::site::{Site, eventually};
use crate::tree;

/// Names the site of a process that is to become a server.
const VARIABLE: &str = "UNGLUE_TEST_DAEMON";

/// Where it is to listen.
const ADDRESS: &str = "UNGLUE_TEST_ADDRESS";

/// What stands before the address that a server prints.
const LISTENING: &str = "listening on ";

/// Not a test of its own: the server's process.
#[test]
fn server() {
    let Some(directory) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(log)).init();
    let options = ServerOptions::default()
        .listen(std::env::var(ADDRESS).expect("an address"))
        .root(directory.join("root"))
        .state(directory.join("state"))
        .host_key(directory.join("host_key"))
        .authorized_keys(directory.join("authorized_keys"))
        .supervisor(SupervisorCommand::from_test("supervisor"));
    let server = Server::start(options).expect("the server starts");
    println!("\n{LISTENING}{}", server.address());
    // It ends with the test that started it, however that ends.
    let _ = std::io::stdin().read_line(&mut String::new());
    std::process::exit(0);
}

/// An address that nothing else takes while this test lives, also while no server is there.
fn own_address() -> SocketAddr {
    static HELD: Mutex<Vec<HeldPort>> = Mutex::new(Vec::new());
    let port = HeldPort::any();
    let address = port.address();
    HELD.lock().expect("no panic").push(port);
    address
}

/// The process; killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(site: &Site) -> Daemon {
        Daemon::start_as(site.path("").as_path(), &[])
    }

    /// Starts it where another one was.
    pub(crate) fn start_at(site: &Site, address: SocketAddr) -> Daemon {
        Daemon::spawn(site.path("").as_path(), &[], Some(address))
    }

    /// Starts it behind a prefix of words, such as a program that changes what surrounds it.
    pub(crate) fn start_as(directory: &Path, prefix: &[&str]) -> Daemon {
        Daemon::spawn(directory, prefix, None)
    }

    fn spawn(directory: &Path, prefix: &[&str], address: Option<SocketAddr>) -> Daemon {
        let address = address.unwrap_or_else(own_address);
        let this = std::env::current_exe().expect("this binary");
        let mut words = prefix.iter().map(Into::into).chain([this.into_os_string()]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["daemon::server", "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, directory)
            .env(ADDRESS, address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server's process starts");
        let printed = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = printed.lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix(LISTENING)?.parse().ok());
        Daemon { child, address: address.expect("the server says where it listens"), log: directory.join("log") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// How many lines of the log hold all these words.
    pub(crate) fn logged(&self, words: &[&str]) -> usize {
        self.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// Waits for a line of the log that holds all these words.
    pub(crate) async fn logs(&self, words: &[&str]) {
        eventually(5, &format!("a line with {words:?} in\n{}", self.log()), || self.logged(words) > 0).await;
    }

    /// As [`Daemon::logs`], for what takes longer.
    pub(crate) async fn logs_within(&self, seconds: u64, words: &[&str]) {
        eventually(seconds, &format!("a line with {words:?}"), || self.logged(words) > 0).await;
    }

    /// Memory of its own that the server and its helpers have in use, in bytes; commands don't count. Pages of the
    /// binary, which all of them share, don't count either.
    pub(crate) fn memory(&self) -> u64 {
        let server = self.child.id() as i32;
        let helper = |pid: &i32| tree::command_line(*pid).starts_with(b"unglue\0");
        let helpers = tree::descendants(server).into_iter().filter(helper);
        helpers.chain([server]).map(tree::anonymous_memory).sum()
    }

    /// The process id of the server.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// How many threads the server's own process has.
    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives").count()
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
