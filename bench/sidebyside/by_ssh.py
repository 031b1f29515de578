"""unglue with ssh as its transport: nothing listens on the other side but sshd."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from .file import contender, fill, memory_directory
from .processes import Failed
from .sampling import Contender, Goal, Result, Series, in_turns, in_words, ratio

SSH = "ssh, cold"
UNGLUE = "unglue exec by ssh, cold"
FIRST = "unglue exec by ssh, first use (the program is uploaded)"
MASTER = "ssh, through a warm ControlMaster"
UNGLUE_MASTER = "unglue exec by ssh, through the same ControlMaster"


def argv(bench, verb, *rest, options=()):
    """`unglue VERB --transport ssh …`, with the bench's configuration of ssh."""
    if not bench.unglue:
        raise Failed("unglue isn't built: cargo build --release -p unglue-cli")
    given = [word for option in options for word in ("--ssh-option", option)]
    return [str(bench.unglue.program), verb, "--transport", "ssh", "-F", str(bench.ssh.config), *given, *rest]


def latency(bench) -> Result:
    """`true`, in turns: cold, on the first use of a host, and through a master."""
    runner, ssh, samples = bench.runner, bench.ssh, bench.samples or 20
    cache = bench.directory / "home" / ".cache"

    def forget():
        shutil.rmtree(cache, ignore_errors=True)

    def use():
        return runner.time(argv(bench, "exec", "bench", "--", "true"))

    with leaving_nothing(bench.directory):
        use()
        first = in_turns([Contender(SSH, lambda: runner.time(ssh.argv("true"))), Contender(FIRST, use, forget)], max(samples // 2, 3))
        with ssh.master(bench.sockets) as through:
            control = [f"ControlPath={through[1]}", "ControlMaster=no"]
            command = argv(bench, "exec", "bench", "--", "true", options=control)
            contenders = [
                Contender(UNGLUE, use),
                Contender(MASTER, lambda: runner.time(ssh.argv("true", options=through))),
                Contender(UNGLUE_MASTER, lambda: runner.time(command)),
            ]
            series = [*first, *in_turns(contenders, samples, warm_ups=2)]
    by_name = {one.name: one for one in series}
    differences = [ours - theirs for ours, theirs in zip(by_name[FIRST].samples, by_name[SSH].samples)]
    more = Series("difference", differences).median
    goals = [
        Goal("through a warm ControlMaster: unglue's time by ssh's", ratio(series, UNGLUE_MASTER, MASTER), 2, at_most=True),
        Goal("first use of a host: seconds more than `ssh HOST true`", more, 0.5, at_most=True),
    ]
    size = Path(bench.unglue.program).stat().st_size
    return Result("ssh", "Latency of `true` by way of ssh", series, goals, [f"The uploaded program has {size:,} bytes."])


def one_file(bench) -> Result:
    """An upload over the same cipher."""
    size, cipher = bench.size or (1 << 30), bench.cipher()
    scp, ours = f"scp -c {cipher}", f"unglue cp by ssh -c {cipher} (digest compared)"
    with memory_directory(size) as directory, leaving_nothing(bench.directory):
        source, copy = directory / "source", directory / "copy"
        fill(source, size)
        commands = {
            ours: argv(bench, "cp", str(source), f"bench:{copy}", options=[f"Ciphers={cipher}"]),
            scp: ["scp", "-q", "-F", str(bench.ssh.config), "-c", cipher, str(source), f"bench:{copy}"],
        }
        runs = {name: lambda argv=argv: bench.runner.time(argv) for name, argv in commands.items()}
        series = in_turns([contender(bench, name, run, source, copy) for name, run in runs.items()], bench.samples or 5)
    goal = Goal(f"{in_words(size)} file by ssh: scp's time (the same cipher) by unglue's", ratio(series, scp, ours), 1)
    return Result("ssh-file", "One file by way of ssh, tmpfs to tmpfs, upload", series, [goal], [], size)


@contextlib.contextmanager
def leaving_nothing(directory):
    """The process that owns the user's state on the other side waits for more work; here it ends with the measurement."""
    try:
        yield
    finally:
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and os.readlink(process / "exe").startswith(f"{directory}/"):
                    os.kill(int(process.name), signal.SIGTERM)
