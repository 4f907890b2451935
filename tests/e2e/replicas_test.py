#!/usr/bin/env python3
"""Three engines and a pool that can lose one of them: an engine is killed, everything goes on, and it comes back."""

import filecmp
import os
import shutil
import signal
import time
import unittest
import urllib.request

import stored
from cluster import ClusterTest
from system import OK, cenote

# Lease and margin, and what a slow machine takes on top.
EXCLUSION_S = 60


class Replicas(ClusterTest):
    def setUp(self):
        super().setUp()
        self.servers = [self.joining(name) for name in "abc"]
        for server in self.servers:
            server.start()
        self.until(lambda: self.leader(self.servers[0]), "somebody leads")

    def pool(self, server, name):
        return self.json_of(server, "pool", "query", name)

    def goes_on(self, server, *arguments):
        """Succeeds as soon as the system has noticed whom it has lost."""
        end = time.monotonic() + EXCLUSION_S
        while True:
            done = cenote("--timeout", "20s", *arguments, CENOTE_SERVER=server.address)
            if done.returncode == OK or time.monotonic() > end:
                self.assertEqual(done.returncode, OK, done.stderr.decode())
                return done.stdout

    def crash_is_noticed_at_once(self, first, third):
        """The others need not wait for the end of the lease and its margin, 7.5 s."""
        self.assertEqual(third.crash(), 128 + signal.SIGKILL)
        self.until(lambda: "signal 9" in third.text_of_log(), "it says why")
        self.assertIn("others_told=true", third.text_of_log())
        self.until(lambda: self.pool(first, "p")["map_version"] > 1, "it is excluded")

    @staticmethod
    def repaired(server):
        with urllib.request.urlopen(f"http://{server.control}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith("cenote_replication_repaired_values_total"))

    @staticmethod
    def find(server, value):
        """Where the last copy of a value lies on an engine: file and place."""
        found = None
        for index in range(2):
            path = os.path.join(server.data, "targets", str(index))
            with open(path, "rb") as file:
                at = file.read().rfind(value[:4096])
            if at >= 0:
                found = (path, at + 100)
        return found

    @staticmethod
    def flip(path, at):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))

    def test_damaged_data_is_made_good_from_others(self):
        first = self.servers[0]
        self.succeeds(first, "pool", "create", "p", "--size", "40MiB", "--redundancy", "2")
        self.succeeds(first, "container", "create", "p/c", "--type", "kv")
        # Each is read at the one of three engines that leads it: of so many the first one leads some.
        values = {f"key{number}": os.urandom(20_000) for number in range(20)}
        for key, value in values.items():
            self.succeeds(first, "kv", "put", "p/c", key, "--stdin", stdin=value)
        # All of it at one engine, while it runs.
        for value in values.values():
            self.flip(*self.find(first, value))
        # Readers see nothing of it, and what the engine is asked for itself it repairs.
        for key, value in values.items():
            self.assertEqual(self.succeeds(first, "kv", "get", "p/c", key), value)
        self.until(lambda: self.repaired(first) > 0, "what was read is repaired")
        self.cenote(first, "engine", "scrub", "--start")
        self.until(lambda: self.repaired(first) == len(values), "the rest is, too")
        self.assertIn("repaired from another engine", first.text_of_log())
        # What was found is no finding any more: the exit code says so, too.
        self.until(lambda: self.cenote(first, "engine", "scrub").returncode == OK, "no damage is known any more")
        self.assertEqual(sum(self.repaired(server) for server in self.servers[1:]), 0)
        fresh = os.urandom(20_000)
        self.succeeds(first, "kv", "put", "p/c", "fresh", "--stdin", stdin=fresh)
        self.the_comparison_of_replicas_notices(fresh)

    def differences(self, container):
        for server in self.servers:
            if server.running():
                self.assertEqual(server.stop(), OK)
        return stored.differences([stored.replicas(server.data) for server in self.servers], {container: 3})

    def start_all(self):
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.await_ready()
        self.until(lambda: self.pool(self.servers[0], "p")["state"] == "up", "all are back")

    def the_comparison_of_replicas_notices(self, value):
        """What e2e_chaos relies on: a bit that differs, and a replica that has missed a change."""
        first = self.servers[0]
        container = self.json_of(first, "container", "query", "p/c")["id"]
        self.assertEqual(self.differences(container), [])
        place = self.find(first, value)
        self.flip(*place)
        different = self.differences(container)
        self.assertEqual(len(different), 1, different)
        self.flip(*place)

        before = self.path("before")
        shutil.copytree(os.path.join(first.data, "targets"), before)
        self.start_all()
        self.goes_on(first, "kv", "put", "p/c", "key1", "later")
        self.assertEqual(self.differences(container), [])
        shutil.rmtree(os.path.join(first.data, "targets"))
        shutil.copytree(before, os.path.join(first.data, "targets"))
        different = self.differences(container)
        self.assertEqual(len(different), 1, different)
        self.assertIn("differs", different[0])

    def test_an_engine_is_lost_and_comes_back(self):
        first, second, third = self.servers
        refused = cenote("pool", "create", "impossible", "--redundancy", "3", CENOTE_SERVER=first.address)
        self.assertNotEqual(refused.returncode, OK)
        self.assertIn(b"1 missing", refused.stderr)
        self.succeeds(first, "pool", "create", "p", "--size", "40MiB", "--redundancy", "1")
        self.succeeds(second, "container", "create", "p/c", "--type", "kv")
        self.succeeds(second, "container", "create", "p/files", "--type", "posix")
        for key in range(12):
            self.succeeds(self.servers[key % 3], "kv", "put", "p/c", f"key{key}", f"value{key}")
        source = self.path("file")
        with open(source, "wb") as file:
            file.write(os.urandom(3_000_000))
        self.succeeds(first, "fs", "cp", source, "p/files:/file")
        self.assertEqual(self.pool(first, "p")["redundancy"], 1)

        self.crash_is_noticed_at_once(first, third)
        for key in range(12):
            self.assertEqual(self.goes_on(first, "kv", "get", "p/c", f"key{key}").strip(), f"value{key}".encode())
        for key in range(12):
            self.goes_on(second, "kv", "put", "p/c", f"key{key}", f"later{key}")
        self.goes_on(first, "kv", "put", "p/c", "new", "value")
        listed = self.goes_on(first, "kv", "list", "p/c").decode().split()
        self.assertEqual(sorted(listed), sorted([f"key{key}" for key in range(12)] + ["new"]))
        copy = self.path("copy")
        self.goes_on(second, "fs", "cp", "p/files:/file", copy)
        self.assertTrue(filecmp.cmp(source, copy, shallow=False))
        self.until(lambda: self.pool(first, "p")["engines"][2]["state"] == "down-out", "others have all data")

        # It runs again, and has no part in the pool at first: what it holds is of the past.
        third.start()
        for server in self.servers:
            for key in range(12):
                self.assertEqual(self.goes_on(server, "kv", "get", "p/c", f"key{key}").strip(), f"later{key}".encode())
        self.goes_on(third, "kv", "del", "p/c", "new")
        self.assertNotEqual(cenote("kv", "get", "p/c", "new", CENOTE_SERVER=first.address).returncode, OK)
        # Nobody asks for it: it is taken back, gets all data, and makes up for another one.
        self.until(lambda: self.pool(first, "p")["engines"][2]["state"] == "up-in", "it has its part again")
        second.kill()
        for key in range(12):
            self.assertEqual(self.goes_on(first, "kv", "get", "p/c", f"key{key}").strip(), f"later{key}".encode())


if __name__ == "__main__":
    unittest.main()
