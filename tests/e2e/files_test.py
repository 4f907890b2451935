#!/usr/bin/env python3
"""Files go in and come back as they were."""

import json
import os
import random
import stat
import unittest
import urllib.request

from system import CONFLICT, CORRUPT, FAILURE, NOT_FOUND, NO_SPACE, USAGE, SystemTest, describe_tree

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
        os.utime(path, ns=(1, 1_000_000_007 * 10**9 + number))
    for name in ("white space", "ünïcödé", "-dash", "quote'\"", "n" * 255, "back\\slash", "colon:name"):
        with open(os.path.join(root, "deep", name), "w", encoding="utf-8") as file:
            file.write(name)
    os.symlink("../file-3", os.path.join(root, "deep", "link"))
    os.symlink("/nowhere/at/all", os.path.join(root, "dangling"))
    for number in range(300):
        with open(os.path.join(root, "deep", "deep", f"{number}"), "w", encoding="utf-8") as file:
            file.write(f"small file {number}\n" * (number % 7))
    if os.geteuid() == 0:
        for name in ("file-5", "empty", "dangling"):
            os.lchown(os.path.join(root, name), 1234, 5678)
        os.chmod(os.path.join(root, "file-5"), 0o6755)
    os.chmod(os.path.join(root, "empty"), 0o500)
    os.utime(os.path.join(root, "empty"), ns=(1, 1_111_111_111_111_111_111))
    os.utime(os.path.join(root, "deep"), ns=(1, -1_500_000_000))


def summary(root):
    """What `describe_tree` tells, and permission bits, owners and the time of the last change."""
    described = describe_tree(root)
    for path in described:
        status = os.lstat(os.path.join(root, path))
        described[path] += f" {status.st_mode & 0o7777:o} {status.st_uid}:{status.st_gid} {status.st_mtime_ns}"
    return described


class Files(SystemTest):
    def setUp(self):
        super().setUp()
        self.engine = self.started(size="256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")

    def test_check(self):
        self.succeeds(self.engine, "fs", "mkdir", f"{self.home}:/letters")
        self.succeeds(self.engine, "fs", "cp", __file__, f"{self.home}:/letters/a")
        whole = self.json_of(self.engine, "fs", "check", self.home)
        self.assertEqual((whole["whole"], whole["directories"], whole["names"]), (True, 2, 2))
        self.assertEqual(whole["findings"], [])
        # The name of the file goes, and not by the file system.
        letters = self.json_of(self.engine, "fs", "stat", f"{self.home}:/letters")["object"]
        number = int(self.json_of(self.engine, "fs", "stat", f"{self.home}:/letters/a")["object"].split(".")[1], 16)
        self.succeeds(self.engine, "object", "punch", self.home, letters, "a")
        damaged = self.cenote(self.engine, "fs", "check", self.home)
        self.assertEqual(damaged.returncode, CORRUPT, damaged.stderr)
        self.assertIn(b"orphan-file", damaged.stdout)
        repaired = self.json_of(self.engine, "fs", "check", self.home, "--repair")
        self.assertEqual([found["repair"] for found in repaired["findings"]], ["done"])
        with open(__file__, "rb") as file:
            self.assertEqual(self.succeeds(self.engine, "fs", "cat", f"{self.home}:/lost+found/#{number}"), file.read())
        self.assertIn(b"is whole", self.succeeds(self.engine, "fs", "check", self.home))
        self.assertEqual(self.json_of(self.engine, "container", "snapshot", "list", self.home)["snapshots"], [])

    def test_a_tree_comes_back_as_it_was(self):
        source = self.path("source")
        make_tree(source)
        copied = self.json_of(self.engine, "fs", "cp", "-r", source, f"{self.home}:/tree")
        before = summary(source)
        self.assertEqual(copied["files"], sum(entry.startswith("file ") for entry in before.values()))
        self.assertEqual(copied["links"], 2)
        self.succeeds(self.engine, "fs", "cp", "-r", f"{self.home}:/tree", self.path("back"))
        self.assertEqual(summary(self.path("back")), before)
        # A stop and a start change nothing, nor does copying over what is there, but for what has changed.
        os.utime(os.path.join(source, "file-4"), ns=(1, 1_222_222_222_222_222_222))
        before = summary(source)
        self.assertEqual(self.engine.stop(), 0, self.engine.text_of_log())
        self.engine.start()
        self.succeeds(self.engine, "fs", "cp", "-r", source, f"{self.home}:/tree")
        self.succeeds(self.engine, "fs", "cp", "-r", f"{self.home}:/tree", self.path("again"))
        self.assertEqual(summary(self.path("again")), before)
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

    def test_several_sources_go_below_a_directory(self):
        for path, text in (("one", "1"), ("two", "2"), ("tree/inner/three", "3")):
            os.makedirs(os.path.dirname(self.path("in", path)), exist_ok=True)
            with open(self.path("in", path), "w", encoding="utf-8") as file:
                file.write(text)
        sources = [self.path("in", name) for name in ("one", "two", "tree")]
        sources[2] += "/"
        self.succeeds(self.engine, "fs", "mkdir", f"{self.home}:/all")
        copied = self.json_of(self.engine, "fs", "cp", "-r", *sources, f"{self.home}:/all/")
        self.assertEqual((copied["files"], copied["bytes"]), (3, 3))
        os.mkdir(self.path("out"))
        back = [f"{self.home}:/all/one", f"{self.home}:/all/two", f"{self.home}:/all/tree/"]
        copied = self.json_of(self.engine, "fs", "cp", "-r", *back, self.path("out"))
        self.assertEqual((copied["files"], copied["bytes"]), (3, 3))
        self.assertEqual(summary(self.path("out")), summary(self.path("in")))
        # Sources of different containers, and once more over what is there.
        other = "pool/other"
        self.succeeds(self.engine, "container", "create", other, "--type", "posix")
        self.succeeds(self.engine, "fs", "cp", sources[1], f"{other}:/four")
        self.succeeds(self.engine, "fs", "cp", *back[:2], f"{other}:/four", self.path("out"))
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["four", "one", "tree", "two"])

    def test_a_directory_alone_is_merged_into_one_that_is_there(self):
        for path, text in (("in/same", "new"), ("in/more", "more"), ("out/same", "old"), ("out/own", "own")):
            os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
            with open(self.path(path), "w", encoding="utf-8") as file:
                file.write(text)
        self.succeeds(self.engine, "fs", "cp", "-r", self.path("out"), f"{self.home}:/tree")
        self.succeeds(self.engine, "fs", "cp", "-r", self.path("in"), f"{self.home}:/tree")
        self.assertEqual(self.succeeds(self.engine, "fs", "ls", f"{self.home}:/tree").split(), [b"more", b"own", b"same"])
        self.assertEqual(self.succeeds(self.engine, "fs", "cat", f"{self.home}:/tree/same"), b"new")
        self.succeeds(self.engine, "fs", "cp", "-r", f"{self.home}:/tree", self.path("out"))
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["more", "own", "same"])

    def test_what_users_get_wrong_with_several_sources(self):
        for path in ("one", "two", "a/one", "dir/x"):
            os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
            with open(self.path(path), "w", encoding="utf-8") as file:
                file.write(path)
        one, two = self.path("one"), self.path("two")
        copy = lambda code, *arguments, says: self.fails(self.engine, code, "fs", "cp", *arguments, says=says)
        copy(NOT_FOUND, one, two, f"{self.home}:/nowhere", says=["/nowhere"])
        copy(USAGE, one, self.path("a", "one"), f"{self.home}:/", says=["both", "one"])
        for nameless in (".", "..", "/", "./a/.."):
            copy(USAGE, "-r", one, nameless, f"{self.home}:/", says=["no name"])
        copy(USAGE, one, f"{self.home}:/two", f"{self.home}:/", says=["POOL/CONTAINER:/PATH"])
        copy(USAGE, one, two, self.directory, says=["POOL/CONTAINER:/PATH"])
        copy(USAGE, one, says=["SOURCE", "TARGET"])
        self.assertEqual(self.succeeds(self.engine, "fs", "ls", f"{self.home}:/"), b"")
        copy(CONFLICT, one, self.path("dir"), f"{self.home}:/", says=["dir", "-r"])
        self.assertEqual(self.succeeds(self.engine, "fs", "ls", f"{self.home}:/"), b"one\n")
        copy(CONFLICT, one, two, f"{self.home}:/one", says=["no directory"])
        self.succeeds(self.engine, "fs", "cp", two, f"{self.home}:/two")
        back = [f"{self.home}:/one", f"{self.home}:/two"]
        copy(NOT_FOUND, *back, self.path("nowhere"), says=["nowhere"])
        copy(CONFLICT, *back, one, says=["no directory"])
        # What a file would replace is a directory: it stays, and nothing goes below it.
        os.makedirs(self.path("out", "one"))
        copy(CONFLICT, *back, self.path("out"), says=["one", "directory"])
        self.assertEqual(os.listdir(self.path("out", "one")), [])

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

    def test_what_is_no_file_is_neither_read_nor_replaced(self):
        self.succeeds(self.engine, "fs", "cp", "/etc/hostname" if os.path.exists("/etc/hostname") else __file__,
                      f"{self.home}:/file")
        os.mkfifo(self.path("pipe"))
        os.symlink(self.path("pipe"), self.path("to-pipe"))
        os.symlink(self.path("nowhere"), self.path("dangling"))
        self.fails(self.engine, USAGE, "fs", "cp", self.path("pipe"), f"{self.home}:/pipe", says=["pipe"])
        self.fails(self.engine, USAGE, "fs", "cp", "/dev/zero", f"{self.home}:/zero", says=["/dev/zero"])
        for target, code in (("pipe", USAGE), ("to-pipe", USAGE), ("dangling", NOT_FOUND)):
            with self.subTest(target):
                self.fails(self.engine, code, "fs", "cp", f"{self.home}:/file", self.path(target), says=[target])
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.path("pipe")).st_mode))
        self.assertTrue(os.path.islink(self.path("to-pipe")))
        # A link to a file is followed.
        with open(self.path("real"), "wb") as file:
            file.write(b"old")
        os.symlink(self.path("real"), self.path("link"))
        self.succeeds(self.engine, "fs", "cp", f"{self.home}:/file", self.path("link"))
        self.assertTrue(os.path.islink(self.path("link")))
        with open(self.path("real"), "rb") as file:
            self.assertEqual(file.read(), self.succeeds(self.engine, "fs", "cat", f"{self.home}:/file"))

    def test_a_full_system_keeps_no_part_of_what_did_not_fit(self):
        engine = self.started(data="small", size="64MiB")
        home = self.with_container(engine, "pool/home", "posix")
        os.mkdir(self.path("tree"))
        with open(self.path("tree", "huge"), "wb") as file:
            file.truncate(256 << 20)  # holes are copied as zeros
        self.fails(engine, NO_SPACE, "fs", "cp", "-r", self.path("tree"), f"{home}:/tree")
        self.assertEqual(self.succeeds(engine, "fs", "ls", f"{home}:/tree"), b"")

    def test_a_quota_is_held_to_and_space_comes_back(self):
        self.succeeds(self.engine, "container", "create", "pool/small", "--type", "posix", "--property", "quota=8MiB")
        with open(self.path("part"), "wb") as file:
            file.write(os.urandom(1 << 20))
        for number in range(20):
            done = self.cenote(self.engine, "fs", "cp", self.path("part"), f"pool/small:/part-{number}")
            if done.returncode != 0:
                break
        self.assert_fails(done, NO_SPACE, "container 'pool/small'", "8388608")
        self.assertEqual(number, 7)
        query = self.json_of(self.engine, "container", "query", "pool/small")
        self.assertLessEqual(query["used_bytes"], 8 << 20)
        self.assertIn("8.00 MiB", self.succeeds(self.engine, "container", "query", "pool/small").decode())
        # The neighbour is not concerned, and nothing is lost.
        self.succeeds(self.engine, "fs", "cp", self.path("part"), f"{self.home}:/part")
        with open(self.path("part"), "rb") as file:
            self.assertEqual(file.read(), self.succeeds(self.engine, "fs", "cat", "pool/small:/part-3"))
        # Removing works, a restart knows what is stored, and a larger quota helps at once.
        self.succeeds(self.engine, "container", "set-prop", "pool/small", "quota=7MiB")
        self.succeeds(self.engine, "fs", "rm", "pool/small:/part-0")
        self.assertEqual(self.engine.stop(), 0, self.engine.text_of_log())
        self.engine.start()
        self.fails(self.engine, NO_SPACE, "fs", "cp", self.path("part"), "pool/small:/again")
        self.succeeds(self.engine, "container", "set-prop", "pool/small", "quota=none")
        self.succeeds(self.engine, "fs", "cp", self.path("part"), "pool/small:/again")
        self.fails(self.engine, USAGE, "container", "set-prop", "pool/small", "quota=lots", says=["lots"])

    def test_a_quota_in_objects_is_held_to_and_returns(self):
        self.succeeds(self.engine, "container", "create", "pool/few", "--type", "posix", "--property",
                      "quota-objects=20", "--property", "quota-objects-soft=10")
        with open(self.path("part"), "wb") as file:
            file.write(b"some")
        for number in range(30):
            done = self.cenote(self.engine, "fs", "cp", self.path("part"), f"pool/few:/part-{number}")
            if done.returncode != 0:
                break
        self.assert_fails(done, NO_SPACE, "container 'pool/few'", "objects do not fit, 20 of 20")
        query = self.json_of(self.engine, "container", "query", "pool/few")
        self.assertEqual(query["used_objects"], 20)
        self.assertIn("20 of 20 (over 10)", self.succeeds(self.engine, "container", "list", "pool").decode())
        # What is there can still be written to, a restart knows the number, and a pool's limit holds, too.
        self.succeeds(self.engine, "fs", "cp", self.path("part"), "pool/few:/part-0")
        self.assertEqual(self.engine.stop(), 0, self.engine.text_of_log())
        self.engine.start()
        self.fails(self.engine, NO_SPACE, "fs", "cp", self.path("part"), "pool/few:/again")
        self.succeeds(self.engine, "container", "set-prop", "pool/few", "quota-objects=1k")
        self.succeeds(self.engine, "pool", "set-prop", "pool", "quota-objects=10")
        self.fails(self.engine, NO_SPACE, "fs", "cp", self.path("part"), "pool/few:/again", says=["pool 'pool'"])
        self.succeeds(self.engine, "pool", "set-prop", "pool", "quota-objects=none")
        self.succeeds(self.engine, "fs", "cp", self.path("part"), "pool/few:/again")
        self.assertGreater(self.json_of(self.engine, "pool", "query", "pool")["used_objects"], 20)
        self.fails(self.engine, USAGE, "pool", "set-prop", "pool", "quota-objects=2GiB", says=["2M"])
        self.fails(self.engine, USAGE, "pool", "set-prop", "pool", "quota=5GiB", says=["size"])

    def test_a_compressed_container_takes_less_and_gives_back_the_same(self):
        os.makedirs(self.path("logs"))
        for number in range(6):
            with open(self.path(f"logs/log-{number}"), "w", encoding="utf-8") as file:
                for line in range(30_000):
                    file.write(f"{number} {line * 7919 % 100_003}: nothing of interest has happened\n")
        with open(self.path("logs/noise"), "wb") as file:
            file.write(os.urandom(1 << 20))
        def free():
            with urllib.request.urlopen(f"http://{self.engine.control}/v1/system", timeout=20) as answer:
                return sum(target["free_bytes"] for target in json.load(answer)["targets"])

        before = free()
        self.succeeds(self.engine, "container", "create", "pool/logs", "--type", "posix",
                      "--property", "compression=zstd")
        self.succeeds(self.engine, "fs", "cp", "-r", self.path("logs"), "pool/logs:/logs")
        used = self.json_of(self.engine, "container", "query", "pool/logs")["used_bytes"]
        self.assertGreater(used, 8 << 20)
        self.assertLess(before - free(), used // 2)
        self.engine.kill()
        self.engine.start()
        self.succeeds(self.engine, "fs", "cp", "-r", "pool/logs:/logs", self.path("back"))
        self.assertEqual(describe_tree(self.path("back")), describe_tree(self.path("logs")))
        self.fails(self.engine, USAGE, "container", "create", "pool/x", "--property", "compression=best", says=["zstd"])
        self.fails(self.engine, USAGE, "container", "set-prop", "pool/logs", "compression=lz4", says=["fixed"])

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
