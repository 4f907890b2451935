#!/usr/bin/env python3
"""A server killed with SIGKILL again and again while clients write: every acknowledged write is there afterwards.

    crash_test.py                  5 rounds
    CENOTE_ROUNDS=200 crash_test.py    as many as that (./x soak)
    CENOTE_SEED=N crash_test.py        the pauses of an earlier run
"""

import json
import os
import random
import subprocess
import time
import unittest

from system import PATIENCE_S, SystemTest, environment

KV_LOAD = os.environ.get("CENOTE_KV_LOAD", "e2e_kv_load")
ROUNDS = int(os.environ.get("CENOTE_ROUNDS", "5"))
SEED = int(os.environ.get("CENOTE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
REPORT = os.environ.get("CENOTE_REPORT", "")
WRITERS = 3


class Writer:
    """One process that overwrites its keys with rising versions and reports each one that was acknowledged."""

    def __init__(self, server, container, number, path, does="write"):
        self.path = path
        with open(path, "ab") as out:
            self.process = subprocess.Popen([KV_LOAD, does, server.address, container, f"writer-{number}"], stdout=out,
                                            stderr=subprocess.PIPE, env=environment())

    def acknowledged(self):
        """Key -> highest version that was acknowledged."""
        newest = {}
        with open(self.path, encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    key, version = line.split()
                    newest[key] = int(version)
        return newest


class Crash(SystemTest):
    kills = 0
    keys_verified = 0

    def verify(self, server, container, acknowledged):
        """Every key has its acknowledged version or a later one, and whole."""
        keys = "".join(key + "\n" for key in acknowledged)
        done = subprocess.run([KV_LOAD, "read", server.address, container], input=keys.encode(), capture_output=True,
                              env=environment(), timeout=PATIENCE_S, check=False)
        self.assertEqual(done.returncode, 0, f"seed {SEED}: {done.stderr.decode()}")
        found = dict(line.split() for line in done.stdout.decode().splitlines())
        for key, version in acknowledged.items():
            self.assertGreaterEqual(int(found.get(key, -1)), version, f"seed {SEED}: {key} went back")
        self.keys_verified += len(acknowledged)

    def report(self, acknowledged):
        """For `./x soak`: what was tried, for programs."""
        if REPORT:
            with open(REPORT, "w", encoding="utf-8") as file:
                json.dump({"kills": self.kills, "keys_verified": self.keys_verified,
                           "acknowledged_writes": sum(acknowledged.values())}, file, indent=2)

    def balance(self, server, container, acknowledged):
        """Nothing is lost or made between accounts, and every acknowledged transfer took effect."""
        names = "".join(name + "\n" for name in acknowledged)
        done = subprocess.run([KV_LOAD, "balance", server.address, container], input=names.encode(),
                              capture_output=True, env=environment(), timeout=PATIENCE_S, check=False)
        self.assertEqual(done.returncode, 0, f"seed {SEED}: {done.stderr.decode()}")
        found = dict(line.split() for line in done.stdout.decode().splitlines())
        for name, count in acknowledged.items():
            # One more may have taken effect that nobody was told of.
            self.assertIn(int(found.get(name, -1)) - count, (0, 1), f"seed {SEED}: transfers of {name}")

    def test_every_acknowledged_transaction_survives_as_a_whole(self):
        chance = random.Random(SEED)
        server = self.started(size="256MiB")
        container = self.with_container(server)
        for round_ in range(min(ROUNDS, 20)):
            clients = [Writer(server, container, f"{round_}-{number}", self.path(f"moved-{round_}-{number}"), "transfer")
                       for number in range(2)]
            try:
                time.sleep(chance.uniform(0.3, 1))
                server.kill()
            finally:
                for client in clients:
                    client.process.kill()
                    client.process.communicate()
            acknowledged = {name: count for client in clients for name, count in client.acknowledged().items()}
            server.start()
            self.balance(server, container, acknowledged)
            if round_ == 0:
                self.assertGreater(len(acknowledged), 0)

    def test_every_acknowledged_write_survives(self):
        print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)
        server = self.started(size="256MiB")
        container = self.with_container(server)
        writers = [Writer(server, container, number, self.path(f"acknowledged-{number}")) for number in range(WRITERS)]
        try:
            for _ in range(ROUNDS):
                # A random moment of the work, not a wait for something.
                time.sleep(chance.uniform(0.05, 0.8))
                server.kill()
                self.kills += 1
                acknowledged = {key: version for writer in writers for key, version in writer.acknowledged().items()}
                server.start()
                self.verify(server, container, acknowledged)
            for writer in writers:
                self.assertIsNone(writer.process.poll(), "a writer gave up although the server came back each time")
        finally:
            for writer in writers:
                writer.process.kill()
                writer.process.communicate()
        acknowledged = {key: version for writer in writers for key, version in writer.acknowledged().items()}
        self.assertGreater(len(acknowledged), WRITERS)
        self.verify(server, container, acknowledged)
        self.assertEqual(server.stop(), 0, server.text_of_log())
        server.start()
        self.verify(server, container, acknowledged)
        self.report(acknowledged)
        print(f"{sum(acknowledged.values())} acknowledged writes to {len(acknowledged)} keys, all there", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
