"""How fast a command's output arrives: `head -c SIZE /dev/zero` there, `cat >/dev/null` here."""

from .processes import Failed
from .sampling import Contender, Goal, Result, in_turns, in_words, ratio

UNGLUE = "unglue exec (digests included)"
DEFAULT = "ssh, its default cipher"
LOCAL = "head | cat, local"


def measure(bench) -> Result:
    """SIZE bytes of stdout through each of the contenders, uncompressed."""
    size = bench.size or (1 << 30)
    head = ["head", "-c", str(size), "/dev/zero"]
    cipher = bench.cipher()
    ssh_name = f"ssh -c {cipher}"
    commands = {
        ssh_name: bench.ssh.argv(*head, cipher=cipher),
        DEFAULT: bench.ssh.argv(*head),
        LOCAL: head,
    }
    if bench.unglue:
        commands = {UNGLUE: bench.unglue.exec(*head), **commands}
    for argv in commands.values():
        check_whole(bench, argv, size)
    contenders = [
        Contender(name, lambda argv=argv: bench.runner.time_into(argv, ["cat"])) for name, argv in commands.items()
    ]
    series = in_turns(contenders, bench.samples or 7)
    text = f"{in_words(size)} of stdout: ssh's time (its fastest cipher) by unglue's"
    goal = Goal(text, ratio(series, ssh_name, UNGLUE), 1.5, stretch=2)
    return Result("stream", "Throughput of a command's output", series, [goal], bytes=size)


def check_whole(bench, argv, size):
    """Every contender must deliver all of it; what is fast and cut short is no rival."""
    got = int(bench.runner.output(["sh", "-c", '"$@" | wc -c', "sh", *argv]))
    if got != size:
        raise Failed(f"{argv[0]} delivered {got} of {size} bytes")
