"""The load of the chaos test: clients that overwrite keys and pieces of one file, and files copied in; what each of them
was told, and whether all of it is there."""

import contextlib
import os
import random
import subprocess
import threading
import time

from system import BUSY, OK, PATIENCE_S, TIMEOUT, UNREACHABLE, cenote, environment

CHAOS_LOAD = os.environ.get("CENOTE_CHAOS_LOAD", "e2e_chaos_load")
# What all clients of a pool write pieces of: 80 of 4 KiB, and zeroes at first.
SHARED_FILE = "shared"
SHARED_BYTES = 80 * 4096
# Fewer versions than any client writes between two starts.
VERSIONS_OF_A_LIFE = 1_000_000
KEPT_FILES = 5
# Between two copies: this is about faults and not about speed.
PACE_S = 0.5


# Exit codes of who waited in vain, which says nothing about data.
AWAY = (UNREACHABLE, BUSY, TIMEOUT)


class Unavailable(Exception):
    pass


class Place:
    """A pool with a map and a tree of files, and what is known of both."""

    def __init__(self, pool, prefix, addresses, directory):
        self.pool = pool
        self.prefix = prefix
        self.addresses = addresses
        self.directory = directory
        self.containers = (f"{pool}/map", f"{pool}/files")
        self.file = ""
        self.least = {}
        self.most = {}
        # Name -> contents, of what was copied in and acknowledged.
        self.files = {}
        self.copies = 0

    def program(self, does, addresses, *arguments):
        return [*self.prefix, CHAOS_LOAD, does, ",".join(addresses), *self.containers, self.file, *map(str, arguments)]

    def learn(self, line, in_flight=False):
        """Takes in one line of a client."""
        key, version, *failure = line.split(maxsplit=2)
        self.most[key] = max(self.most.get(key, 0), int(version))
        if not failure:
            self.least[key] = max(self.least.get(key, 0), int(version))

    def audit(self, addresses):
        """Every acknowledged write is there, through each of the addresses, and nothing that nobody wrote. Returns what is
        wrong; raises `Unavailable` when it did not come to that."""
        # The newest one may be one that was cut off when its client was killed.
        expected = "".join(f"{key} {self.least.get(key, 0)} {most + 1}\n" for key, most in self.most.items())
        done = subprocess.run(self.program("audit", addresses), input=expected.encode(), capture_output=True,
                              env=environment(), timeout=4 * PATIENCE_S, check=False)
        if done.returncode in AWAY:
            raise Unavailable(f"{self.pool}: {done.stderr.decode()}")
        if done.returncode != OK:
            return f"{self.pool}: {done.stderr.decode()}"
        for line in done.stdout.decode().splitlines():
            self.learn(line)
        return self._audit_files(addresses[self.copies % len(addresses)])

    def _audit_files(self, address):
        copy = os.path.join(self.directory, "copy-" + self.pool)
        for name, contents in self.files.items():
            done = cenote("--timeout", "100s", "fs", "cp", f"{self.containers[1]}:/{name}", copy, CENOTE_SERVER=address)
            if done.returncode in AWAY:
                raise Unavailable(f"{self.pool}: {name}: {done.stderr.decode()}")
            if done.returncode != OK:
                return f"{self.pool}: {name} cannot be read through {address}: {done.stderr.decode()}"
            with open(copy, "rb") as file:
                if file.read() != contents:
                    return f"{self.pool}: {name} is not what was copied in"
            os.remove(copy)
        return ""


class Client:
    """A process that writes until it is killed."""

    def __init__(self, place, number, life):
        self.place = place
        self.path = os.path.join(place.directory, f"client-{place.pool}-{number}-{life}")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(place.program("churn", place.addresses, number, life * VERSIONS_OF_A_LIFE + 1),
                                            stdout=out, stderr=subprocess.PIPE, env=environment())

    def end(self):
        """Returns how many writes were acknowledged, and how many failed."""
        gave_up = self.process.poll() is not None
        self.process.kill()
        _, told = self.process.communicate()
        if gave_up:
            raise AssertionError(f"a client ended by itself: {told.decode()}")
        counts = [0, 0]
        with open(self.path, encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    self.place.learn(line)
                    counts[len(line.split()) > 2] += 1
        return counts


class Copier(threading.Thread):
    """Copies files into a place until it is told to end."""

    def __init__(self, place, chance):
        super().__init__(daemon=True)
        self.place = place
        self.chance = chance
        self.ending = threading.Event()
        self.failed = 0
        self.acknowledged = 0
        self.ended_well = False
        self.start()

    def run(self):
        self._copy()
        self.ended_well = True

    def _copy(self):
        source = os.path.join(self.place.directory, "source-" + self.place.pool)
        while not self.ending.wait(PACE_S):
            if len(self.place.files) >= KEPT_FILES:
                self._remove(next(iter(self.place.files)))
            contents = self.chance.randbytes(self.chance.randrange(1, 1_500_000))
            with open(source, "wb") as file:
                file.write(contents)
            # Of one that failed nothing is known, and its name does not come again.
            self.place.copies += 1
            name = f"file-{self.place.copies}"
            if self._does("cp", source, f"{self.place.containers[1]}:/{name}"):
                self.place.files[name] = contents

    def _remove(self, name):
        self.place.files.pop(name)
        self._does("rm", f"{self.place.containers[1]}:/{name}")

    def _does(self, *arguments):
        try:
            done = cenote("--timeout", "20s", "fs", *arguments, CENOTE_SERVER=",".join(self.place.addresses))
        except subprocess.TimeoutExpired:
            # It has that time for each of many operations.
            self.failed += 1
            return False
        self.acknowledged += done.returncode == OK
        self.failed += done.returncode != OK
        return done.returncode == OK

    def end(self):
        self.ending.set()
        self.join()
        if not self.ended_well:
            raise AssertionError("the thread that copies files ended with an exception")
        return [self.acknowledged, self.failed]


class Load:
    """Several clients of each place, all at once."""

    def __init__(self, places, life, chance, clients):
        self.workers = [Client(place, number, life) for place in places for number in range(clients)]
        self.workers += [Copier(place, random.Random(chance.random())) for place in places]

    def end(self):
        """Returns how much was acknowledged, and how much failed."""
        acknowledged = failed = 0
        for worker in self.workers:
            done, not_done = worker.end()
            acknowledged, failed = acknowledged + done, failed + not_done
        return acknowledged, failed


@contextlib.contextmanager
def filled(place):
    """One group of targets of the place is full of values, whose number this gives; at the end they are removed."""
    command = [*place.prefix, CHAOS_LOAD, "fill", ",".join(place.addresses), place.containers[0]]
    filler = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment())
    line = filler.stdout.readline()
    if line:
        yield int(line.split()[1])
    _, told = filler.communicate(timeout=4 * PATIENCE_S)
    if filler.returncode != 0 or not line:
        raise AssertionError(f"the filler failed: {told.decode()}")
