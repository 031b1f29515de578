"""The rival: an sshd of our own on a free loopback port, with throw-away keys, as the user who runs the script."""

import contextlib
import math
import os
import pwd
import shutil
import socket
import time
from pathlib import Path

from .processes import INSTALL, Failed, Runner, spawn, stop

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr")

# An empty home: what the measuring user's own ~/.bashrc costs (bash reads it under sshd) is no fault of ssh's.
SERVER = """\
ListenAddress {address}:{port}
HostKey {keys}/host
AuthorizedKeysFile {keys}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp internal-sftp
LogLevel ERROR
SetEnv HOME={keys}/home
"""

# Which server and which key: every other setting is OpenSSH's own default.
CLIENT = """\
Host bench
    HostName {address}
    Port {port}
    User {user}
    IdentityFile {keys}/user
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {keys}/known_hosts_ssh
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
"""


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def user_name() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def make_keys(directory: Path):
    """A host key and a user's key, ed25519, and the authorized_keys that admits the user's. Both servers use them."""
    runner = Runner(directory)
    for name in ("host", "user"):
        runner.time(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(directory / name)])
    authorized = directory / "authorized_keys"
    authorized.write_text((directory / "user.pub").read_text())
    authorized.chmod(0o600)


def known_hosts_line(directory: Path, port: int, address="127.0.0.1") -> str:
    kind, key = (directory / "host.pub").read_text().split()[:2]
    return f"[{address}]:{port} {kind} {key}\n"


class OpenSsh:
    """A running sshd, and how to reach it."""

    def __init__(self, directory: Path, config: Path, port: int):
        self.directory, self.port = directory, port
        self.config = config
        self.runner = Runner(directory)

    def argv(self, *remote, cipher=None, options=()) -> list:
        """`ssh bench REMOTE…`; the cipher is ssh's own choice unless given."""
        chosen = ["-c", cipher] if cipher else []
        return ["ssh", "-F", str(self.config), *chosen, *options, "bench", *remote]

    def remote_shell(self, cipher) -> str:
        """What `rsync -e` takes."""
        return f"ssh -F {self.config} -c {cipher}"

    def fastest_cipher(self, megabytes=256, rounds=3) -> str:
        """The fastest cipher on this machine, by a short probe: aes128-gcm, unless another beats it clearly."""
        offered = self.runner.output(["ssh", "-Q", "cipher"]).split()
        best = {}
        for cipher in [cipher for cipher in CIPHERS if cipher in offered] * rounds:
            command = self.argv(f"head -c {megabytes}M /dev/zero", cipher=cipher)
            took = self.runner.time_into(command, ["cat"])
            best[cipher] = min(took, best.get(cipher, took))
        fastest, usual = min(best, key=best.get), CIPHERS[0]
        return usual if best.get(usual, math.inf) < 1.1 * best[fastest] else fastest

    @contextlib.contextmanager
    def master(self, sockets: Path, options=()):
        """A warm ControlMaster: gives the options that make ssh go through it."""
        path = sockets / "control"
        holder = spawn(self.argv(options=[*options, "-M", "-S", str(path), "-N"]), stderr=self.directory / "master.log")
        through = ["-S", str(path), "-o", "ControlMaster=no"]
        try:
            wait_until(path.exists, "ssh's ControlMaster", self.directory / "master.log")
            self.runner.time(self.argv("true", options=through))
            yield through
        finally:
            stop(holder)


@contextlib.contextmanager
def running(directory: Path, wrapper=(), address="127.0.0.1"):
    """Starts sshd with the keys in the directory, as an argument of `wrapper` if there is one; it is gone at the end."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not program:
        raise Failed(f"sshd isn't there. {INSTALL}")
    with separation_directory():
        port = free_port()
        (directory / "home").mkdir(exist_ok=True)
        (directory / "sshd_config").write_text(SERVER.format(port=port, keys=directory, address=address))
        (directory / "ssh_config").write_text(CLIENT.format(port=port, keys=directory, user=user_name(), address=address))
        (directory / "known_hosts_ssh").write_text(known_hosts_line(directory, port, address))
        log = directory / "sshd.log"
        daemon = spawn([*wrapper, program, "-D", "-e", "-f", str(directory / "sshd_config")], stderr=log)
        try:
            wait_until(lambda: answers(port, address), "sshd", log)
            server = OpenSsh(directory, directory / "ssh_config", port)
            server.runner.time(server.argv("true"))
            yield server
        finally:
            stop(daemon)


@contextlib.contextmanager
def separation_directory():
    """root's sshd wants /run/sshd; where it isn't there, it is made and removed again."""
    wanted = Path("/run/sshd")
    made = os.geteuid() == 0 and not wanted.exists()
    if made:
        wanted.mkdir(mode=0o755)
    try:
        yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                wanted.rmdir()


def answers(port, address) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1) as peer:
        return peer.recv(4) == b"SSH-"
    return False


def wait_until(ready, what, log: Path, seconds=10.0):
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise Failed(f"{what} didn't come up in {seconds} s: {log.read_text(errors='replace').strip()}")
        time.sleep(0.01)
