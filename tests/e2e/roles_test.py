#!/usr/bin/env python3
"""Targets whose log, metadata and data lie on devices of their own: they work, survive SIGKILL, and a device that is
swapped, missing, older or of another system is named and never used."""

import json
import os
import shutil
import unittest

from system import CORRUPT, FAILURE, OK, USAGE, SystemTest, cenote



class Roles(SystemTest):
    def roles(self, folder="roles"):
        os.makedirs(self.path(folder), exist_ok=True)
        return {role: [self.path(folder, f"{role}{target}") for target in range(2)] for role in ("meta", "wal", "data")}

    def started_with_roles(self, data="data", folder="roles"):
        paths = self.roles(folder)
        server = self.started("--devices", ",".join(paths["meta"]), "--wal-devices", ",".join(paths["wal"]),
                              "--data-devices", ",".join(paths["data"]), data=data)
        return server, paths

    def put(self, server, container, first, count):
        for number in range(first, first + count):
            self.succeeds(server, "kv", "put", container, f"key-{number}", "--stdin", stdin=self.value(number))

    @staticmethod
    def value(number):
        return f"value-{number} ".encode() * (20 if number % 3 else 20000)

    def all_there(self, server, container, count):
        for number in range(count):
            self.assertEqual(self.succeeds(server, "kv", "get", container, f"key-{number}"), self.value(number))

    def start_fails(self, server, code, *words):
        done = cenote("server", "--data", server.data, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr.decode())

    def test_works_and_survives_sigkill(self):
        server, paths = self.started_with_roles()
        container = self.with_container(server)
        for lap in range(3):
            self.put(server, container, lap * 8, 8)
            server.kill()
            # Once more with the same settings, once with none: the data directory knows.
            if lap == 1:
                server.arguments = ()
            server.start()
            self.all_there(server, container, (lap + 1) * 8)
        self.assertEqual(server.stop(), OK, server.text_of_log())
        for target in range(2):
            with open(paths["wal"][target], "rb") as file:
                self.assertIn(b"CenoteLF", file.read())
        checked = cenote("debug", "check", server.data, "--json")
        self.assertEqual(checked.returncode, OK, checked.stderr)
        shown = cenote("debug", "store", server.data, "--json")
        self.assertEqual(shown.returncode, OK, shown.stderr)
        stores = json.loads(shown.stdout)["stores"]
        self.assertEqual([store.get("wal_path") for store in stores], [None, *paths["wal"]])
        self.assertEqual([store.get("data_path") for store in stores], [None, *paths["data"]])
        for verb in ("log", "space"):
            self.assertEqual(cenote("debug", verb, server.data).returncode, OK, verb)
        alone = cenote("debug", "check", paths["meta"][0])
        self.assertNotEqual(alone.returncode, OK)
        self.assertIn(b"all its devices are needed", alone.stdout + alone.stderr)

    def test_wrong_devices_are_named_and_left_alone(self):
        server, paths = self.started_with_roles()
        container = self.with_container(server)
        self.put(server, container, 0, 6)
        server.stop()
        older = self.path("older")
        shutil.copytree(self.path("roles"), older)
        other, others = self.started_with_roles("other", "other-roles")
        other.stop()
        server.start()
        self.put(server, container, 6, 6)
        server.kill()
        newest = self.path("newest")
        shutil.copytree(self.path("roles"), newest)

        def restored():
            for name in os.listdir(newest):
                shutil.copyfile(os.path.join(newest, name), self.path("roles", name))

        def name_of(role, target=0):
            return os.path.basename(paths[role][target])

        os.rename(paths["meta"][0], self.path("aside"))
        os.rename(paths["data"][0], paths["meta"][0])
        os.rename(self.path("aside"), paths["data"][0])
        self.start_fails(server, FAILURE, "swapped?")
        restored()
        # The same role of two targets.
        for role in ("wal", "data"):
            os.rename(paths[role][0], self.path("aside"))
            os.rename(paths[role][1], paths[role][0])
            os.rename(self.path("aside"), paths[role][1])
            self.start_fails(server, FAILURE, "of another store")
            restored()
        for role in ("meta", "wal", "data"):
            shutil.copyfile(os.path.join(older, name_of(role)), paths[role][0])
            self.start_fails(server, CORRUPT, "superblock" if role == "meta" else "older copy")
            restored()
            shutil.copyfile(others[role][0], paths[role][0])
            self.start_fails(server, FAILURE, "target 0")
            restored()
            os.remove(paths[role][0])
            self.start_fails(server, CORRUPT, name_of(role), "is missing")
            restored()
        server.start()
        self.all_there(server, container, 12)

    def test_other_places_than_at_creation_are_refused(self):
        server, paths = self.started_with_roles()
        server.stop()
        moved = cenote("server", "--data", server.data, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0",
                       "--wal-devices", ",".join(reversed(paths["wal"])))
        self.assertEqual(moved.returncode, USAGE, moved.stderr)
        self.assertIn(b"was created with its wal at", moved.stderr)


if __name__ == "__main__":
    unittest.main()
