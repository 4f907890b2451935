#!/usr/bin/env python3
"""Files go in and come back as they were."""

import os
import random
import unittest

from system import CONFLICT, FAILURE, NOT_FOUND, NO_SPACE, USAGE, SystemTest, describe_tree

MIB = 1 << 20


def make_tree(root):
    """Files of awkward sizes and names, links, an empty directory, a deep one."""
    chance = random.Random(20260101)
    os.makedirs(os.path.join(root, "empty"))
    os.makedirs(os.path.join(root, *(["deep"] * 12)))
    sizes = [0, 1, 4095, 4096, 4097, 65536, MIB - 1, MIB, MIB + 1, 3 * MIB + 12345]
    for number, size in enumerate(sizes):
        path = os.path.join(root, f"file-{number}")
        with open(path, "wb") as file:
            file.write(chance.randbytes(size))
        os.chmod(path, (0o600, 0o644, 0o755, 0o444)[number % 4])
    for name in ("white space", "ünïcödé", "-dash", "quote'\"", "n" * 255, "back\\slash", "colon:name"):
        with open(os.path.join(root, "deep", name), "w", encoding="utf-8") as file:
            file.write(name)
    os.symlink("../file-3", os.path.join(root, "deep", "link"))
    os.symlink("/nowhere/at/all", os.path.join(root, "dangling"))
    for number in range(300):
        with open(os.path.join(root, "deep", "deep", f"{number}"), "w", encoding="utf-8") as file:
            file.write(f"small file {number}\n" * (number % 7))


class Files(SystemTest):
    def setUp(self):
        super().setUp()
        self.engine = self.started(size="256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")

    def test_a_tree_comes_back_as_it_was(self):
        source = self.path("source")
        make_tree(source)
        copied = self.json_of(self.engine, "fs", "cp", "-r", source, f"{self.home}:/tree")
        before = describe_tree(source)
        self.assertEqual(copied["files"], sum(entry.startswith("file ") for entry in before.values()))
        self.assertEqual(copied["links"], 2)
        self.succeeds(self.engine, "fs", "cp", "-r", f"{self.home}:/tree", self.path("back"))
        self.assertEqual(describe_tree(self.path("back")), before)
        # A stop and a start change nothing, nor does copying over what is there.
        self.assertEqual(self.engine.stop(), 0, self.engine.text_of_log())
        self.engine.start()
        self.succeeds(self.engine, "fs", "cp", "-r", source, f"{self.home}:/tree")
        self.succeeds(self.engine, "fs", "cp", "-r", f"{self.home}:/tree", self.path("again"))
        self.assertEqual(describe_tree(self.path("again")), before)
        used = self.json_of(self.engine, "fs", "du", f"{self.home}:/tree")
        self.assertEqual(used["files"], copied["files"])

    def test_single_files(self):
        path = self.path("note")
        contents = os.urandom(100_000)
        with open(path, "wb") as file:
            file.write(contents)
        self.succeeds(self.engine, "fs", "mkdir", "-p", f"{self.home}:/a/b")
        self.succeeds(self.engine, "fs", "cp", path, f"{self.home}:/a/b")
        self.assertEqual(self.succeeds(self.engine, "fs", "cat", f"{self.home}:/a/b/note"), contents)
        self.assertEqual(self.json_of(self.engine, "fs", "stat", f"{self.home}:/a/b/note")["size"], len(contents))
        self.succeeds(self.engine, "fs", "mv", f"{self.home}:/a/b/note", f"{self.home}:/a/moved")
        self.assertEqual(self.succeeds(self.engine, "fs", "ls", f"{self.home}:/a").split(), [b"b", b"moved"])
        self.succeeds(self.engine, "fs", "cp", f"{self.home}:/a/moved", self.path("copy"))
        with open(self.path("copy"), "rb") as file:
            self.assertEqual(file.read(), contents)
        self.succeeds(self.engine, "fs", "rm", "-r", f"{self.home}:/a")
        self.assertEqual(self.succeeds(self.engine, "fs", "ls", f"{self.home}:/"), b"")

    def test_a_copy_that_fails_leaves_no_part_behind(self):
        # A regular file whose reading fails after the target has been made.
        unreadable = "/proc/self/mem"
        self.fails(self.engine, FAILURE, "fs", "cp", unreadable, f"{self.home}:/part", says=[unreadable])
        self.assertEqual(self.succeeds(self.engine, "fs", "ls", f"{self.home}:/"), b"")
        # What was there before is not this copy's to remove.
        with open(self.path("note"), "wb") as file:
            file.write(b"note")
        self.succeeds(self.engine, "fs", "cp", self.path("note"), f"{self.home}:/part")
        self.fails(self.engine, FAILURE, "fs", "cp", unreadable, f"{self.home}:/part")
        self.assertIn(b"part", self.succeeds(self.engine, "fs", "ls", f"{self.home}:/").split())

    def test_a_full_system_keeps_no_part_of_what_did_not_fit(self):
        engine = self.started(data="small", size="64MiB")
        home = self.with_container(engine, "pool/home", "posix")
        os.mkdir(self.path("tree"))
        with open(self.path("tree", "huge"), "wb") as file:
            file.truncate(256 << 20)  # holes are copied as zeros
        self.fails(engine, NO_SPACE, "fs", "cp", "-r", self.path("tree"), f"{home}:/tree")
        self.assertEqual(self.succeeds(engine, "fs", "ls", f"{home}:/tree"), b"")

    def test_what_users_get_wrong(self):
        self.succeeds(self.engine, "fs", "mkdir", f"{self.home}:/dir")
        with open(self.path("file"), "w", encoding="utf-8") as file:
            file.write("x")
        self.succeeds(self.engine, "fs", "cp", self.path("file"), f"{self.home}:/dir/file")
        fails = lambda code, *arguments, says=(): self.fails(self.engine, code, "fs", *arguments, says=says)
        fails(NOT_FOUND, "cat", f"{self.home}:/nothing", says=["/nothing"])
        fails(NOT_FOUND, "cp", self.path("nothing"), f"{self.home}:/x", says=["nothing"])
        fails(NOT_FOUND, "cp", self.path("file"), f"{self.home}:/no/parent", says=["/no"])
        fails(CONFLICT, "cat", f"{self.home}:/dir", says=["/dir"])
        fails(CONFLICT, "rm", f"{self.home}:/dir", says=["/dir"])
        fails(CONFLICT, "mkdir", f"{self.home}:/dir", says=["/dir"])
        fails(CONFLICT, "mkdir", f"{self.home}:/dir/file/below", says=["file"])
        fails(CONFLICT, "cp", self.directory, f"{self.home}:/x", says=["-r"])
        fails(USAGE, "mkdir", f"{self.home}:/" + "n" * 256, says=["255"])
        fails(USAGE, "mkdir", f"{self.home}:/" + "n/" * 2100, says=["4096"])
        fails(USAGE, "cp", self.path("file"), self.path("other"), says=["POOL/CONTAINER:/PATH"])
        self.succeeds(self.engine, "container", "create", "pool/keys", "--type", "kv")
        fails(CONFLICT, "ls", "pool/keys:/", says=["posix", "its type is 'kv'"])
        self.succeeds(self.engine, "container", "create", "pool/any")
        fails(CONFLICT, "ls", "pool/any:/", says=["posix", "it has no type"])
        for target in ("/dir", "/dir/", "//dir", "/dir/../dir/."):
            with self.subTest(target):
                fails(USAGE, "mv", f"{self.home}:/dir", f"{self.home}:{target}", says=["same"])
        fails(USAGE, "mv", f"{self.home}:/dir/file", f"{self.home}:/dir", says=["same"])

    def test_keys_have_no_place_among_files(self):
        for verb in (["put", self.home, "key", "value"], ["get", self.home, "key"], ["list", self.home],
                     ["del", self.home, "key"]):
            with self.subTest(verb):
                self.fails(self.engine, CONFLICT, "kv", *verb, says=["home", "posix", "cenote fs"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
