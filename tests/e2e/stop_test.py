#!/usr/bin/env python3
"""A system that is stopped as a whole, switched off in pieces, and goes on as it was."""

import unittest
import urllib.error
import urllib.request

from cluster import ClusterTest
from system import BUSY, CONFLICT, OK, SystemTest, cenote


class OfSeveralEngines(ClusterTest):
    def map_of(self, server):
        pool = self.json_of(server, "pool", "query", "precious")
        return pool["map_version"], [engine["state"] for engine in pool["engines"]]

    def test_nobody_is_excluded_for_having_been_away(self):
        servers = [self.joining(f"e{rank}", "--fault-domain", f"n{rank}") for rank in range(3)]
        for server in servers:
            server.start()
        first = servers[0]
        self.until(lambda: len(self.leader(first)) == 1 and len(self.engines(first)) == 3, "somebody leads all of them")
        self.succeeds(first, "pool", "create", "precious", "--redundancy", "1")
        self.succeeds(first, "container", "create", "precious/things", "--type", "kv")
        for key in range(8):
            self.succeeds(first, "kv", "put", "precious/things", f"key{key}", f"value{key}")
        before = self.map_of(first)
        self.assertEqual(before[1], ["up-in"] * 3)

        stopped = self.json_of(first, "system", "stop")
        self.assertTrue(stopped["changed"] and stopped["stopped_since_s"] > 0)
        self.assertTrue(all(engine["quiet"] and engine["needed"] for engine in stopped["engines"]))
        self.assertIn(b"stopped already", self.succeeds(first, "system", "stop"))

        # What only looks works, and says so.
        for words in (["system", "query"], ["engine", "list"], ["pool", "query", "precious"]):
            self.assertIn(b"stopped", self.succeeds(first, *words), words)
        self.assertFalse(self.is_ready(first))
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{first.control}/readyz", timeout=10)
        self.assertEqual(refused.exception.read(), b"the system is stopped\n")
        refused.exception.close()
        for words in (["kv", "get", "precious/things", "key0"], ["kv", "put", "precious/things", "key0", "other"],
                      ["container", "create", "precious/more"], ["pool", "drain", "precious", "--engine", "1"]):
            done = cenote("--timeout", "1s", *words, CENOTE_SERVER=first.address)
            self.assert_fails(done, BUSY, "the system is stopped", "cenote system start")

        # Two are stopped, one dies. Two come back.
        self.assertEqual(servers[2].stop(), OK, servers[2].text_of_log())
        servers[1].kill()
        self.assertEqual(servers[0].stop(), OK, servers[0].text_of_log())
        for server in servers[:2]:
            server.start()
        self.until(lambda: len(self.leader(first)) == 1, "somebody leads")
        done = cenote("--timeout", "2s", "system", "start", CENOTE_SERVER=first.address)
        self.assertEqual(done.returncode, CONFLICT, done.stderr)
        self.assertIn(b"engine 2 is not up", done.stderr)
        self.assertEqual(self.map_of(first), before)

        # The third is there, too.
        servers[2].start()
        self.assertIn(b"the system goes on, with 3 engines", self.succeeds(servers[2], "system", "start"))
        self.assertIn(b"the system is not stopped", self.succeeds(first, "system", "start"))
        for key in range(8):
            server = servers[key % 3]
            self.assertEqual(self.succeeds(server, "kv", "get", "precious/things", f"key{key}").strip(), f"value{key}".encode())
        self.succeeds(first, "kv", "put", "precious/things", "key0", "other")
        self.until(lambda: all(map(self.is_ready, servers)), "all are ready")
        self.assertEqual(self.map_of(first), before)


class OfOneEngine(SystemTest):
    def test_it_stays_stopped_when_it_starts_again(self):
        server = self.started()
        name = self.with_container(server, kind="kv")
        self.succeeds(server, "kv", "put", name, "key", "value")
        self.assertIn(b"the system is stopped", self.succeeds(server, "system", "stop"))
        self.assertEqual(server.stop(), OK, server.text_of_log())
        server.start()
        self.assertGreater(self.json_of(server, "system", "query")["stopped_since_s"], 0)
        done = cenote("--timeout", "1s", "kv", "get", name, "key", CENOTE_SERVER=server.address)
        self.assert_fails(done, BUSY, "the system is stopped")
        self.assertIn(b"the system goes on, with 1 engine", self.succeeds(server, "system", "start"))
        self.assertEqual(self.succeeds(server, "kv", "get", name, "key").strip(), b"value")


if __name__ == "__main__":
    unittest.main()
