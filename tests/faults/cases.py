"""What is done under a fault, and how its end is judged. The same for every tool.

A copy of `new` over `old`: the name must hold one of the two, whole; and the client may exit 0 only where it holds `new`.
A command that appends a line to a file and prints a known output: the client may exit 0 only with the whole output, the file
must not have more than one line, and nothing of the command may run two seconds after both ends are gone.
"""

import contextlib
import os
import shutil
import subprocess
import time

from .tools import descendants, end_marked, environment, marked

# More than any one buffer, and no multiple of a page.
OLD = bytes(i * 7 % 251 for i in range(70_001))
# Large enough that a tool is killed in the middle of it, too.
NEW = bytes(i * i % 253 for i in range(253)) * 19_763
LINES = 20_000
PRINTED = b"".join(b"%d\n" % i for i in range(1, LINES + 1))
SCRIPT = f"echo ran >>$0; seq {LINES}; sleep 0.05; exit 7"
PATIENCE = 40
ORPHAN_TIME = 2.5


class Verdict:
    """What was wrong, if anything; in words that the table counts."""

    def __init__(self):
        self.wrong = []

    def add(self, kind, detail=""):
        self.wrong.append((kind, detail))


def client(argv, site, patience=PATIENCE):
    """Runs a client to its end: its exit code (None if it hangs), stdout and stderr."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(site), cwd=site / "home", start_new_session=True,
    )  # fmt: skip
    try:
        stdout, stderr = process.communicate(timeout=patience)
        return process.returncode, stdout, stderr
    except subprocess.TimeoutExpired:
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        stdout, stderr = process.communicate()
        return None, stdout, stderr


class Copy:
    """A file copied over another, up or down."""

    verb = "cp"
    new, old = NEW, OLD

    def __init__(self, tool, direction):
        self.tool, self.direction = tool, direction
        self.site = tool.site
        self.place = self.site / "home" / "place"
        self.source = self.site / "home" / "source"
        self.target = self.place / "file"

    def prepare(self):
        self.place.mkdir(exist_ok=True)
        self.source.write_bytes(self.new)
        self.target.write_bytes(self.old)

    def argv(self):
        return getattr(self.tool, self.direction)(self.source, self.target)

    def judge(self, code, _stdout, stderr, verdict):
        try:
            held = self.target.read_bytes()
        except OSError:
            held = None
        if held is None:
            verdict.add("lost file", "neither the old nor the new one is there")
        elif held not in (self.old, self.new):
            verdict.add("torn file", f"{len(held)} bytes of {len(self.new)}")
        if code == 0 and held != self.new:
            verdict.add("false success", "exit 0 without the new file")
        if code is None:
            verdict.add("hang", f"no end within {PATIENCE} s")
        if code == 101 or b"panicked" in stderr:
            verdict.add("panic", stderr.decode(errors="replace")[-200:])
        if self.tool.name == "unglue" and code not in (0, None) and code > 0 and not stderr.strip():
            verdict.add("no reason", f"exit {code} without a word")

    def left_behind(self, verdict):
        """The next run, without a fault, must succeed and leave nothing but the file."""
        code, _, stderr = client(self.argv(), self.site)
        if code != 0:
            verdict.add("next run fails", f"exit {code}: {stderr.decode(errors='replace').strip()[-200:]}")
        left = sorted(path.name for path in self.place.iterdir() if path.name != "file")
        if left:
            verdict.add("left behind", " ".join(left)[:100])
            for name in left:
                (self.place / name).unlink()


class Resumed(Copy):
    """A copy that goes on with what an interrupted one has left: a block of 16 MiB that is right, and a part of the next one. The old
    file is almost the new one, so what is missing travels as a delta."""

    verb = "cp --resume"
    new = NEW * 5
    old = b"old" + new[3:17_000_000] + b"old" + new[17_000_003:]
    BLOCK = 1 << 24

    def __init__(self, tool, direction):
        super().__init__(tool, direction)
        self.part = None

    def prepare(self):
        super().prepare()
        self.part = self.part or self.find_part()
        self.part.write_bytes(self.new[: self.BLOCK + 1000])

    def find_part(self):
        """The name of what an interrupted copy leaves. This one is interrupted before it is worth keeping."""
        slow = subprocess.Popen(
            getattr(self.tool, self.direction)(self.source, self.target, "--resume", "--whole-file", "--limit", "1M"),
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(self.site), cwd=self.site / "home",
        )  # fmt: skip
        try:
            part = self.wait_for(lambda: next(self.place.glob(".file.unglue-*"), None))
        finally:
            slow.terminate()
            slow.wait()
        self.wait_for(lambda: not part.exists())
        return part

    @staticmethod
    def wait_for(condition, seconds=20):
        until = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > until:
                raise TimeoutError("a copy with --resume doesn't do what is expected")
            time.sleep(0.01)
        return found

    def argv(self):
        return getattr(self.tool, self.direction)(self.source, self.target, "--resume")

    def left_behind(self, verdict):
        super().left_behind(verdict)
        self.judge(0, b"", b"", verdict)


class Tree:
    """A small tree over an older one, up or down: replaced, new, linked, deleted and unchanged files."""

    verb = "sync"

    NEW = {"replaced": b"new" * 20_000, "sub/fresh": b"fresh", "sub/deep/large": NEW, "same": b"same", "other": b"linked"}
    OLD = {"replaced": b"old" * 30_000, "same": b"same", "gone/file": b"old", "sub/extra": b"old"}

    def __init__(self, tool, direction):
        self.tool, self.direction = tool, direction
        self.site = tool.site
        self.source = self.site / "home" / "tree-source"
        self.target = self.site / "home" / "tree-target"

    def prepare(self):
        for top, files in ((self.source, self.NEW), (self.target, self.OLD)):
            shutil.rmtree(top, ignore_errors=True)
            for name, content in files.items():
                path = top / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                os.utime(path, ns=(10**18, 10**18 if name == "same" else 10**18 + len(content)))
        (self.source / "link").symlink_to("sub/fresh")
        os.link(self.source / "other", self.source / "sub/second")

    def argv(self):
        return getattr(self.tool, f"{self.direction}_tree")(self.source, self.target)

    def files(self):
        """Every file of the target by name, temporary ones apart."""
        found, left = {}, []
        for top, _, names in os.walk(self.target):
            for name in names:
                path = os.path.join(top, name)
                if ".unglue-" in name:
                    left.append(path)
                else:
                    found[os.path.relpath(path, self.target)] = path
        return found, left

    def judge(self, code, _stdout, stderr, verdict):
        found, _ = self.files()
        wanted = dict(self.NEW)
        wanted["sub/second"] = self.NEW["other"]
        for name, path in found.items():
            if name == "link":
                continue
            with open(path, "rb") as file:
                held = file.read()
            if held not in (wanted.get(name), self.OLD.get(name)):
                verdict.add("torn file", f"{name}: {len(held)} bytes")
        lost = [name for name in self.OLD if name in wanted and name not in found]
        if lost:
            verdict.add("lost file", " ".join(lost))
        missing = [name for name in [*wanted, "link"] if name not in found]
        if missing and any(name not in found for name in self.OLD if name not in wanted):
            verdict.add("deleted early", f"without {missing[0]}")
        if code == 0:
            wrong = [name for name in wanted if name not in found or open(found[name], "rb").read() != wanted[name]]
            more = [name for name in found if name not in wanted and name != "link"]
            if wrong or more or "link" not in found:
                verdict.add("false success", f"exit 0 with {wrong or more or ['no link']}")
        if code is None:
            verdict.add("hang", f"no end within {PATIENCE} s")
        if code == 101 or b"panicked" in stderr:
            verdict.add("panic", stderr.decode(errors="replace")[-200:])
        if code not in (0, None) and code > 0 and not stderr.strip():
            verdict.add("no reason", f"exit {code} without a word")

    def left_behind(self, verdict):
        code, _, stderr = client(self.argv(), self.site)
        if code != 0:
            verdict.add("next run fails", f"exit {code}: {stderr.decode(errors='replace').strip()[-200:]}")
        self.judge(0, b"", b"", verdict)
        _, left = self.files()
        if left:
            verdict.add("left behind", " ".join(left)[:100])


class AtomicTree(Tree):
    """The same with `--atomic`: the whole old tree or the whole new one, at every moment."""

    verb = "sync --atomic"

    def argv(self):
        return getattr(self.tool, f"{self.direction}_tree")(self.source, self.target, "--atomic")

    def judge(self, code, stdout, stderr, verdict):
        super().judge(code, stdout, stderr, verdict)
        found, left = self.files()
        held = {}
        for name, path in found.items():
            with open(path, "rb") as file:
                held[name] = file.read()
        wanted = {**self.NEW, "sub/second": self.NEW["other"], "link": self.NEW["sub/fresh"]}
        if left or held not in (self.OLD, wanted):
            verdict.add("torn tree", f"{sorted(held)}")

    def left_behind(self, verdict):
        super().left_behind(verdict)
        left = [path.name for path in self.target.parent.iterdir() if path.name.startswith(".tree-target.unglue-")]
        if left:
            verdict.add("left behind", " ".join(left)[:100])
            for name in left:
                shutil.rmtree(self.target.parent / name)


class Command:
    """A command that must run at most once, whole, and leave nothing."""

    def __init__(self, tool):
        self.tool, self.site = tool, tool.site
        self.mark = f"unglue-fault-{os.getpid()}"
        self.number = 0
        self.runs = None

    def prepare(self):
        # A file for each case: a command whose client was killed early may start only after the next case has begun.
        self.number += 1
        self.runs = self.site / "home" / f"{self.mark}-runs-{self.number}"
        self.runs.write_bytes(b"")

    def argv(self):
        return self.tool.run("sh", "-c", SCRIPT, str(self.runs))

    def judge(self, code, stdout, stderr, verdict):
        ran = self.runs.read_bytes().count(b"\n")
        if ran > 1:
            verdict.add("ran twice", f"{ran} times")
        if code == 7 and (stdout != PRINTED or ran != 1):
            verdict.add("false success", f"the command's own code with {len(stdout)} bytes of {len(PRINTED)}")
        if code == 0:
            verdict.add("false success", "exit 0 of a command that exits 7")
        if not PRINTED.startswith(stdout):
            verdict.add("wrong output", "bytes that the command did not print there")
        if code is None:
            verdict.add("hang", f"no end within {PATIENCE} s")
        if code == 101 or b"panicked" in stderr:
            verdict.add("panic", stderr.decode(errors="replace")[-200:])
        if self.tool.name == "unglue" and code not in (0, 7, None) and code > 0 and not stderr.strip():
            verdict.add("no reason", f"exit {code} without a word")

    def left_behind(self, verdict):
        until = time.monotonic() + ORPHAN_TIME
        while (left := marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.05)
        if left:
            verdict.add("orphan", f"{len(left)} processes after {ORPHAN_TIME} s")
            end_marked(self.mark)
