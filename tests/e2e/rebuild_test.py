#!/usr/bin/env python3
"""A pool that can lose one of its engines: one is lost, its data made anew; it comes back, another leaves, a new one joins."""

import filecmp
import os
import unittest

from cluster import ClusterTest
from system import CONFLICT, OK, USAGE, cenote

# Of every change, until its data has moved: lease, margin, and what a slow machine takes on top.
WAIT = ("--wait", "--timeout", "60s")


class Rebuild(ClusterTest):
    def setUp(self):
        super().setUp()
        self.servers = [self.joining(name) for name in "abcd"]
        for server in self.servers[:3]:
            server.start()
        self.first = self.servers[0]
        self.until(lambda: self.leader(self.first), "somebody leads")
        self.succeeds(self.first, "pool", "create", "p", "--size", "60MiB", "--redundancy", "1")
        self.succeeds(self.first, "container", "create", "p/c", "--type", "kv")
        self.succeeds(self.first, "container", "create", "p/files", "--type", "posix")
        self.source = self.path("file")
        with open(self.source, "wb") as file:
            file.write(os.urandom(2_000_000))
        self.succeeds(self.first, "fs", "cp", self.source, "p/files:/file")
        self.values = {}

    def state_of(self, rank):
        return {engine["rank"]: engine["state"] for engine in self.json_of(self.first, "pool", "query", "p")["engines"]}[rank]

    def put(self, begin, end):
        for key in range(begin, end):
            self.values[f"key{key}"] = f"value{key} of {len(self.values)}"
            self.succeeds(self.first, "kv", "put", "p/c", f"key{key}", self.values[f"key{key}"])

    def verify(self, server):
        """All data is there, whichever engine is asked first."""
        listed = self.succeeds(server, "kv", "list", "p/c").decode().split()
        self.assertEqual(sorted(listed), sorted(self.values))
        for key, value in self.values.items():
            self.assertEqual(self.succeeds(server, "kv", "get", "p/c", key).strip().decode(), value)
        copy = self.path("copy")
        self.succeeds(server, "fs", "cp", "p/files:/file", copy)
        self.assertTrue(filecmp.cmp(self.source, copy, shallow=False))
        os.remove(copy)

    def test_engines_are_lost_come_back_leave_and_join(self):
        first, second, third, fourth = self.servers
        self.put(0, 6)
        third.kill()
        self.until(lambda: self.state_of(2) == "down-out", "what was lost is made anew")
        self.assertEqual(self.json_of(first, "pool", "query", "p")["state"], "up")
        self.put(3, 8)
        self.succeeds(first, "container", "snapshot", "create", "p/c", "s")
        refused = cenote("pool", "reintegrate", "p", "--engine", "2", CENOTE_SERVER=first.address)
        self.assertEqual(refused.returncode, CONFLICT, refused.stderr)
        self.assertIn(b"engine 2 does not run", refused.stderr)
        # A script whose variable is not set must not mean engine 0.
        for text in ("", "0x1", "-1"):
            wrong = cenote("pool", "exclude", "p", "--engine=" + text, CENOTE_SERVER=first.address)
            self.assertEqual(wrong.returncode, USAGE, (text, wrong.stderr))

        third.start()
        self.succeeds(first, "pool", "reintegrate", "p", "--engine", "2", *WAIT)
        self.assertEqual(self.state_of(2), "up-in")
        self.verify(third)
        again = self.json_of(first, "pool", "reintegrate", "p", "--engine", "2")
        self.assertEqual(again["engines"], [{"rank": 2, "outcome": "done", "state": "up-in"}])

        everywhere = self.json_of(first, "system", "drain", "--engine", "1", *WAIT)
        self.assertEqual([pool["label"] for pool in everywhere["pools"]], ["p"])
        self.assertEqual(self.state_of(1), "down-out")
        self.assertEqual(second.stop(), OK)
        self.verify(first)
        refused = cenote("system", "drain", "--engine", "2", CENOTE_SERVER=first.address)
        self.assertEqual(refused.returncode, CONFLICT, refused.stdout)
        self.assertIn(b"refused", refused.stdout)
        self.assertIn(b"1 missing", refused.stdout)

        fourth.start()
        self.until(lambda: len(self.engines(first)) == 4 and self.engines(first)[3]["state"] == "up", "it is there")
        self.succeeds(first, "pool", "extend", "p", "--engine", "3", *WAIT)
        self.put(8, 10)
        moves = self.json_of(first, "pool", "rebuild", "status", "p")
        self.assertFalse(moves["moving"])
        self.assertEqual(moves["percent"], 100)
        self.verify(fourth)


if __name__ == "__main__":
    unittest.main()
