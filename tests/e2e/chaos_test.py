#!/usr/bin/env python3
"""Five engines and three members of etcd under load, with one fault after another; nothing acknowledged is lost, and in the
end replicas are equal.

    chaos_test.py                      each fault once, in the order of a seed of CI
    CENOTE_SEED=N chaos_test.py        the order, and the moments, of another seed
    CENOTE_SECONDS=600 chaos_test.py   rounds with fresh choices until so much time has passed (./x soak)
    CENOTE_FAULTS=a,b chaos_test.py    these faults only, in this order
    CENOTE_REPORT=FILE, CENOTE_LOGS=DIRECTORY    counts for programs; the logs of all processes

Engines, members of etcd and clients have a host each (`network.py`). Where that is not permitted they share one, and what
cannot be done is said.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import network
import stored
from chaos_load import SHARED_BYTES, SHARED_FILE, Load, Place, Unavailable, filled
from cluster import ClusterTest, Etcd, Loopback
from system import OK, cenote

SEED = int(os.environ.get("CENOTE_SEED", "1"))
SECONDS = float(os.environ.get("CENOTE_SECONDS", "0"))
FAULTS = os.environ.get("CENOTE_FAULTS", "")
REPORT = os.environ.get("CENOTE_REPORT", "")
LOGS = os.environ.get("CENOTE_LOGS", "")
ENGINES, MEMBERS = 5, 3
TARGETS = 2 if SECONDS else 1
# Longest fault of those that end by themselves.
LONGEST_S = 4 if SECONDS else 1.5
# Pool -> engines that it can lose. The sum of what they may hold is what there is, so that targets can be full.
REDUNDANCY = {"one": 1, "two": 2}
CLIENTS_PER_POOL = 2
# Until all is as it was before a fault: leases, moves of data, and what a slow machine takes on top.
SETTLE_S = 240
TELL_S = 15
# Of an engine of which nobody hears: lease and margin, and what a slow machine takes on top.
EXCLUSION_S = 60
LEAST_FILE_BYTES = 4096
OUT_OF_THE_POOL = ("down", "down-out")

WITH_A_MEMBER_AWAY = ("kill_engine", "freeze_engine", "fill_target", "fail_device")

# Why there are no hosts; nothing when there are.
NETWORK_REFUSED = "not asked"


class Chaos(ClusterTest):
    def setUp(self):
        self.chance = random.Random(SEED)
        self.refused = ""
        self.network = network.Network() if not NETWORK_REFUSED else None
        self.counts = {"rounds": 0, "acknowledged": 0, "failed": 0, "faults": {}}
        super().setUp()
        self.begin = time.monotonic()
        self.start_engines()
        self.make_places()

    # What there is.

    def host(self):
        if not self.network:
            return Loopback
        return self.network.host()

    def start_coordinator(self):
        if self.network:
            self.addCleanup(self.network.close)
        self.members = []
        for number in range(MEMBERS):
            self.members.append(Etcd(self.path(f"etcd{number}"), self.host(), self.members))
            self.addCleanup(self.members[-1].kill)
        Etcd.form(self.members)
        self.start_members(self.members)

    @staticmethod
    def start_members(members):
        for member in members:
            member.launch()
        for member in members:
            member.await_health()

    def start_engines(self):
        endpoints = ",".join(member.url for member in self.members)
        for number in range(ENGINES):
            host = self.host()
            engine = self.server("--reactors", "1", "--coordinator", endpoints, "--fault-domain", f"node{number}",
                                 data=f"engine{number}", targets=TARGETS)
            engine.host, engine.number = host, number
            if self.network:
                engine.prefix = host.prefix
                engine.address, engine.control = f"{host.address}:7777", f"{host.address}:7778"
                engine.arguments += ("--insecure",)
            if LOGS:
                os.makedirs(LOGS, exist_ok=True)
                engine.arguments += ("--log-file", os.path.join(LOGS, f"engine{number}.log"))
            # One after another: so the ranks are the numbers.
            engine.start()
        self.addresses = [engine.address for engine in self.servers]

    def make_places(self):
        self.until(lambda: self.leader(self.servers[0]), "somebody leads")
        client = self.host()
        self.client_prefix = client.prefix
        first = self.servers[0]
        zeroes = self.path("zeroes")
        with open(zeroes, "wb") as file:
            file.write(bytes(SHARED_BYTES))
        self.places = []
        for pool, redundancy in reversed(REDUNDANCY.items()):
            size = ["--size", f"{75 * TARGETS}MiB"] if redundancy > 1 else []
            self.succeeds(first, "pool", "create", pool, "--redundancy", redundancy, *size)
            place = Place(pool, list(client.prefix), self.addresses, self.directory)
            for container, kind in zip(place.containers, ("kv", "posix")):
                self.succeeds(first, "container", "create", container, "--type", kind)
            self.succeeds(first, "fs", "cp", zeroes, f"{place.containers[1]}:/{SHARED_FILE}")
            place.file = self.json_of(first, "fs", "stat", f"{place.containers[1]}:/{SHARED_FILE}")["object"]
            self.places.append(place)

    # What is wrong with it.

    def say(self, *words):
        print(f"{time.monotonic() - self.begin:6.1f} s ", *words, flush=True)

    def wrong(self, what):
        self.fail(f"seed {SEED}, {self.told()}: {what}")

    def told(self):
        return f"after {self.counts['rounds']} rounds and {self.counts['faults']}"

    def tearDown(self):
        for member in self.members if LOGS else ():
            if os.path.exists(member.directory + ".log"):
                shutil.copy(member.directory + ".log", LOGS)

    def revive(self):
        """Starts again what gave up because its coordinator was away for too long."""
        for engine in self.servers:
            if engine.running():
                continue
            text = engine.text_of_log()
            if not 0 <= engine.process.returncode < 128 or "Sanitizer" in text or "assert" in text.lower():
                self.wrong(f"engine {engine.number} died ({engine.process.returncode}):\n{text[-5000:]}")
            self.say(f"engine {engine.number} had given up with {engine.process.returncode}: {text.strip().splitlines()[-1:]}")
            engine.launch()

    def asks(self, *arguments):
        """The answer of whichever engine answers, or None."""
        try:
            done = cenote("--timeout", "5s", *arguments, "--json", CENOTE_SERVER=",".join(self.addresses))
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != OK:
            self.refused = done.stderr.decode().strip()
        return json.loads(done.stdout) if done.returncode == OK else None

    def states(self, pool):
        """Rank -> its state in the pool; None if nobody says it now."""
        shown = self.asks("pool", "query", pool)
        return shown and {engine["rank"]: engine["state"] for engine in shown["engines"]}

    def unsettled(self):
        """What is not yet as it was at first. Brings back what does not come back by itself."""
        system = self.asks("system", "query")
        if not system:
            return "nobody answers"
        away = [engine["rank"] for engine in system["engines"] if engine["state"] != "up"]
        if away:
            return f"engines {away} are not up"
        # The lease of one that was killed and is starting may not have ended yet: it is up, and not excluded.
        starting = [engine.number for engine in self.servers if not self.serves(engine)]
        if starting:
            return f"engines {starting} do not serve"
        waits = []
        for pool in REDUNDANCY:
            moves = self.asks("pool", "rebuild", "status", pool)
            if not moves:
                return f"nobody knows the moves of {pool}"
            for engine in moves["engines"]:
                if engine["state"] in OUT_OF_THE_POOL:
                    # It may have come back meanwhile, or may have to wait: the next look tells.
                    self.asks("pool", "reintegrate", pool, "--engine", engine["rank"])
            states = [engine["state"] for engine in moves["engines"]]
            if moves["moving"] or moves["state"] != "up" or states != ["up-in"] * ENGINES:
                waits.append(f"{pool} is {moves['state']}, {states}, {moves['percent']} % moved, silent {moves['silent']}")
        return "; ".join(waits)

    def serves(self, engine):
        try:
            return self.is_ready(engine)
        except OSError:
            return False

    def settle(self):
        """All engines are there and have their part of all pools, and nothing moves."""
        begin = time.monotonic()
        told = begin + TELL_S
        while True:
            self.revive()
            waits = self.unsettled()
            if not waits:
                return
            if time.monotonic() > begin + SETTLE_S:
                self.wrong(f"does not come to rest within {SETTLE_S} s: {waits}; last refusal: {self.refused}")
            if time.monotonic() > told:
                self.say(f"still waits: {waits}; last refusal: {self.refused}")
                told += TELL_S
            time.sleep(0.2)

    def verify(self):
        """Every acknowledged write is there, through every engine. On a machine on which leases end because nobody gets the
        processor, engines may go and come back meanwhile."""
        end = time.monotonic() + SETTLE_S
        while True:
            self.settle()
            try:
                with ThreadPoolExecutor(len(self.places)) as pool:
                    for wrong in pool.map(lambda place: place.audit(self.addresses), self.places):
                        if wrong:
                            self.wrong(wrong)
                return
            except Unavailable as away:
                if time.monotonic() > end:
                    self.wrong(f"what is at rest cannot be read for {SETTLE_S} s: {away}")
                self.say("cannot be read yet:", away)

    def compare(self):
        """On stopped engines: every store is whole, and every dkey is the same on as many engines as its pool asks for."""
        directories = [engine.data for engine in self.servers]
        with ThreadPoolExecutor(2) as pool:
            for directory, checked in zip(directories, pool.map(lambda data: cenote("debug", "check", data), directories)):
                if checked.returncode != OK:
                    self.wrong(f"{directory} is damaged: {checked.stdout.decode()} {checked.stderr.decode()}")
            engines = list(pool.map(stored.replicas, directories))
        wrong = stored.differences(engines, self.copies)
        if wrong:
            self.wrong(f"{len(wrong)} dkeys are not the same everywhere: " + "\n".join(wrong[:20]))
        return len(set().union(*engines))

    # Faults. Each begins, lasts, and ends; at most one engine is away at a time until all is as before, and at most one
    # member of etcd.

    def lasts(self, engine=None):
        """For some seconds, or, of an engine, half of the time until pools go on without it."""
        if engine is None or self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0.3, LONGEST_S))
            return
        end = time.monotonic() + EXCLUSION_S
        while time.monotonic() < end:
            states = [self.states(pool) for pool in REDUNDANCY]
            if all(known and known[engine.number] in OUT_OF_THE_POOL for known in states):
                self.say(f"engine {engine.number} is excluded")
                return
            time.sleep(0.1)
        self.wrong(f"engine {engine.number} is not excluded: {states}")

    def engine(self):
        return self.chance.choice(self.servers)

    def kill_engine(self):
        """The machine is lost, or only the engine, which its attendant tells."""
        engine = self.engine()
        self.chance.choice((engine.kill, engine.crash))()
        self.lasts(engine)
        engine.launch()

    def kill_etcd(self):
        member = self.chance.choice(self.members)
        member.kill()
        self.lasts()
        member.start()

    def freeze_engine(self):
        engine = self.engine()
        os.kill(engine.engine(), signal.SIGSTOP)
        self.lasts(engine)
        os.kill(engine.engine(), signal.SIGCONT)

    def freeze_etcd(self):
        member = self.chance.choice(self.members)
        member.process.send_signal(signal.SIGSTOP)
        self.lasts()
        member.process.send_signal(signal.SIGCONT)

    def sides(self):
        """Whom a cut divides, and the engine that the others will do without, if there is one: an engine alone or apart from
        etcd, two engines, or a member of etcd."""
        engine = self.engine()
        others = [each.host for each in self.servers + self.members if each is not engine]
        return self.chance.choice((
            (engine.host, others + [self.network.hosts[-1]], engine),
            (engine.host, [member.host for member in self.members], engine),
            (engine.host, [self.chance.choice(others[:ENGINES - 1])], None),
            (self.members[0].host, [each.host for each in self.servers + self.members[1:]], None)))

    def cut(self, directions):
        one, others, engine = self.sides()
        for other in others:
            for source, destination in ((one, other), (other, one))[directions]:
                self.network.cut(source, destination)
        self.say(f"{one.address} is cut from {[other.address for other in others]}")
        self.lasts(engine)
        self.network.heal()

    def partition(self):
        self.cut(slice(0, 2))

    def partition_one_way(self):
        self.cut(self.chance.choice((slice(0, 1), slice(1, 2))))

    def fill_target(self):
        with filled(self.places[-1]) as count:
            self.say(f"full with {count} values of 1 MB")
            self.lasts()

    def fail_device(self):
        """Every write to its files fails, as of a bad disk, until it is started again."""
        engine = self.engine()
        resource.prlimit(engine.engine(), resource.RLIMIT_FSIZE, (LEAST_FILE_BYTES, resource.RLIM_INFINITY))
        self.until(lambda: self.fenced(engine), f"engine {engine.number} takes no changes any more")
        self.lasts()
        engine.kill()
        engine.launch()

    @staticmethod
    def fenced(engine):
        with urllib.request.urlopen(f"http://{engine.control}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return any(line.startswith("cenote_target_fenced") and float(line.split()[-1]) > 0 for line in lines)

    def kill_everything(self):
        self.stop_everything()
        self.start_everything()

    def stop_everything(self):
        for each in self.servers + self.members:
            if each.process.poll() is None:
                each.kill()

    def start_everything(self):
        self.start_members(self.members)
        for engine in self.servers:
            engine.launch()

    def faults(self):
        every = ["kill_engine", "kill_etcd", "freeze_engine", "freeze_etcd", "fill_target", "fail_device",
                 "kill_everything"]
        if self.network:
            every += ["partition", "partition_one_way"]
        return every

    def happens(self, fault):
        """Alone, or, where that leaves a majority of etcd, while a member of it is away."""
        member = None
        if SECONDS and fault in WITH_A_MEMBER_AWAY and self.chance.random() < 0.3:
            member = self.chance.choice(self.members)
            member.kill()
        self.say(fault, f"without {member.name}" if member else "")
        getattr(self, fault)()
        if member:
            member.start()
        self.counts["faults"][fault] = self.counts["faults"].get(fault, 0) + 1

    # Rounds.

    def round(self, faults):
        self.counts["rounds"] += 1
        load = Load(self.places, self.counts["rounds"], self.chance, CLIENTS_PER_POOL)
        with contextlib.ExitStack() as stack:
            ended = stack.callback(load.end)
            for fault in faults:
                time.sleep(self.chance.uniform(0.3, 1.5))
                self.happens(fault)
                self.settle()
            stack.pop_all()
        acknowledged, failed = load.end()
        self.counts["acknowledged"] += acknowledged
        self.counts["failed"] += failed
        self.say(f"{acknowledged} writes were acknowledged, {failed} failed")
        self.assertGreater(acknowledged, 0)
        self.verify()
        self.settle()
        self.say("all of them are there, through every engine")
        self.stop_everything()
        self.say(f"{self.compare()} dkeys are the same everywhere")

    def rounds(self):
        """Lists of faults: for the tests those that are named, or each one once; else what chance draws until time is over."""
        if not SECONDS:
            faults = FAULTS.split(",") if FAULTS else self.chance.sample(self.faults(), len(self.faults()))
            yield faults
            return
        while time.monotonic() - self.begin < SECONDS:
            yield self.chance.choices(self.faults(), k=self.chance.randint(1, 4))

    def test_nothing_acknowledged_is_lost(self):
        print(f"seed {SEED}", flush=True)
        if NETWORK_REFUSED:
            print(f"LEFT OUT: partitions; no network namespaces here: {NETWORK_REFUSED}", flush=True)
        self.copies = {}
        for place in self.places:
            for container in place.containers:
                shown = self.json_of(self.servers[0], "container", "query", container)
                self.copies[shown["id"]] = REDUNDANCY[place.pool] + 1
        stopped = False
        for faults in self.rounds():
            if stopped:
                self.start_everything()
                self.settle()
            self.round(faults)
            stopped = True
        self.report()

    def report(self):
        self.say(json.dumps(self.counts))
        if REPORT:
            with open(REPORT, "w", encoding="utf-8") as file:
                json.dump(self.counts, file, indent=2)


if __name__ == "__main__":
    NETWORK_REFUSED = network.enter()
    # What was started ends also when somebody ends the test.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    unittest.main(verbosity=2)
