#!/usr/bin/env python3
"""Encryption at rest: nothing in the data directory tells what is stored, and only the right key opens it."""

import json
import os
import unittest

from system import CORRUPT, NOT_FOUND, OK, PERMISSION, USAGE, SystemTest, cenote

# Of everything that somebody may not read: these words stand in keys, values, names and properties.
TELLING = "Zwetschgenknoedel"
COUNT = 8


class Encryption(SystemTest):
    def key(self, name="key", contents=None, mode=0o600):
        """A key file; the text differs with the name."""
        path = self.path(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(contents if contents is not None else name.encode().hex().ljust(64, "7")[:64] + "\n")
        os.chmod(path, mode)
        return path

    def encrypted(self, key, data="data"):
        return self.started("--encryption-key-file", key, data=data)

    def fill(self, server, first=0):
        for number in range(first, first + COUNT):
            self.succeeds(server, "kv", "put", self.container, f"{TELLING}-key-{number}", f"{TELLING}-value-{number}")

    def holds(self, server, first=0):
        for number in range(first, first + COUNT):
            self.assertEqual(self.succeeds(server, "kv", "get", self.container, f"{TELLING}-key-{number}"),
                             f"{TELLING}-value-{number}".encode())

    def make(self, server):
        self.container = self.with_container(server, f"{TELLING}-pool/{TELLING}-container")
        self.succeeds(server, "container", "set-prop", self.container, f"user.what={TELLING}-property")
        self.fill(server)

    def found(self, server):
        """The files of the data directory that hold the word, and how often."""
        counts = {}
        for folder, _, files in os.walk(server.data):
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    count = file.read().count(TELLING.encode())
                if count > 0:
                    counts[os.path.relpath(path, server.data)] = count
        return counts

    def start_fails(self, server, code, *words, arguments=()):
        done = cenote("server", "--data", server.data, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", *arguments)
        self.assert_start_fails(done, code, *words)
        self.assertNotIn("77777777", done.stderr.decode(), "a key in an error")

    def test_nothing_on_disk_tells_and_only_the_right_key_opens(self):
        key = self.key()
        server = self.encrypted(key)
        self.make(server)
        large = TELLING.encode() * 40_000
        self.succeeds(server, "kv", "put", self.container, "large", "--stdin", stdin=large)
        packed = f"{TELLING}-pool/packed"
        self.succeeds(server, "container", "create", packed, "--property", "compression=lz4")
        self.succeeds(server, "kv", "put", packed, "large", "--stdin", stdin=os.urandom(40_000) + large)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.assertEqual(self.found(server), {})
        self.start_fails(server, PERMISSION, "--encryption-key-file")
        self.start_fails(server, PERMISSION, "fingerprint", arguments=("--encryption-key-file", self.key("other")))
        server.start()
        self.holds(server)
        self.assertEqual(self.succeeds(server, "kv", "get", self.container, "large"), large)
        self.assertEqual(self.succeeds(server, "kv", "get", packed, "large")[40_000:], large)
        self.succeeds(server, "container", "create", f"{TELLING}-pool/plain", "--property", "encryption=off")
        self.succeeds(server, "kv", "put", f"{TELLING}-pool/plain", "large", "--stdin", stdin=large)
        self.assertGreater(len(self.found(server)), 0)
        system = self.json_of(server, "doctor")
        said = [check for check in system["findings"] if check["check"] == "encryption at rest"]
        self.assertEqual([check["level"] for check in said], ["ok"])
        self.assertIn("all 3 stores", said[0]["found"])
        self.assertNotIn("77777777", server.text_of_log())

    def test_a_plain_system_tells(self):
        """What the search above would find."""
        server = self.started()
        self.make(server)
        self.fails(server, USAGE, "container", "create", f"{TELLING}-pool/secret", "--property",
                   "encryption=aes-256-gcm", says=["--encryption-key-file"])
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.assertEqual({"coordinator"} & set(self.found(server)), {"coordinator"})
        self.assertGreater(len(self.found(server)), 1)

    def test_survives_sigkill(self):
        server = self.encrypted(self.key())
        self.make(server)
        for lap in range(1, 4):
            self.fill(server, first=lap * COUNT)
            server.kill()
            self.assertEqual(self.found(server), {})
            server.start()
            for done in range(lap + 1):
                self.holds(server, first=done * COUNT)

    def test_a_plain_system_becomes_encrypted(self):
        server = self.started()
        self.make(server)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        before = sum(self.found(server).values())
        server.arguments += ("--encryption-key-file", self.key())
        server.start()
        self.fill(server, first=COUNT)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.assertLessEqual(sum(self.found(server).values()), before)
        self.start_fails(server, PERMISSION, "encrypted")
        server.start()
        self.holds(server)
        self.holds(server, first=COUNT)

    def test_stores_are_inspected_with_their_key(self):
        key = self.key()
        server = self.encrypted(key)
        self.make(server)
        server.kill()
        shown = cenote("debug", "store", server.data, "--json")
        self.assertEqual(shown.returncode, PERMISSION, shown.stderr)
        for store in json.loads(shown.stdout)["stores"]:
            self.assertTrue(all(place["encrypted"] and not place["mixed"] for place in store["superblocks"]))
            self.assertEqual(store["flaw"]["code"], "key_needed")
        for verb in ("store", "check", "log", "space"):
            done = cenote("debug", verb, server.data, "--encryption-key-file", key, "--json")
            self.assertEqual(done.returncode, OK, (verb, done.stdout, done.stderr))
            self.assertEqual(len(json.loads(done.stdout)["stores"]), 3)
        by_environment = cenote("debug", "check", server.data, CENOTE_ENCRYPTION_KEY_FILE=key)
        self.assertEqual(by_environment.returncode, OK, by_environment.stderr)

    def test_another_key(self):
        old, new = self.key("old"), self.key("new")
        server = self.encrypted(old)
        self.make(server)
        rekey = ("rekey", server.data, "--encryption-key-file", old, "--new-key-file", new)
        self.assertNotEqual(cenote(*rekey).returncode, OK, "while a server has it open")
        self.assertEqual(server.stop(), OK, server.text_of_log())
        wrong = cenote("rekey", server.data, "--encryption-key-file", self.key("third"), "--new-key-file", self.key("fourth"))
        self.assert_fails(wrong, PERMISSION, "fingerprint")
        for _ in range(2):  # one that was interrupted is run again
            done = cenote(*rekey)
            self.assertEqual(done.returncode, OK, done.stderr)
        self.start_fails(server, PERMISSION, "fingerprint", arguments=("--encryption-key-file", old))
        server.arguments = ("--encryption-key-file", new)
        server.start()
        self.holds(server)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.assertEqual(self.found(server), {})

    def test_keys_that_are_not_kept_safe_are_refused(self):
        server = self.server()
        for contents, mode, code, word in ((None, 0o644, PERMISSION, "chmod 600"), (None, 0o660, PERMISSION, "chmod 600"),
                                           ("short", 0o600, USAGE, "64 hexadecimal digits"),
                                           ("7" * 100000, 0o600, USAGE, "longer than a key")):
            key = self.key("bad", contents, mode)
            self.start_fails(server, code, "encryption-key-file", word, arguments=("--encryption-key-file", key))
        self.start_fails(server, NOT_FOUND, "nowhere", arguments=("--encryption-key-file", "/nowhere"))
        self.assertFalse(os.path.exists(server.data), "something was made before the key was read")

    def test_a_command_prints_the_key(self):
        key = self.key()
        server = self.started("--encryption-key-command", f"cat '{key}'")
        self.make(server)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        self.start_fails(server, 1, "encryption-key-command", "failed", arguments=("--encryption-key-command", "exit 7"))
        server.arguments = ("--encryption-key-file", key)
        server.start()
        self.holds(server)

    def test_a_forged_page_is_damage(self):
        key = self.key()
        server = self.encrypted(key)
        self.make(server)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        path = os.path.join(server.data, "coordinator")
        with open(path, "r+b") as file:
            contents = file.read()
            at = next(at for at in range(0, len(contents), 16384) if contents[at + 4:at + 8] == b"CnPg")
            file.seek(at + 5000)
            file.write(bytes([contents[at + 5000] ^ 1]))
        checked = cenote("debug", "check", path, "--encryption-key-file", key)
        self.assertEqual(checked.returncode, CORRUPT, checked.stdout)


if __name__ == "__main__":
    unittest.main()
