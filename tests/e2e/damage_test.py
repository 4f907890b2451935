#!/usr/bin/env python3
"""Damaged media: found, named, never served, and left as they are for whoever repairs them."""

import hashlib
import json
import os
import shutil
import struct
import unittest

from system import BUSY, CORRUPT, FAILURE, NOT_FOUND, OK, VERSION, SystemTest, cenote

BLOCK = 4096
SUPERBLOCKS = (0, 4096 * BLOCK)  # docs/formats/store.md
FRAME_MAGIC = b"CenoteLF"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def crc32c(contents):
    crc = 0xFFFFFFFF
    for byte in contents:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


class Damage(SystemTest):
    def stopped_system(self, crash=False):
        server = self.started()
        container = self.with_container(server)
        for number in range(20):
            self.succeeds(server, "kv", "put", container, f"key-{number}", f"value-{number}" * 100)
        if crash:
            server.kill()
        else:
            self.assertEqual(server.stop(), OK, server.text_of_log())
        return server, container

    def all_there(self, server, container):
        for number in range(20):
            value = self.succeeds(server, "kv", "get", container, f"key-{number}")
            self.assertEqual(value.decode(), f"value-{number}" * 100)

    def start_fails(self, server, code, *words):
        done = cenote("server", "--data", server.data, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
        self.assert_start_fails(done, code, *words)

    def test_one_damaged_superblock_is_survived_or_named(self):
        server, container = self.stopped_system()
        target = os.path.join(server.data, "targets", "0")
        flip(target, SUPERBLOCKS[0] + 100)
        done = cenote("debug", "store", target)
        if done.returncode == OK:
            server.start()
            self.all_there(server, container)
        else:
            self.assert_fails(done, CORRUPT, target)

    def test_both_superblocks_damaged(self):
        server, _ = self.stopped_system()
        target = os.path.join(server.data, "targets", "0")
        for place in SUPERBLOCKS:
            flip(target, place + 100)
        before = digest(target)
        self.start_fails(server, CORRUPT, "targets/0")
        self.assertEqual(digest(target), before, "a failed start wrote to the damaged store")

    def test_a_store_whose_beginning_was_zeroed(self):
        server, _ = self.stopped_system()
        for store in (os.path.join("targets", "0"), "coordinator"):
            with open(os.path.join(server.data, store), "r+b") as file:
                beginning = file.read(max(SUPERBLOCKS) + 4 * BLOCK)
                file.seek(0)
                file.write(bytes(len(beginning)))
            self.start_fails(server, CORRUPT, store, "no store", "overwritten")
            with open(os.path.join(server.data, store), "r+b") as file:
                file.write(beginning)
        server.start()

    def test_superblocks_of_the_future(self):
        server, _ = self.stopped_system()
        target = os.path.join(server.data, "targets", "0")
        for place in SUPERBLOCKS:
            with open(target, "r+b") as file:
                file.seek(place)
                superblock = bytearray(file.read(4 * BLOCK))
                struct.pack_into("<IHH", superblock, 8, 0, 99, 99)
                struct.pack_into("<I", superblock, 8, crc32c(superblock))
                file.seek(place)
                file.write(superblock)
        self.start_fails(server, VERSION, "targets/0")

    def frames(self, path):
        """Offsets of the log frames in a store."""
        with open(path, "rb") as file:
            contents = file.read()
        return [offset for offset in range(0, len(contents), BLOCK) if contents[offset:offset + 8] == FRAME_MAGIC]

    def test_damage_in_the_middle_of_the_log(self):
        server, container = self.stopped_system(crash=True)
        target = os.path.join(server.data, "targets", "0")
        frames = self.frames(target)
        self.assertGreater(len(frames), 4)
        # The frames after this one prove that it was durable once: this is no torn end.
        flip(target, frames[len(frames) // 2] + 90)
        before = digest(target)
        self.start_fails(server, CORRUPT, "targets/0")
        self.assertEqual(digest(target), before, "a failed start wrote to the damaged store")
        flip(target, frames[len(frames) // 2] + 90)
        server.start()
        self.all_there(server, container)

    def test_store_that_is_missing_or_cut(self):
        server, container = self.stopped_system()
        target = os.path.join(server.data, "targets", "1")
        os.rename(target, target + ".away")
        self.start_fails(server, CORRUPT, "targets/1")
        with open(target, "wb"):
            pass
        self.start_fails(server, CORRUPT, "targets/1")
        os.replace(target + ".away", target)
        server.start()
        self.all_there(server, container)

    def test_stores_that_were_swapped(self):
        server, _ = self.stopped_system()
        one, two, spare = (os.path.join(server.data, "targets", name) for name in ("0", "1", "spare"))
        os.rename(one, spare)
        os.rename(two, one)
        os.rename(spare, two)
        self.start_fails(server, FAILURE, "targets/")
        # Whole as they are, they do not belong where they lie.
        self.debug_names_foreign(server.data, 2)

    def debug_names_foreign(self, data, count):
        done = cenote("debug", "store", data, "--json")
        self.assertEqual(done.returncode, FAILURE, done.stderr)
        flaws = [store["flaw"]["code"] for store in json.loads(done.stdout)["stores"] if not store["whole"]]
        self.assertEqual(flaws, ["foreign"] * count)

    def test_store_of_another_system(self):
        server, _ = self.stopped_system()
        other = self.started(data="other")
        self.assertEqual(other.stop(), OK, other.text_of_log())
        shutil.copyfile(os.path.join(other.data, "targets", "1"), os.path.join(server.data, "targets", "1"))
        self.start_fails(server, FAILURE, "targets/1")
        self.debug_names_foreign(server.data, 1)


class DebugStore(SystemTest):
    def test_inspects_a_store_a_directory_and_nothing_else(self):
        server = self.started()
        self.with_container(server)
        done = cenote("debug", "store", server.data)
        self.assert_fails(done, BUSY, server.data)
        server.stop()
        before = digest(os.path.join(server.data, "targets", "0"))
        text = cenote("debug", "store", server.data)
        self.assertEqual(text.returncode, OK, text.stderr)
        for word in (b"coordinator", b"targets/0", b"targets/1", b"superblock", b"log", b"space", b"check"):
            self.assertIn(word, text.stdout.lower())
        self.assertEqual(cenote("debug", "store", os.path.join(server.data, "targets", "0"), "--json").returncode, OK)
        self.assertEqual(digest(os.path.join(server.data, "targets", "0")), before, "inspection wrote to the store")
        self.assert_fails(cenote("debug", "store", self.path("nothing")), NOT_FOUND, "nothing")


if __name__ == "__main__":
    unittest.main(verbosity=2)
