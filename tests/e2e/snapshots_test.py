#!/usr/bin/env python3
"""Snapshots: what one shows survives kill -9, overwriting and deleting, and its space returns when it goes."""

import os
import random
import time
import unittest

from system import CONFLICT, NO_SPACE, NOT_FOUND, OK, PATIENCE_S, PERMISSION, USAGE, SystemTest, cenote, describe_tree

MIB = 1 << 20


class Snapshots(SystemTest):
    def test_keys_stay_as_they_were_and_their_space_returns(self):
        engine = self.started()
        things = self.with_container(engine)
        chance = random.Random(1)
        values = {f"key-{number}": chance.randbytes(MIB - 1) for number in range(40)}
        for key, value in values.items():
            self.succeeds(engine, "kv", "put", things, key, "--stdin", stdin=value)
        made = self.json_of(engine, "container", "snapshot", "create", things, "monday")
        engine.kill()
        engine.start()
        listed = self.json_of(engine, "container", "snapshot", "list", things)["snapshots"]
        self.assertEqual(listed, [made])

        # Everything is overwritten or deleted; with what follows the targets become full, so that old versions go soon.
        keys = list(values)
        for key in keys[:10]:
            self.succeeds(engine, "kv", "put", things, key, "new")
        for key in keys[10:]:
            self.succeeds(engine, "kv", "del", things, key)
        filler = chance.randbytes(MIB)
        fillers = 0
        while self.put(engine, things, f"filler-{fillers}", filler) == OK:
            fillers += 1
        for key, value in values.items():
            shown = self.succeeds(engine, "kv", "get", things, key, "--snapshot", "monday")
            self.assertTrue(shown == value, f"{key} is not what it was")
        shown = self.json_of(engine, "kv", "list", things, "--snapshot", "monday")["keys"]
        self.assertEqual(shown, sorted(keys))
        self.assertEqual(self.succeeds(engine, "kv", "get", things, keys[0]), b"new")
        self.fails(engine, NOT_FOUND, "kv", "get", things, keys[20], says=(keys[20],))

        self.succeeds(engine, "container", "snapshot", "destroy", things, "monday")
        self.fails(engine, NOT_FOUND, "kv", "get", things, keys[0], "--snapshot", "monday", says=("monday",))
        # All that it kept is there for others.
        give_up = time.monotonic() + PATIENCE_S
        more = 0
        while more < 20 and time.monotonic() < give_up:
            more += self.put(engine, things, f"more-{more}", filler) == OK
        self.assertEqual(more, 20, "the space of a destroyed snapshot does not return")
        self.assertEqual(engine.stop(), 0, engine.text_of_log())

    def put(self, engine, container, key, value):
        done = self.cenote(engine, "kv", "put", container, key, "--stdin", stdin=value)
        self.assertIn(done.returncode, (OK, NO_SPACE), done.stderr)
        return done.returncode

    def test_a_tree_stays_as_it_was(self):
        engine = self.started(size="128MiB")
        home = self.with_container(engine, "pool/home", "posix")
        source = self.path("source")
        os.makedirs(os.path.join(source, "deep", "deeper"))
        chance = random.Random(2)
        for number in range(12):
            with open(os.path.join(source, "deep", f"file-{number}"), "wb") as file:
                file.write(chance.randbytes(number * 100_000))
        os.symlink("file-3", os.path.join(source, "deep", "link"))
        before = describe_tree(source)
        self.succeeds(engine, "fs", "cp", "-r", source, f"{home}:/tree")
        self.succeeds(engine, "container", "snapshot", "create", home, "evening")
        self.succeeds(engine, "fs", "rm", "-r", f"{home}:/tree/deep/deeper")
        self.succeeds(engine, "fs", "mv", f"{home}:/tree/deep/file-5", f"{home}:/tree/file-5")
        with open(self.path("other"), "wb") as file:
            file.write(b"other")
        self.succeeds(engine, "fs", "cp", self.path("other"), f"{home}:/tree/deep/file-7")
        engine.kill()
        engine.start()
        self.succeeds(engine, "fs", "rm", "-r", f"{home}:/tree")

        evening = ("--snapshot", "evening")
        self.succeeds(engine, "fs", "cp", "-r", f"{home}:/tree", self.path("back"), *evening)
        self.assertEqual(describe_tree(self.path("back")), before)
        self.assertEqual(self.succeeds(engine, "fs", "ls", f"{home}:/", *evening), b"tree\n")
        self.assertEqual(self.succeeds(engine, "fs", "ls", f"{home}:/"), b"")
        with open(os.path.join(source, "deep", "file-7"), "rb") as file:
            self.assertEqual(self.succeeds(engine, "fs", "cat", f"{home}:/tree/deep/file-7", *evening), file.read())
        self.assertEqual(self.json_of(engine, "fs", "stat", f"{home}:/tree/deep/file-5", *evening)["size"], 500_000)
        usage = self.json_of(engine, "fs", "du", f"{home}:/tree", *evening)
        self.assertEqual((usage["files"], usage["links"]), (12, 1))
        self.fails(engine, PERMISSION, "fs", "cp", self.path("other"), f"{home}:/other", *evening, says=("snapshot",))
        self.fails(engine, NOT_FOUND, "fs", "ls", f"{home}:/", "--snapshot", "morning", says=("morning",))
        self.assertEqual(engine.stop(), 0, engine.text_of_log())

    def test_a_rollback_undoes_everything_since(self):
        engine = self.started(size="128MiB")
        home = self.with_container(engine, "pool/home", "posix")
        source = self.path("source")
        os.makedirs(os.path.join(source, "deep", "deeper"))
        chance = random.Random(3)
        for number in range(8):
            with open(os.path.join(source, "deep", f"file-{number}"), "wb") as file:
                file.write(chance.randbytes(number * 100_000))
        before = describe_tree(source)
        self.succeeds(engine, "fs", "cp", "-r", source, f"{home}:/tree")
        self.succeeds(engine, "container", "snapshot", "create", home, "good")
        with open(self.path("other"), "wb") as file:
            file.write(chance.randbytes(300_000))
        for number in range(8):
            self.succeeds(engine, "fs", "cp", self.path("other"), f"{home}:/tree/deep/file-{number}")
        self.succeeds(engine, "container", "snapshot", "create", home, "bad")
        self.succeeds(engine, "fs", "mv", f"{home}:/tree/deep/deeper", f"{home}:/elsewhere")
        self.succeeds(engine, "fs", "rm", "-r", f"{home}:/tree")

        rollback = ("container", "snapshot", "rollback", home)
        self.fails(engine, CONFLICT, *rollback, "good", says=("bad", "force"))
        self.fails(engine, NOT_FOUND, *rollback, "best", says=("best",))
        self.assertEqual(self.succeeds(engine, "fs", "ls", f"{home}:/"), b"elsewhere\n")
        told = self.json_of(engine, *rollback, "good", "--force")
        self.assertEqual(told["rolled_back_to"]["name"], "good")
        engine.kill()
        engine.start()
        self.succeeds(engine, "fs", "cp", "-r", f"{home}:/tree", self.path("back"))
        self.assertEqual(describe_tree(self.path("back")), before)
        self.assertEqual(self.succeeds(engine, "fs", "ls", f"{home}:/"), b"tree\n")
        names = [snapshot["name"] for snapshot in self.json_of(engine, "container", "snapshot", "list", home)["snapshots"]]
        self.assertEqual(names, ["good"])
        # Life goes on, and a second rollback finds the same.
        self.succeeds(engine, "fs", "cp", self.path("other"), f"{home}:/tree/deep/file-1")
        self.succeeds(engine, *rollback, "good")
        self.succeeds(engine, "fs", "cp", "-r", f"{home}:/tree", self.path("again"))
        self.assertEqual(describe_tree(self.path("again")), before)
        self.assertEqual(engine.stop(), 0, engine.text_of_log())

    def test_a_clone_goes_its_own_way_and_outlives_its_source(self):
        engine = self.started(size="128MiB")
        home = self.with_container(engine, "pool/home", "posix")
        source = self.path("source")
        os.makedirs(os.path.join(source, "deep"))
        chance = random.Random(4)
        for number in range(8):
            with open(os.path.join(source, "deep", f"file-{number}"), "wb") as file:
                file.write(chance.randbytes(number * 100_000))
        before = describe_tree(source)
        self.succeeds(engine, "fs", "cp", "-r", source, f"{home}:/tree")
        self.succeeds(engine, "container", "snapshot", "create", home, "good")
        with open(self.path("other"), "wb") as file:
            file.write(chance.randbytes(300_000))
        self.succeeds(engine, "fs", "cp", self.path("other"), f"{home}:/tree/deep/file-1")

        clone = ("container", "clone", home)
        made = self.json_of(engine, *clone, "pool/old", "--snapshot", "good")
        self.assertEqual(made["used_bytes"], 0)
        self.assertEqual(made["type"], "posix")
        self.succeeds(engine, *clone, "pool/now")
        self.fails(engine, CONFLICT, *clone, "pool/now", says=("now",))
        self.fails(engine, NOT_FOUND, *clone, "pool/other", "--snapshot", "best", says=("best",))
        self.fails(engine, USAGE, *clone, "pond/other", says=("pool",))
        self.fails(engine, CONFLICT, "container", "snapshot", "rollback", home, "good", "--force", says=("now",))
        engine.kill()
        engine.start()
        self.succeeds(engine, "fs", "rm", "-r", f"{home}:/tree")
        self.succeeds(engine, "fs", "cp", "-r", "pool/old:/tree", self.path("old"))
        self.assertEqual(describe_tree(self.path("old")), before)
        self.assertEqual(self.json_of(engine, "fs", "stat", "pool/now:/tree/deep/file-1")["size"], 300_000)
        self.succeeds(engine, "fs", "rm", "pool/now:/tree/deep/file-2")
        self.succeeds(engine, "fs", "cp", self.path("other"), "pool/now:/tree/deep/file-8")
        self.succeeds(engine, "container", "destroy", home)
        self.fails(engine, NOT_FOUND, "container", "query", home, says=("home",))
        engine.kill()
        engine.start()
        self.succeeds(engine, "container", "clone", "pool/now", "pool/later")
        self.succeeds(engine, "container", "destroy", "pool/now")
        files = self.succeeds(engine, "fs", "ls", "pool/later:/tree/deep").split()
        self.assertEqual(files, [f"file-{number}".encode() for number in (0, 1, 3, 4, 5, 6, 7, 8)])
        self.succeeds(engine, "fs", "cp", "-r", "pool/old:/tree", self.path("again"))
        self.assertEqual(describe_tree(self.path("again")), before)

        # Both are flattened, one of them over kill -9: then nobody needs what was destroyed.
        self.succeeds(engine, "container", "set-prop", "pool/old", "quota=1MiB")
        flatten = ("container", "flatten", "pool/old")
        self.fails(engine, NO_SPACE, *flatten, says=("flattening 'old'",))
        self.succeeds(engine, "container", "set-prop", "pool/old", "quota=none")
        begun = self.json_of(engine, *flatten)
        self.assertEqual(begun["label"], "old")
        engine.kill()
        engine.start()
        for clone in ("pool/old", "pool/later"):
            done = self.json_of(engine, "container", "flatten", clone, "--wait")
            self.assertNotIn("clone_of", done)
            self.assertNotIn("flattening", done)
            self.assertGreaterEqual(done["used_bytes"], 2_800_000)
        engine.kill()
        engine.start()
        self.succeeds(engine, "fs", "cp", "-r", "pool/old:/tree", self.path("flat"))
        self.assertEqual(describe_tree(self.path("flat")), before)
        self.assertEqual(self.succeeds(engine, "fs", "ls", "pool/later:/tree/deep").split(), files)
        self.assertNotIn("clone_of", self.json_of(engine, "container", "query", "pool/old"))
        self.assertEqual(self.json_of(engine, "container", "check", "pool/later")["state"], "whole")
        self.assertEqual(engine.stop(), 0, engine.text_of_log())

    def test_a_flattening_that_is_half_done_survives_a_kill_and_goes_on_when_there_is_space(self):
        engine = self.started()
        source = self.with_container(engine)
        self.succeeds(engine, "container", "create", "pool/filler")
        chance = random.Random(5)
        values = {f"key-{number}": chance.randbytes(MIB - 1) for number in range(16)}
        for key, value in values.items():
            self.succeeds(engine, "kv", "put", source, key, "--stdin", stdin=value)
        self.succeeds(engine, "container", "clone", source, "pool/clone")
        self.succeeds(engine, "kv", "put", "pool/clone", "key-1", "of the clone")
        self.succeeds(engine, "kv", "del", "pool/clone", "key-2")
        cloned = {key: value for key, value in values.items() if key != "key-2"} | {"key-1": b"of the clone"}
        self.succeeds(engine, "container", "clone", "pool/clone", "pool/second")
        self.succeeds(engine, "container", "snapshot", "create", "pool/clone", "before")
        self.succeeds(engine, "kv", "put", "pool/clone", "key-3", "later")
        now = cloned | {"key-3": b"later"}
        views = [((source,), values), (("pool/clone",), now), (("pool/clone", "--snapshot", "before"), cloned),
                 (("pool/second",), cloned)]

        # Then one target has room for some of what is to be copied to it, and a sixteenth is left to requests.
        filler = chance.randbytes(MIB)
        fillers = 0
        while (room := min(target["free_bytes"] - target["total_bytes"] // 16 - 3 * MIB
                           for target in self.json_of(engine, "engine", "list")["targets"])) > 0:
            for _ in range(room // MIB + 1):
                self.succeeds(engine, "kv", "put", "pool/filler", f"filler-{fillers}", "--stdin", stdin=filler)
                fillers += 1
        self.succeeds(engine, "container", "flatten", "pool/clone")
        self.wait_for_obstacle(engine, "pool/clone", "left to requests")
        self.assertGreater(self.json_of(engine, "container", "query", "pool/clone")["used_bytes"], 2 * MIB)
        engine.kill()
        self.assertEqual(cenote("debug", "check", engine.data).returncode, OK)
        engine.start()
        self.wait_for_obstacle(engine, "pool/clone", "left to requests")
        for view, expected in views:
            self.assert_shows(engine, view, expected)
        self.succeeds(engine, "container", "destroy", source)
        self.succeeds(engine, "container", "destroy", "pool/filler")
        done = self.json_of(engine, "container", "flatten", "pool/clone", "--wait")
        self.assertNotIn("clone_of", done)
        engine.kill()
        self.assertEqual(cenote("debug", "check", engine.data).returncode, OK)
        engine.start()
        for view, expected in views[1:]:
            self.assert_shows(engine, view, expected)
        self.assertEqual(engine.stop(), 0, engine.text_of_log())

    def wait_for_obstacle(self, engine, container, words):
        give_up = time.monotonic() + PATIENCE_S
        obstacle = ""
        while words not in obstacle and time.monotonic() < give_up:
            obstacle = self.json_of(engine, "container", "query", container)["flattening"]["obstacle"]
        self.assertIn(words, obstacle)

    def assert_shows(self, engine, view, expected):
        """What `kv list` and `kv get` say of a container, or of a snapshot."""
        container, *at = view
        self.assertEqual(self.json_of(engine, "kv", "list", container, *at)["keys"], sorted(expected))
        for key, value in expected.items():
            shown = self.succeeds(engine, "kv", "get", container, key, *at)
            self.assertTrue(shown == value, f"{key} of {view} is not what it was")

    def test_a_clone_that_is_gone_and_has_clones_is_in_the_way_of_a_rollback(self):
        engine = self.started()
        things = self.with_container(engine)
        self.succeeds(engine, "kv", "put", things, "a", "1")
        self.succeeds(engine, "container", "snapshot", "create", things, "good")
        self.succeeds(engine, "kv", "put", things, "a", "2")
        self.succeeds(engine, "container", "clone", things, "pool/first")
        self.succeeds(engine, "container", "clone", "pool/first", "pool/second")
        self.succeeds(engine, "container", "destroy", "pool/first")
        rollback = ("container", "snapshot", "rollback", things, "good", "--force")
        self.fails(engine, CONFLICT, *rollback, says=("'second'",))
        self.succeeds(engine, "kv", "put", things, "a", "3")
        self.succeeds(engine, "container", "snapshot", "create", things, "later")
        self.assertEqual(engine.stop(), 0, engine.text_of_log())
        engine.start()
        self.assertEqual(self.succeeds(engine, "kv", "get", things, "a"), b"3")
        self.assertEqual(self.succeeds(engine, "kv", "get", "pool/second", "a"), b"2")

    def test_objects_and_names(self):
        engine = self.started()
        things = self.with_container(engine)
        identity = self.json_of(engine, "object", "put", things, "new", "d", "a", "one")["object"]
        self.succeeds(engine, "container", "snapshot", "create", things, "s:1")
        self.succeeds(engine, "object", "put", things, identity, "d", "a", "two")
        self.succeeds(engine, "object", "put", things, identity, "e", "a", "three")
        at = ("--snapshot", "s:1")
        self.assertEqual(self.succeeds(engine, "object", "get", things, identity, "d", "a", *at), b"one")
        self.assertEqual(self.succeeds(engine, "object", "get", things, identity, "d", "a"), b"two")
        self.assertEqual(self.json_of(engine, "object", "list", things, identity, *at)["entries"], ["d"])
        self.assertEqual(self.json_of(engine, "object", "stat", things, identity, *at)["dkeys"], 1)
        self.fails(engine, CONFLICT, "container", "snapshot", "create", things, "s:1", says=("s:1", "already"))
        for name in ("a/b", "white space", ""):
            done = self.cenote(engine, "container", "snapshot", "create", things, name)
            self.assert_fails(done, USAGE, "label")
        self.assertIn(b"s:1", self.succeeds(engine, "container", "snapshot", "list", things))
        self.succeeds(engine, "container", "destroy", things)
        self.succeeds(engine, "container", "create", things)
        self.assertEqual(self.json_of(engine, "container", "snapshot", "list", things)["snapshots"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
