"""Trees to be copied, the programs that copy them, and the check that a copy is whole."""

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from .openssh import free_port, user_name, wait_until
from .processes import Failed, Runner, spawn, stop

RSYNCD = """\
port = {port}
address = 127.0.0.1
use chroot = no
pid file = {directory}/rsyncd.pid
log file = {directory}/rsyncd.log
{owner}
[bench]
path = {path}
read only = no
"""


def plant(top: Path, files: int, least: int, most: int, in_one=200):
    """`files` files of random bytes in directories of `in_one` each. Their times lie in the past, so that nothing is recent."""
    random_numbers = random.Random(7)
    for number in range(files):
        if number % in_one == 0:
            directory = top / f"d{number // in_one:05}"
            directory.mkdir(parents=True)
        with open(directory / f"file-{number:07}.dat", "wb") as file:
            file.write(random_numbers.randbytes(random_numbers.randint(least, most)))
        os.utime(file.name, ns=(10**18 + number, 10**18 + number))


def plant_sparse(path: Path, size: int, data: int):
    """A file of `size` bytes with `data` bytes of data in a hundred pieces, and holes in between."""
    with open(path, "wb") as file:
        file.truncate(size)
        for piece in range(100):
            file.seek(size // 100 * piece // 4096 * 4096)
            file.write(os.urandom(data // 100))


def same(source: Path, copy: Path):
    """Raises Failed unless every file of the copy holds what the source holds."""
    found = subprocess.run(["diff", "-r", str(source), str(copy)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if found.returncode:
        raise Failed(f"the copy differs from the source: {found.stdout[:500].decode(errors='replace')}")


def piped(runner: Runner, producer: list, consumer: list) -> float:
    """`producer | consumer`, both started by us."""
    return runner.time_into(producer, consumer)


@contextlib.contextmanager
def rsync_daemon(directory: Path, path: Path):
    """A plain rsync daemon for `path`; gives its URL. Nothing is encrypted."""
    port = free_port()
    owner = "uid = root\ngid = root" if os.geteuid() == 0 else ""
    config = directory / "rsyncd.conf"
    config.write_text(RSYNCD.format(port=port, directory=directory, path=path, owner=owner))
    (directory / "rsyncd.pid").unlink(missing_ok=True)
    log = directory / "rsyncd.err"
    daemon = spawn(["rsync", "--daemon", "--no-detach", f"--config={config}"], stderr=log)
    try:
        wait_until(lambda: answers(port), "rsync --daemon", log)
        yield f"rsync://{user_name()}@127.0.0.1:{port}/bench/"
    finally:
        stop(daemon)


def answers(port) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
        return peer.recv(8).startswith(b"@RSYNCD")
    return False


@contextlib.contextmanager
def ext4_disk(size: int, where: Path):
    """A fresh ext4 on a loop device, mounted; needs root. Its image lies in the directory `where`."""
    image = tempfile.NamedTemporaryFile(prefix="unglue-bench-", dir=where, delete=False)
    place = Path(tempfile.mkdtemp(prefix="unglue-bench-disk-"))
    try:
        image.truncate(size)
        image.close()
        for argv in (["mkfs.ext4", "-q", "-F", image.name], ["mount", "-o", "loop", image.name, str(place)]):
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=path_of_root())
            if done.returncode:
                raise Failed(f"{argv[0]} failed: {done.stderr.decode(errors='replace').strip()}")
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=False, env=path_of_root())
    finally:
        os.unlink(image.name)
        with contextlib.suppress(OSError):
            place.rmdir()


def path_of_root() -> dict:
    return {**os.environ, "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"}


def empty(directory: Path):
    """Removes what is in a directory, and has the device finish, so that the next sample doesn't pay for it."""
    for entry in directory.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
