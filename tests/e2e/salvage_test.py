#!/usr/bin/env python3
"""`cenote debug salvage`: what can be read of a damaged store goes on in a new one."""

import json
import os
import signal
import subprocess
import unittest

from system import BUSY, CONFLICT, CORRUPT, NOT_FOUND, OK, PERMISSION, USAGE, SystemTest, cenote, environment, CENOTE
from damage_test import BLOCK, SUPERBLOCKS, digest, flip


class Salvage(SystemTest):
    def filled(self, *arguments):
        server = self.started(*arguments)
        container = self.with_container(server)
        for number in range(16):
            self.succeeds(server, "kv", "put", container, f"key-{number}", "--stdin", stdin=self.value(number))
        return server, container

    @staticmethod
    def value(number):
        return f"value-{number} ".encode() * (20 if number % 3 else 2000)

    def target(self, server, number=0):
        return os.path.join(server.data, "targets", str(number))

    def salvages(self, code, *arguments):
        done = cenote("debug", "salvage", *arguments, "--json")
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        return json.loads(done.stdout)

    def states(self, server, container):
        """Of each key: True, or the exit code."""
        states = {}
        for number in range(16):
            done = self.cenote(server, "kv", "get", container, f"key-{number}")
            states[number] = done.stdout == self.value(number) if done.returncode == OK else done.returncode
        return states

    def stored_block(self, server):
        """A target and a block of it where data lies."""
        for number in range(2):
            shown = cenote("debug", "space", self.target(server, number), "--json")
            for container in json.loads(shown.stdout)["stores"][0]["containers"]:
                tree = cenote("debug", "tree", self.target(server, number), str(container["tree"]), "--limit", "1000",
                              "--json")
                for entry in json.loads(tree.stdout)["stores"][0]["entries"]:
                    if entry.get("extents"):
                        return number, entry["extents"][0]["block"]
        self.fail("nothing is stored in blocks")

    def test_all_stores_of_a_killed_server(self):
        server, container = self.filled()
        server.kill()
        for choice, name in ((["--coordinator"], "coordinator"), (["--target", "0"], "targets/0"),
                             (["--target", "1"], "targets/1")):
            old = os.path.join(server.data, name)
            before = digest(old)
            document = self.salvages(OK, server.data, *choice, "--into", self.path("new"))
            self.assertEqual(document["findings"], [])
            self.assertEqual(document["basis"], "recovered")
            self.assertEqual(digest(old), before, "the old store was written")
            self.assertFalse(os.path.exists(self.path("new.part")))
            os.rename(self.path("new"), old)
        self.assertEqual(cenote("debug", "check", server.data).returncode, OK)
        server.start()
        self.assertEqual(set(self.states(server, container).values()), {True})
        self.succeeds(server, "kv", "put", container, "more", "value")

    def test_damaged_data_is_told_and_the_rest_goes_on(self):
        server, container = self.filled()
        self.assertEqual(server.stop(), OK, server.text_of_log())
        number, block = self.stored_block(server)
        flip(self.target(server, number), block * BLOCK + 77)
        text = cenote("debug", "salvage", server.data, "--target", str(number), "--into", self.path("new"))
        self.assertEqual(text.returncode, CORRUPT, text.stderr)
        self.assertIn("LOST: 1 findings", text.stdout.decode())
        document = self.salvages(CORRUPT, server.data, "--target", str(number), "--into", self.path("new"), "--force")
        self.assertEqual([finding["kind"] for finding in document["findings"]], ["data"])
        self.assertEqual(document["containers"][0]["damaged_values"], 1)
        lost = int(document["findings"][0]["dkey"].split("-")[1])
        os.rename(self.path("new"), self.target(server, number))
        server.start()
        expected = {key: CORRUPT if key == lost else True for key in range(16)}
        self.assertEqual(self.states(server, container), expected)
        self.succeeds(server, "kv", "put", container, f"key-{lost}", "--stdin", stdin=self.value(lost))
        self.assertEqual(set(self.states(server, container).values()), {True})

    def test_devices_of_their_own_and_a_key(self):
        with open(self.path("key"), "wb") as file:
            file.write(os.urandom(32).hex().encode())
        os.chmod(self.path("key"), 0o600)
        key = ["--encryption-key-file", self.path("key")]
        paths = {role: [self.path(f"{role}{target}") for target in range(2)] for role in ("meta", "wal", "data")}
        server, container = self.filled("--devices", ",".join(paths["meta"]), "--wal-devices", ",".join(paths["wal"]),
                                        "--data-devices", ",".join(paths["data"]), *key)
        server.kill()
        done = cenote("debug", "salvage", server.data, "--target", "1", "--into", self.path("new"))
        self.assert_fails(done, PERMISSION, "key")
        self.assertEqual([name for name in os.listdir(self.directory) if name.startswith("new")], [])
        self.salvages(OK, server.data, "--target", "1", "--into", self.path("new"), *key)
        for role, name in (("meta", "new"), ("wal", "new.wal"), ("data", "new.data")):
            os.rename(self.path(name), paths[role][1])
        server.start()
        self.assertEqual(set(self.states(server, container).values()), {True})

    def test_what_it_refuses(self):
        server, _ = self.filled()
        done = cenote("debug", "salvage", server.data, "--target", "0", "--into", self.path("new"))
        self.assert_fails(done, BUSY, "stop it first")
        self.assertEqual(server.stop(), OK, server.text_of_log())
        salvage = lambda *arguments: cenote("debug", "salvage", *arguments)
        self.assert_fails(salvage(server.data, "--into", self.path("new")), USAGE, "--target", "--coordinator")
        self.assert_fails(salvage(server.data, "--target", "7", "--into", self.path("new")), USAGE, "target 7")
        self.assert_fails(salvage(self.path("none"), "--into", self.path("new")), NOT_FOUND, "none")
        self.assert_fails(salvage(self.target(server), "--target", "0", "--into", self.path("new")), USAGE, "one store")
        self.assert_fails(salvage(self.target(server), "--into", self.path("no", "new")), NOT_FOUND, "no/new")
        with open(self.path("new"), "wb") as file:
            file.write(b"mine")
        self.assert_fails(salvage(self.target(server), "--into", self.path("new")), CONFLICT, "--force")
        done = salvage(self.target(server), "--into", self.target(server), "--force")
        self.assert_fails(done, USAGE, "itself")
        # Without any superblock there is nothing to begin with, and the file that is there stays.
        for place in SUPERBLOCKS:
            flip(self.target(server), place + 100)
        self.assert_fails(salvage(self.target(server), "--into", self.path("new"), "--force"), CORRUPT, "superblocks")
        with open(self.path("new"), "rb") as file:
            self.assertEqual(file.read(), b"mine")
        self.assertFalse(os.path.exists(self.path("new.part")))

    def test_a_full_disk_and_sigkill_leave_nothing_under_the_name(self):
        server, _ = self.filled()
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.assertEqual(
            cenote("debug", "salvage", self.target(server), "--into", self.path("new"), "--size", "1EiB").returncode != OK,
            True)
        self.assertEqual([name for name in os.listdir(self.directory) if name.startswith("new")], [])
        before = digest(self.target(server))
        for delay in (0.005, 0.02, 0.05, 0.1, 0.2):
            running = subprocess.Popen([CENOTE, "debug", "salvage", self.target(server), "--into", self.path("new")],
                                       env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                running.wait(delay)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.wait()
            if os.path.exists(self.path("new")):
                self.assertEqual(cenote("debug", "check", self.path("new")).returncode, OK)
                os.remove(self.path("new"))
        self.assertEqual(digest(self.target(server)), before)
        self.salvages(OK, self.target(server), "--into", self.path("new"))
        self.assertFalse(os.path.exists(self.path("new.part")))


if __name__ == "__main__":
    unittest.main()
