#!/usr/bin/env python3
"""Targets that are full grow while the server runs, and what was written since survives SIGKILL."""

import json
import os
import unittest

from system import NO_SPACE, NOT_FOUND, OK, USAGE, SystemTest, cenote

MIB = 1 << 20


class Grow(SystemTest):
    written = 0

    @staticmethod
    def value(number):
        return f"{number:08} ".encode() * (700_000 // 9)

    def put(self, server, container):
        done = self.cenote(server, "kv", "put", container, f"key-{self.written}", "--stdin",
                           stdin=self.value(self.written))
        self.written += done.returncode == OK
        return done

    def fill(self, server, container):
        while True:
            done = self.put(server, container)
            if done.returncode != OK:
                self.assertEqual(done.returncode, NO_SPACE, done.stderr)
                return

    def all_there(self, server, container):
        for number in range(self.written):
            self.assertEqual(self.succeeds(server, "kv", "get", container, f"key-{number}"), self.value(number))

    def sizes(self, server):
        return [target["total_bytes"] for target in self.json_of(server, "engine", "list")["targets"]]

    def whole(self, server):
        checked = cenote("debug", "check", server.data)
        self.assertEqual(checked.returncode, OK, checked.stdout)

    def test_a_full_system_grows_and_goes_on(self):
        server = self.started()
        container = self.with_container(server)
        before = self.sizes(server)
        self.fill(server, container)
        grown = json.loads(self.succeeds(server, "engine", "grow", "--size", "96MiB", "--json"))
        after = [target["total_bytes"] for target in grown["targets"]]
        for old, new in zip(before, after):
            self.assertGreaterEqual(new, old + 28 * MIB)
        for _ in range(20):
            done = self.put(server, container)
            self.assertEqual(done.returncode, OK, done.stderr)
        # The new space is to be promised to pools, too.
        self.succeeds(server, "pool", "create", "another", "--size", "40MiB")
        server.kill()
        server.start()
        self.assertEqual(self.sizes(server), after)
        self.all_there(server, container)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.whole(server)

    def test_files_that_became_larger_are_used_and_none_shrinks(self):
        server = self.started()
        container = self.with_container(server)
        before = self.sizes(server)
        self.succeeds(server, "engine", "grow")
        self.assertEqual(self.sizes(server), before)
        os.truncate(os.path.join(server.data, "targets", "1"), 100 * MIB)
        self.succeeds(server, "engine", "grow", "--target", "1")
        after = self.sizes(server)
        self.assertEqual(after[0], before[0])
        self.assertGreaterEqual(after[1], before[1] + 34 * MIB)
        for arguments, code in ((("--size", "80MiB", "--target", "1"), USAGE), (("--target", "2"), NOT_FOUND),
                                (("--target", "x"), USAGE), (("--size", "100TiB"), USAGE)):
            done = self.cenote(server, "engine", "grow", *arguments)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
        self.assertEqual(self.sizes(server), after)
        for _ in range(5):
            self.assertEqual(self.put(server, container).returncode, OK)
        server.kill()
        server.start()
        self.all_there(server, container)
        server.stop()
        self.whole(server)
        # What the store relies on now, it misses.
        os.truncate(os.path.join(server.data, "targets", "1"), 90 * MIB)
        cut = cenote("server", "--data", server.data, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
        self.assertNotEqual(cut.returncode, OK)
        self.assertIn(b"blocks", cut.stderr)

    def test_devices_for_the_data_grow(self):
        paths = {role: ",".join(self.path(f"{role}{target}") for target in range(2)) for role in ("wal", "data")}
        server = self.started("--wal-devices", paths["wal"], "--data-devices", paths["data"])
        container = self.with_container(server)
        before = self.sizes(server)
        self.succeeds(server, "engine", "grow", "--size", "200MiB")
        after = self.sizes(server)
        for old, new in zip(before, after):
            self.assertEqual(new, old + 136 * MIB)
        self.assertEqual(self.put(server, container).returncode, OK)
        server.kill()
        server.start()
        self.all_there(server, container)
        self.assertEqual(self.sizes(server), after)
        server.stop()
        self.whole(server)


if __name__ == "__main__":
    unittest.main()
