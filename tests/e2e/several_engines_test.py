#!/usr/bin/env python3
"""Two engines and a real etcd form one system: whom clients may ask, what happens when one of the three dies."""

import json
import subprocess
import unittest

from cluster import ClusterTest
from system import BUSY, CENOTE, FAILURE, OK, TIMEOUT, UNREACHABLE, USAGE, cenote, environment


class SeveralEngines(ClusterTest):
    def start_fails(self, code, *arguments, says):
        done = cenote("server", "--listen", "127.0.0.1:0", "--control", "none", *arguments)
        self.assert_start_fails(done, code, *says)

    def test_a_system_of_two_engines(self):
        servers = [self.joining("a", "--name", "pair", "--fault-domain", "rack1/a"), self.joining("b", "--fault-domain", "rack2/b")]
        for server in servers:
            server.start()
        rank = self.until(lambda: self.leader(servers[1]), "somebody leads")[0]
        self.assertEqual(self.until(lambda: self.leader(servers[0]), "the other one knows"), [rank])
        for server in servers:
            seen = self.json_of(server, "system", "query")
            self.assertEqual(seen["name"], "pair")
            self.assertEqual([(engine["rank"], engine["state"], engine["first_target"], engine["fault_domain"])
                              for engine in seen["engines"]], [(0, "up", 0, "rack1/a"), (1, "up", 2, "rack2/b")])
            self.assertEqual([engine["addresses"] for engine in seen["engines"]], [[each.address] for each in servers])
        self.assertIn(b"rack1/a", self.succeeds(servers[1], "system", "query"))

        # Whoever is asked, the leader answers.
        leader, other = servers[rank], servers[1 - rank]
        self.succeeds(other, "pool", "create", "p", "--size", "10MiB")
        self.assertEqual(self.succeeds(leader, "pool", "list"), self.succeeds(other, "pool", "list"))

        # What is in a container lies on both.
        self.succeeds(other, "container", "create", "p/c", "--type", "kv")
        for key in range(8):
            self.succeeds(servers[key % 2], "kv", "put", "p/c", f"key{key}", f"value{key}")
        self.assertTrue(all(self.updates(server) > 0 for server in servers))
        self.check_targets_of_all(servers)
        self.check_top_under_load(servers)

        # The leader dies; the other takes over; the dead one comes back as soon as its lease has ended.
        leader.kill()
        self.succeeds(other, "pool", "create", "q", "--size", "10MiB")
        self.assertEqual(self.leader(other), [1 - rank])
        codes = set()
        for key in range(8):
            done = cenote("--timeout", "2s", "kv", "get", "p/c", f"key{key}", CENOTE_SERVER=other.address)
            codes.add(done.returncode)
            self.assertEqual(done.stdout.strip(), f"value{key}".encode() if done.returncode == OK else b"")
        self.assertTrue(OK in codes and codes <= {OK, BUSY, UNREACHABLE, TIMEOUT} and len(codes) > 1,
                        f"{codes}: what is on the dead one waits for it, the rest is served")
        leader.start()
        for key in range(8):
            self.assertEqual(self.succeeds(other, "kv", "get", "p/c", f"key{key}").strip(), f"value{key}".encode())
        pools = self.json_of(leader, "pool", "list")["pools"]
        self.assertEqual(sorted(pool["label"] for pool in pools), ["p", "q"])

        # etcd dies; nobody serves beyond the lease; it comes back, and so do they.
        self.etcd.kill()
        for server in servers:
            self.until(lambda: not self.is_ready(server), "an engine without a lease serves nothing")
        done = cenote("--timeout", "1s", "system", "query", CENOTE_SERVER=other.address)
        self.assert_fails(done, BUSY, "lease")
        self.etcd.start()
        for server in servers:
            self.until(lambda: self.is_ready(server), "the engine serves again")
            self.assertEqual(len(self.json_of(server, "pool", "list")["pools"]), 2)

        # A directory stays with its system.
        self.assertEqual(leader.stop(), OK, leader.text_of_log())
        self.start_fails(FAILURE, "--data", leader.data, "--coordinator", self.etcd.url, "--coordinator-root", "other/",
                         says=("no system", leader.data, self.etcd.url))
        self.start_fails(FAILURE, "--data", leader.data, says=("outside coordinator", leader.data))
        gone = [engine["state"] for engine in self.engines(other)]
        self.assertEqual(gone[rank], "gone")
        listed = self.json_of(other, "engine", "list")["targets_of_engines"][rank]
        self.assertEqual((listed["state"], "targets" in listed), ("gone", False))
        self.assertIn(b"the engine is gone", self.succeeds(other, "engine", "list"))
        self.assert_fails(self.cenote(other, "engine", "list", "--engine", rank), BUSY, "gone")
        seen = self.json_of(other, "top", "--once", "--interval", "100ms")["engines"][rank]
        self.assertEqual((seen["state"], seen["answers"]), ("gone", "not asked"))
        self.assertEqual(other.stop(), OK, other.text_of_log())

    def check_targets_of_all(self, servers):
        own = [self.json_of(server, "engine", "list")["targets"] for server in servers]
        for server in servers:
            listed = self.json_of(server, "engine", "list")["targets_of_engines"]
            self.assertEqual([(entry["engine"], entry["state"], [target["id"] for target in entry["targets"]])
                              for entry in listed],
                             [(rank, "up", [target["id"] for target in own[rank]]) for rank in (0, 1)])
        one = self.json_of(servers[0], "engine", "list", "--engine", 1)
        self.assertEqual([target["id"] for target in one["targets"]], [target["id"] for target in own[1]])
        self.assertEqual([entry["engine"] for entry in one["targets_of_engines"]], [1])
        table = self.succeeds(servers[0], "engine", "list").decode().splitlines()
        self.assertEqual([line.split()[:2] for line in table],
                         [["ENGINE", "TARGET"], ["0", "0"], ["0", "1"], ["1", "0"], ["1", "1"]])

    def check_top_under_load(self, servers):
        self.succeeds(servers[0], "pool", "create", "busy", "--size", "40MiB")
        self.succeeds(servers[0], "container", "create", "busy/load")
        bench = subprocess.Popen([CENOTE, "bench", "busy/load", "--workload", "update", "--working-set", "1MiB", "--depth",
                                  "4", "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=environment(CENOTE_SERVER=servers[0].address))
        top = subprocess.Popen([CENOTE, "top", "--json", "--interval", "200ms"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment(CENOTE_SERVER=servers[1].address))
        try:
            for line in top.stdout:
                seen = json.loads(line)
                self.assertEqual([(engine["engine"], engine["answers"]) for engine in seen["engines"]],
                                 [(0, "yes"), (1, "yes")])
                self.assertIsNone(bench.poll(), "there is no load any more")
                if seen["total"]["writes_per_s"] > 0 and "update_s" in seen["total"]:
                    break
        finally:
            bench.terminate()
            bench.communicate()
            top.terminate()
            complaints = top.communicate()[1]
        self.assertEqual((top.returncode, complaints), (OK, b""))
        self.assertGreater(seen["total"]["received_bytes_per_s"], 0)
        self.assertGreater(seen["total"]["free_bytes"], 0)
        once = self.succeeds(servers[0], "top", "--once", "--interval", "100ms").decode()
        self.assertIn("pair: 2 of 2 engines up", once)
        self.succeeds(servers[0], "pool", "destroy", "busy", "--force")
        self.assert_fails(self.cenote(servers[0], "top", "--interval", "1ms"), USAGE, "--interval")


if __name__ == "__main__":
    unittest.main()
