//! An sshd of the test's own: in its own mount and process namespaces, with its own accounts, `/tmp` and `/dev/shm`. Nothing of
//! the machine changes, and everything ends with the fixture.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::super::run::{DEADLINE, Finished, UNGLUE, clean, finish, start, until};

/// The first account's number; the machine has no such users.
const FIRST_USER: u32 = 61_000;
/// The programs that the fixture needs.
const NEEDED: [&str; 7] = [
    "/usr/sbin/sshd",
    "/usr/bin/ssh",
    "/usr/bin/ssh-keygen",
    "/usr/bin/unshare",
    "/usr/bin/mount",
    "/usr/bin/gzip",
    "/usr/bin/flock",
];

/// An account: its name, which is also its login shell's if no other is given.
pub(super) struct Account {
    name: &'static str,
    shell: String,
    /// The password, as it is typed.
    password: Option<&'static str>,
    /// Files in the home: name and text.
    files: Vec<(&'static str, String)>,
    home: bool,
    installed: bool,
}

impl Account {
    /// With the login shell of this name.
    pub(super) fn with_shell(name: &'static str, shell: &str) -> Account {
        Account { name, shell: shell.to_owned(), password: None, files: Vec::new(), home: true, installed: true }
    }

    /// With bash.
    pub(super) fn named(name: &'static str) -> Account {
        Account::with_shell(name, "/bin/bash")
    }

    pub(super) fn file(mut self, name: &'static str, text: impl Into<String>) -> Account {
        self.files.push((name, text.into()));
        self
    }

    pub(super) fn password(self, password: &'static str) -> Account {
        Account { password: Some(password), ..self }
    }

    /// Its home isn't there.
    pub(super) fn without_home(self) -> Account {
        Account { home: false, installed: false, ..self }
    }

    /// unglue has never been used there.
    pub(super) fn fresh(self) -> Account {
        Account { installed: false, ..self }
    }
}

/// The sshd, its accounts, and a client that knows it as `box`.
pub(super) struct Site {
    directory: TempDir,
    sshd: Child,
    pub(super) port: u16,
}

/// Whether the tests of this module can run here; says so if not.
pub(super) fn possible() -> bool {
    let missing = NEEDED.into_iter().find(|program| !Path::new(program).exists());
    let why = match missing {
        Some(program) => format!("{program} is needed"),
        None if !rustix::process::geteuid().is_root() => "accounts with shells and homes of their own need root".into(),
        None if !may_unshare() => "namespaces can't be made here".into(),
        None => return true,
    };
    eprintln!("skipped: {why}");
    false
}

fn may_unshare() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let tried = Command::new("unshare").args(["-m", "-p", "-f", "--mount-proc", "true"]).status();
        tried.is_ok_and(|status| status.success())
    })
}

impl Site {
    /// With these accounts.
    pub(super) fn start(accounts: &[Account]) -> Site {
        Site::start_with(accounts, "", "")
    }

    /// With more lines of sshd's configuration, and with commands of a shell that run as root before sshd starts; there,
    /// `$HOMES` is where the homes are.
    pub(super) fn start_with(accounts: &[Account], config: &str, prepare: &str) -> Site {
        let directory = tempfile::Builder::new().prefix("unglue-ssh-").tempdir_in("/var/tmp").expect("a directory");
        let path = directory.path();
        mode(path, 0o755);
        for name in ["client", "homes"] {
            fs::create_dir(path.join(name)).expect("a directory");
        }
        for key in ["host", "id"] {
            let key = path.join(key);
            finish(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key)).expect(0);
        }
        fs::copy(path.join("id.pub"), path.join("authorized_keys")).expect("copied");
        write_accounts(path, accounts);
        // Something else may have the port before sshd does; then it ends at once.
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = listener.local_addr().expect("it has one").port();
            drop(listener);
            write_configurations(path, port, config);
            let mut sshd = start_sshd(path, port, prepare);
            let log = path.join("log");
            let comes_up = until("sshd", || match sshd.try_wait().expect("it is our child") {
                Some(_) => Some(false),
                None => fs::read_to_string(&log).is_ok_and(|log| log.contains("Server listening")).then_some(true),
            });
            if comes_up {
                return Site { directory, sshd, port };
            }
        }
        panic!("sshd doesn't start: {}", fs::read_to_string(path.join("log")).expect("a log"));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An account's home.
    pub(super) fn home(&self, account: &str) -> PathBuf {
        self.path("homes").join(account)
    }

    /// The cache of an account, where the program is uploaded to.
    pub(super) fn cache(&self, account: &str) -> PathBuf {
        self.home(account).join(".cache/unglue")
    }

    /// The directory that the program is uploaded to.
    pub(super) fn version(&self, account: &str) -> PathBuf {
        self.cache(account).join(version())
    }

    /// What sshd has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).expect("a log")
    }

    /// More lines for the client's ssh_config.
    pub(super) fn configure(&self, lines: &str) {
        let text = fs::read_to_string(self.path("ssh_config")).expect("it is there");
        fs::write(self.path("ssh_config"), format!("{lines}\n{text}")).expect("written");
    }

    /// A plain ssh, for what the other side says of itself.
    pub(super) fn ssh(&self, account: &str, text: &str) -> Finished {
        let mut ssh = clean("ssh");
        finish(ssh.arg("-F").arg(self.path("ssh_config")).arg(format!("{account}@box")).arg(text))
    }

    /// The client with these words; it knows the site's ssh configuration.
    pub(super) fn client<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = clean(UNGLUE);
        command.env("HOME", self.path("client")).current_dir(self.path("client"));
        command.env("UNGLUE_SSH", format!("ssh -F {}", self.path("ssh_config").display()));
        command.env("UNGLUE_PROGRAMS", programs()).args(words);
        command
    }

    /// `unglue exec --transport ssh ACCOUNT@box -c TEXT`
    pub(super) fn command(&self, account: &str, text: &str) -> Command {
        self.client(["exec", "--transport", "ssh", &format!("{account}@box"), "-c", text])
    }

    /// Runs it.
    pub(super) fn shell(&self, account: &str, text: &str) -> Finished {
        finish(&mut self.command(account, text))
    }

    /// Runs a command that must work and print `words`.
    #[track_caller]
    pub(super) fn works(&self, account: &str, words: &str) {
        let done = self.shell(account, &format!("echo {words}")).expect(0);
        assert_eq!((done.text(), done.stderr.as_str()), (format!("{words}\n").as_str(), ""), "{}", self.log());
    }

    /// The processes of an account behind this sshd, by their command lines, and those of the client's ssh.
    pub(super) fn processes(&self, account: &str) -> Vec<String> {
        let user = self.user(account);
        let mark = self.directory.path().display().to_string();
        let of = |process: &Path, name: &str| fs::read_link(process.join("ns").join(name)).ok();
        let behind = of(&Path::new("/proc").join(self.sshd.id().to_string()), "pid_for_children");
        let entries = fs::read_dir("/proc").expect("proc(5)").flatten();
        let found = entries.filter_map(|entry| {
            let words = fs::read(entry.path().join("cmdline")).ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let owner =
                status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.to_owned();
            let line = String::from_utf8_lossy(&words).replace('\0', " ");
            let is_client = line.starts_with("ssh ") && line.contains(&mark);
            let is_there = owner == user && of(&entry.path(), "pid") == behind;
            (is_there || is_client).then_some(line)
        });
        found.filter(|line| !line.is_empty()).collect()
    }

    /// Waits until nothing of an account runs any more, and no ssh of the client.
    #[track_caller]
    pub(super) fn quiet(&self, account: &str) {
        let started = std::time::Instant::now();
        loop {
            let left = self.processes(account);
            if left.is_empty() {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "still there: {left:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn user(&self, account: &str) -> String {
        let passwd = fs::read_to_string(self.path("passwd")).expect("it is there");
        let line = passwd.lines().find(|line| line.split(':').next() == Some(account)).expect("an account");
        line.split(':').nth(2).expect("a number").to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The namespace's first process ends with it, and everything in the namespace with that.
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

fn start_sshd(path: &Path, port: u16, prepare: &str) -> Child {
    let script = format!(
        "set -e; cd {at}; export HOMES={at}/homes
         for file in passwd shadow group; do mount --bind $file /etc/$file; done
         mkdir -p /run/sshd; mount -t tmpfs tmpfs /tmp; mount -t tmpfs tmpfs /dev/shm; chmod 1777 /tmp /dev/shm
         {prepare}
         exec /usr/sbin/sshd -D -e -p {port} -f {at}/sshd_config",
        at = path.display(),
    );
    let log = File::create(path.join("log")).expect("a log");
    let mut command = Command::new("unshare");
    command.args(["-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c", &script]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts")
}

fn write_accounts(path: &Path, accounts: &[Account]) {
    for name in ["passwd", "shadow", "group"] {
        fs::copy(Path::new("/etc").join(name), path.join(name)).expect("copied");
    }
    let add = |file: &str, line: String| {
        let mut file = File::options().append(true).open(path.join(file)).expect("it opens");
        writeln!(file, "{line}").expect("written");
    };
    for (user, account) in (FIRST_USER..).zip(accounts) {
        let (name, home) = (account.name, path.join("homes").join(account.name));
        let password = account.password.map_or("*".into(), hashed);
        add("passwd", format!("{name}:x:{user}:{user}::{}:{}", home.display(), account.shell));
        add("shadow", format!("{name}:{password}:19000:0:99999:7:::"));
        add("group", format!("{name}:x:{user}:"));
        if !account.home {
            continue;
        }
        fs::create_dir(&home).expect("a home");
        for (file, text) in &account.files {
            fs::create_dir_all(home.join(file).parent().expect("a directory")).expect("a directory");
            fs::write(home.join(file), text).expect("written");
        }
        if account.installed {
            let directory = home.join(".cache/unglue").join(version());
            fs::create_dir_all(&directory).expect("a directory");
            place(&programs().join("unglue-linux-x86_64"), &directory.join("unglue"));
        }
        own(&home, user);
    }
}

/// Gives a home and what is in it to its user; the program in it is shared with other tests, and stays as it is.
fn own(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("it is ours to give");
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => own(&entry.path(), user),
            _ if entry.file_name() == "unglue" => {}
            _ => chown(entry.path(), Some(user), Some(user)).expect("it is ours to give"),
        }
    }
}

fn hashed(password: &str) -> String {
    let done = finish(Command::new("openssl").args(["passwd", "-6", password])).expect(0);
    done.text().trim().to_owned()
}

fn write_configurations(path: &Path, port: u16, config: &str) {
    let at = path.display();
    let sshd = format!(
        "{config}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\nMaxStartups 100\n"
    );
    fs::write(path.join("sshd_config"), sshd).expect("written");
    let key = fs::read_to_string(path.join("host.pub")).expect("a key");
    fs::write(path.join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).expect("written");
    let ssh = format!(
        "Host *\n HostName 127.0.0.1\n Port {port}\n IdentityFile {at}/id\n IdentitiesOnly yes\n UserKnownHostsFile {at}/known_hosts\n GlobalKnownHostsFile none\n StrictHostKeyChecking yes\n"
    );
    fs::write(path.join("ssh_config"), ssh).expect("written");
}

pub(super) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// The directory with the program that is uploaded: the one under test without its tables for debuggers, which are most of
/// it. Made once for all tests.
pub(super) fn programs() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let changed = fs::metadata(UNGLUE).and_then(|metadata| metadata.modified()).expect("it is there");
        let since = changed.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
        fs::create_dir_all(&base).expect("a directory");
        let script = "cd \"$1\"; [ -e \"$2/done\" ] && exit; rm -rf [0-9]*; mkdir \"$2\"; cd \"$2\"
            strip -o unglue-linux-x86_64 \"$3\" 2>/dev/null || cp \"$3\" unglue-linux-x86_64
            gzip -1 -k unglue-linux-x86_64; touch done";
        let mut lock = Command::new("flock");
        lock.arg(base.join("lock")).args(["sh", "-c", script, "sh"]).arg(&base).arg(since.to_string()).arg(UNGLUE);
        finish(&mut lock).expect(0);
        base.join(since.to_string())
    })
    .clone()
}

/// `VERSION-DIGEST` of that program.
pub(super) fn version() -> String {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        let mut program = File::open(programs().join("unglue-linux-x86_64")).expect("it is there");
        std::io::copy(&mut program, &mut hasher).expect("read");
        format!("{}-{}", env!("CARGO_PKG_VERSION"), &hasher.finalize().to_hex()[..32])
    })
    .clone()
}

fn place(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).expect("copied");
    }
}

/// Starts a client and waits until `ready`; then sends the signal that Ctrl-C sends to a whole terminal's foreground.
pub(super) fn start_client(mut command: Command) -> super::super::run::Running {
    start(command.stdin(Stdio::null()))
}

/// A port that does not answer: its listener's queue is full as long as the descriptors are held.
pub(super) fn socket_with_a_full_queue() -> (u16, Vec<std::os::fd::OwnedFd>) {
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
