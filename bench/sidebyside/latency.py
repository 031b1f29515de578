"""How long `true` takes on the other machine, from the client's start to its end."""

from .sampling import Contender, Goal, Result, Series, in_turns, ratio

UNGLUE = "unglue exec, cold"
SSH = "ssh, cold, its defaults"
MASTER = "ssh, through a warm ControlMaster"
FLOOR = "posix_spawn of true, local"


def measure(bench) -> Result:
    """Whole client processes in turns, then one warm connection."""
    runner, ssh = bench.runner, bench.ssh
    with ssh.master(bench.sockets) as through:
        contenders = [
            Contender(SSH, lambda: runner.time(ssh.argv("true"))),
            Contender(MASTER, lambda: runner.time(ssh.argv("true", options=through))),
            Contender(FLOOR, lambda: runner.time(["true"])),
        ]
        if bench.unglue:
            contenders.insert(0, Contender(UNGLUE, lambda: runner.time(bench.unglue.exec("true"))))
        series = in_turns(contenders, bench.samples or 40, warm_ups=2)
    goals = [
        Goal("cold: ssh's time by unglue's", ratio(series, SSH, UNGLUE), 25),
        Goal("cold: a warm ControlMaster's time by unglue's", ratio(series, MASTER, UNGLUE), 1),
    ]
    result = Result("exec", "Latency of `true`", series, goals)
    add_warm(result, bench.unglue.warm() if bench.unglue else None)
    return result


def add_warm(result, told):
    """What `examples/warm_exec` told: microseconds for each command, and commands a second."""
    if told is None:
        result.notes.append("One warm connection: not measured (`examples/warm_exec` isn't built).")
        told = {}
    names = {"warm": "unglue, on one warm connection", "spawn_floor": "posix_spawn + wait, in turns with it"}
    for key, name in names.items():
        if key in told:
            result.series.append(Series(name, [microseconds / 1e6 for microseconds in told[key]]))
    warm = quotient(told, "warm", "spawn_floor")
    result.goals.append(Goal("warm: unglue's time by the bare spawn's", warm, 1.5, at_most=True))
    pipelined = quotient(told, "pipelined_rate", "two_threads_rate")
    result.goals.append(Goal("a thousand pipelined: unglue's rate by two spawning threads'", pipelined, 0.8))
    if pipelined is not None:
        ours, local = (Series(key, listed(told[key])).median for key in ("pipelined_rate", "two_threads_rate"))
        note = f"A thousand pipelined: {ours:,.0f} commands a second; two threads spawn {local:,.0f} locally."
        result.notes.append(note)


def quotient(told, over, under):
    if over not in told or under not in told:
        return None
    pairs = [Series(over, listed(told[over])), Series(under, listed(told[under]))]
    return ratio(pairs, over, under)


def listed(value) -> list:
    return value if isinstance(value, list) else [value]
