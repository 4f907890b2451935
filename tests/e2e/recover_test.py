#!/usr/bin/env python3
"""Three engines whose etcd is lost for good: a new one is made of what they remember."""

import json
import shutil
import unittest

from cluster import ClusterTest, Etcd
from system import BUSY, CONFLICT, NOT_FOUND, OK, USAGE, cenote


class Recover(ClusterTest):
    def recover(self, *arguments, servers=()):
        named = [part for server in servers for part in ("--from", server.data)]
        return cenote("system", "recover", *named, "--coordinator", self.etcd.url, *arguments)

    def lose_everything(self, servers):
        self.etcd.kill()
        shutil.rmtree(self.etcd.directory)
        for server in servers:
            server.kill()
        self.etcd = Etcd(self.path("another"))
        self.addCleanup(self.etcd.kill)
        self.etcd.start()

    def start_together(self, servers):
        for server in servers:
            at = server.arguments.index("--coordinator")
            server.arguments = (*server.arguments[:at + 1], self.etcd.url, *server.arguments[at + 2:])
            server.launch()
        for server in servers:
            server.await_ready()

    def test_the_coordinator_is_lost(self):
        servers = [self.joining(name, "--name", "precious") for name in "abc"]
        for server in servers:
            server.start()
        self.until(lambda: self.leader(servers[0]), "somebody leads")
        first = servers[0]
        self.succeeds(first, "pool", "create", "p", "--size", "40MiB", "--redundancy", "1")
        self.succeeds(first, "container", "create", "p/c", "--type", "kv")
        for key in range(9):
            self.succeeds(servers[key % 3], "kv", "put", "p/c", f"key{key}", f"old{key}")
        self.succeeds(first, "container", "snapshot", "create", "p/c", "before")
        for key in range(9):
            self.succeeds(servers[key % 3], "kv", "put", "p/c", f"key{key}", f"value{key}")
        before = self.json_of(first, "system", "query")["engines"]
        # Of the last moment: it is answered when it is in the copies.
        self.succeeds(first, "container", "create", "p/last", "--type", "kv")
        self.succeeds(first, "container", "destroy", "p/last")
        self.succeeds(first, "container", "create", "p/files", "--type", "posix")
        self.lose_everything(servers)

        # A directory that is of this system joins no other, and one too few is not enough.
        self.assert_fails(self.recover(servers=servers[:2]), NOT_FOUND, "--incomplete", "1 of 3 engines")
        self.assert_fails(self.recover(), USAGE, "--from")
        tried = json.loads(self.recover("--dry-run", "--json", servers=servers).stdout)
        self.assertEqual((tried["name"], tried["engines"], tried["missing"], tried["pools"], tried["containers"],
                          tried["snapshots"], tried["recovered"]), ("precious", 3, [], 1, 2, 1, False))
        copies = [self.path(f"copy{number}") for number in range(3)]
        for server, copy in zip(servers, copies):
            shutil.copy(server.data + "/control-copy", copy)
        done = cenote("system", "recover", *[part for copy in copies for part in ("--from", copy)], "--coordinator",
                      self.etcd.url)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn(b"3 engines, 1 pools, 2 containers, 1 snapshots", done.stdout)
        self.assert_fails(self.recover(servers=servers), CONFLICT, "already", "precious")

        self.start_together(servers)
        self.until(lambda: self.leader(first), "somebody leads")
        after = self.json_of(first, "system", "query")["engines"]
        for engine in before + after:
            engine.pop("leader")
        self.assertEqual(after, before)
        for key in range(9):
            self.assertEqual(self.succeeds(servers[key % 3], "kv", "get", "p/c", f"key{key}").strip(),
                             f"value{key}".encode())
            seen = self.succeeds(servers[key % 3], "kv", "get", "p/c", f"key{key}", "--snapshot", "before")
            self.assertEqual(seen.strip(), f"old{key}".encode())
        listed = self.json_of(first, "container", "list", "p")["containers"]
        self.assertEqual(sorted(container["label"] for container in listed), ["c", "files"])
        self.succeeds(first, "container", "create", "p/more", "--type", "kv")
        self.succeeds(servers[1], "kv", "put", "p/more", "key", "value")
        self.succeeds(servers[2], "fs", "mkdir", "p/files:/folder")
        self.assert_fails(self.recover("--dry-run", servers=servers), BUSY, "runs", first.data)
        ended = cenote("system", "recover", "--forget-unknown", "--coordinator", self.etcd.url)
        self.assertEqual(ended.returncode, OK, ended.stderr)
        for server in servers:
            self.assertNotIn("no record knows", server.text_of_log())
            self.assertEqual(server.stop(), OK, server.text_of_log())


if __name__ == "__main__":
    unittest.main()
