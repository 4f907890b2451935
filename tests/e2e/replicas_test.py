#!/usr/bin/env python3
"""Three engines and a pool that can lose one of them: an engine is killed, everything goes on, and it comes back."""

import filecmp
import os
import signal
import time
import unittest

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
