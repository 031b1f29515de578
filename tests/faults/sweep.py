"""A fault at every place, one run for each."""

import time

from . import inject
from .cases import Verdict, client
from .tools import stop

SIDES = ("client", "server", "helper")


class Sweep:
    """All faults of one kind, for one job of one tool, on one side."""

    def __init__(self, tool, case, side, kind):
        self.tool, self.case, self.side, self.kind = tool, case, side, kind
        self.name = f"{tool.name} {case_name(case)}, {kind} in the {side}"

    def places(self, most, occurrences, every):
        """The faults to inject, from a run without any."""
        log = self.tool.site / "calls"
        log.unlink(missing_ok=True)
        self.case.prepare()
        if self.side == "client":
            client(inject.under(self.case.argv(), log=log), self.tool.site)
        else:
            tracer = self.tracer(log=log)
            try:
                client(self.case.argv(), self.tool.site)
            finally:
                tracer.detach()
        calls = inject.count(log)
        found = inject.kills(calls, every) if self.kind == "kills" else inject.errors(calls, occurrences)
        return len(found), inject.spread(found, most)

    def pids(self):
        return self.tool.helper_pids() if self.side == "helper" else self.tool.server_pids()

    def tracer(self, expression=None, log=None):
        # A helper starts the command, whose own calls are not ours to break.
        return inject.Tracer(self.pids(), expression, log, follow=self.side != "helper")

    def one(self, expression):
        """One run under one fault."""
        verdict = Verdict()
        self.case.prepare()
        if self.side == "client":
            ended = client(inject.under(self.case.argv(), expression), self.tool.site)
            self.case.judge(*ended, verdict)
        else:
            tracer = self.tracer(expression)
            try:
                ended = client(self.case.argv(), self.tool.site)
            finally:
                tracer.detach()
            self.case.judge(*ended, verdict)
        if self.side == "client":
            self.case.left_behind(verdict)
            return verdict
        # What a killed side left is removed by the next start at the latest.
        stop(self.tool.server)
        if self.tool.server.returncode == 101:
            verdict.add("panic", "the server exited 101")
        self.tool.start()
        self.case.left_behind(verdict)
        return verdict

    def run(self, most, occurrences, until, every=False):
        """Gives how many faults there are, how many were tried, and what was wrong: (fault, kind, detail)."""
        there, places = self.places(most, occurrences, every)
        if not there:
            # The command was started by a process that came after the tracer.
            there, places = self.places(most, occurrences, every)
        wrong, tried = [], 0
        for expression, name in places:
            if time.monotonic() > until:
                break
            verdict = self.one(expression)
            tried += 1
            wrong += [(name, kind, detail) for kind, detail in verdict.wrong]
        return there, tried, wrong


def case_name(case):
    return f"{case.verb} {case.direction}" if hasattr(case, "direction") else "exec"
