"""Programs that a comparison starts: each in a session of its own, with its log in a file."""

import os
import resource
import signal
import socket
import subprocess
import time

# Longest wait for anything that must happen; a slow machine never waits longer than it needs.
PATIENCE_S = 120
# Who does not end of itself by then is killed.
STOP_S = 20
# Of what a program says when it fails.
WORDS_MAX = 400
# Quiet is who takes less than this of a core for this long; nobody is waited for longer than eight seconds.
SETTLED_SHARE, SETTLE_S, SETTLED_AFTER_MAX = 0.1, 0.4, 20
TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Why there is nothing to compare: one line for who started it."""


def free_ports(count):
    """Held together while they are found, so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def output_of(command, **more):
    """Runs a command to its end and returns what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **more)
    except subprocess.TimeoutExpired:
        raise Failure(f"'{' '.join(command)}' does not end") from None
    if done.returncode != 0:
        words = " ".join((done.stderr.strip() or done.stdout.strip() or "no output").split())
        raise Failure(f"'{' '.join(command)}' ends with {done.returncode}: {words[-WORDS_MAX:]}")
    return done.stdout


class Daemon:
    """A program that runs until it is stopped; all processes of its session go with it."""

    def __init__(self, command, log, **more):
        self.name = os.path.basename(command[0])
        self.log = log
        with open(log, "ab") as file:
            self.process = subprocess.Popen(command, stderr=file, start_new_session=True,
                                            stdout=more.pop("stdout", file), **more)

    @property
    def pid(self):
        return self.process.pid

    def check(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ends with {self.process.returncode}: {self.last_words()}")

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return (file.read().strip().splitlines() or ["no log"])[-1]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def cpu_seconds_of(daemons):
    """What all processes of these daemons have taken so far."""
    sessions = {daemon.pid for daemon in daemons}
    ticks = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) in sessions:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def settle(daemons):
    """Waits until they have done what they do afterwards, which would take time from whoever is next; not for ever."""
    last = cpu_seconds_of(daemons)
    for _ in range(SETTLED_AFTER_MAX):
        time.sleep(SETTLE_S)
        now = cpu_seconds_of(daemons)
        if now - last <= SETTLED_SHARE * SETTLE_S:
            return
        last = now


class Machine:
    """Whose time it was between two looks at it."""

    def __init__(self, daemons):
        self.daemons = daemons
        self.last = self._look()

    def _look(self):
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, idle, wait, irq, soft, steal, *_ = map(int, file.readline().split()[1:])
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
        clients = ended.ru_utime + ended.ru_stime + own.ru_utime + own.ru_stime
        busy = user + nice + system
        return {"all": busy + idle + wait + irq + soft + steal, "steal": steal,
                "foreign": busy - (cpu_seconds_of(self.daemons) + clients) * TICKS}

    def disturbance(self):
        """Percentages of all cores since the last call that were stolen, and that other processes took."""
        now, before = self._look(), self.last
        self.last = now
        total = max(now["all"] - before["all"], 1)
        return {f"{what}_percent": max(0.0, (now[what] - before[what]) / total * 100) for what in ("steal", "foreign")}
