#!/usr/bin/env python3
"""Stores looked at offline: `cenote debug check`, `tree`, `log`, `space`, `object`."""

import fcntl
import json
import os
import struct
import subprocess
import threading
import time
import unittest

from system import (BUSY, CENOTE, CORRUPT, FAILURE, NOT_FOUND, OK, PATIENCE_S, USAGE, SystemTest, cenote,
                    environment)
from damage_test import BLOCK, SUPERBLOCKS, crc32c, digest, flip

PAGE_MAGIC = b"CnPg"


class Inspection(SystemTest):
    def stopped(self, crash=False):
        server = self.started()
        container = self.with_container(server)
        for number in range(16):
            size = 100 if number % 2 == 0 else 3000
            self.succeeds(server, "kv", "put", container, f"key-{number}", f"value-{number}-" * size)
        if crash:
            server.kill()
        else:
            self.assertEqual(server.stop(), OK, server.text_of_log())
        return server

    def target(self, server, number=0):
        return os.path.join(server.data, "targets", str(number))

    def looks(self, code, *arguments):
        """The document of a debug command, which must not write a byte."""
        path = arguments[1]
        names = [os.path.join(folder, name) for folder, _, files in os.walk(path) for name in files] or [path]
        before = {name: digest(name) for name in names}
        done = cenote("debug", *arguments, "--json")
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        self.assertEqual({name: digest(name) for name in names}, before, "looking wrote")
        text = cenote("debug", *arguments)
        self.assertEqual(text.returncode, code, text.stderr)
        return json.loads(done.stdout)["stores"]

    def check(self, code, path, *arguments):
        stores = self.looks(code, "check", path, *arguments)
        return stores, [finding for store in stores for finding in store["findings"]]

    def stored_version(self, server):
        """Store, object and one version that is stored in blocks."""
        for number in (0, 1):
            path = self.target(server, number)
            tree = next(c for c in self.looks(OK, "space", path)[0]["containers"] if c["versions"] > 0)
            for entry in self.looks(OK, "tree", path, str(tree["tree"]), "--limit", "1000")[0]["entries"]:
                if entry.get("extents"):
                    return path, tree["container"], entry
        self.fail("nothing is stored in blocks")

    def is_whole(self, server):
        stores, findings = self.check(OK, server.data)
        self.assertEqual(findings, [])
        self.assertEqual([store["name"] for store in stores], ["coordinator", "target 0", "target 1"])
        self.assertEqual(sum(store["summary"]["dkeys"] for store in stores), 16)
        for store in stores:
            summary = store["summary"]
            self.assertEqual(summary["verified_bytes"], summary["inline_bytes"] + summary["stored_bytes"])

    def test_a_stopped_system_is_whole(self):
        self.is_whole(self.stopped())

    def test_a_crashed_system_is_whole(self):
        self.is_whole(self.stopped(crash=True))

    def test_a_running_server_is_left_alone(self):
        server = self.started()
        self.with_container(server)
        for verb in (["check"], ["space"], ["log"], ["tree", "object.system"]):
            done = cenote("debug", verb[0], server.data, *verb[1:])
            self.assert_fails(done, BUSY, server.data)
        self.assert_fails(cenote("debug", "check", self.path("nothing")), NOT_FOUND, "nothing")

    def test_a_flipped_bit_in_a_value_is_named_as_that_value(self):
        server = self.stopped()
        path, container, entry = self.stored_version(server)
        block = entry["extents"][0]["block"]
        flip(path, block * BLOCK + 7)
        _, findings = self.check(CORRUPT, path)
        self.assertEqual(len(findings), 1)
        wanted = {"kind": "data", "severity": "damage", "block": block, "container": container,
                  "object": entry["object"], "dkey": entry["dkey"], "akey": entry["akey"], "epoch": entry["epoch"]}
        self.assertEqual({name: findings[0].get(name) for name in wanted}, wanted)
        self.check(OK, path, "--no-data")
        versions = self.looks(CORRUPT, "object", path, container, entry["object"], "--dkey", entry["dkey"])
        self.assertTrue(versions[0]["versions"][0]["data"].startswith("damaged"))

    def test_kept_results_are_shown(self):
        server = self.stopped()
        kept = [store for store in self.looks(OK, "dtx", server.data)]
        self.assertEqual([store["name"] for store in kept], ["target 0", "target 1"])
        self.assertEqual([store["undecided"] for store in kept], [0, 0])
        requests = [request for store in kept for request in store["requests"]]
        self.assertGreater(len(requests), 0)
        self.assertEqual(len(requests), sum(store["kept"] for store in kept))
        session = requests[0]["session"]
        only = [request for store in self.looks(OK, "dtx", server.data, "--session", session)
                for request in store["requests"]]
        self.assertEqual(only, [request for request in requests if request["session"] == session])
        limited = self.looks(OK, "dtx", server.data, "--limit", "1")
        self.assertLessEqual(max(len(store["requests"]) for store in limited), 1)
        self.assert_fails(cenote("debug", "dtx", server.data, "--session", "xyz"), USAGE, "xyz")

    def test_a_damaged_page_does_not_hide_the_rest(self):
        server = self.stopped()
        path, container, _ = self.stored_version(server)
        with open(path, "rb") as file:
            contents = file.read()
        pages = [at for at in range(0, len(contents), 4 * BLOCK) if contents[at + 4:at + 8] == PAGE_MAGIC]
        lost = []
        for at in pages:
            flip(path, at + 2000)
            done = cenote("debug", "check", path, "--json")
            store = json.loads(done.stdout)["stores"][0]
            for finding in store["findings"]:
                self.assertEqual(done.returncode, CORRUPT)
                if finding["kind"] == "page" and finding.get("container") == container:
                    self.assertEqual(finding["block"], at // BLOCK)
                    self.assertIn("lost are the entries from", finding["message"])
                    lost.append(at)
            flip(path, at + 2000)
        self.assertTrue(lost)
        self.check(OK, path)

    def test_stores_that_a_killed_server_still_holds_are_waited_for(self):
        server = self.stopped(crash=True)
        # As the kernel does while it takes down what the server had under way.
        with open(self.target(server), "rb") as store, open(os.path.join(server.data, "lock"), "rb") as directory:
            fcntl.flock(store, fcntl.LOCK_EX)
            check = subprocess.Popen([CENOTE, "debug", "check", server.data], env=environment(),
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            while check.poll() is None and self.is_free(directory):
                time.sleep(0.01)
            # From here on it looks for the stores.
            lets_go = threading.Timer(0.3, fcntl.flock, (store, fcntl.LOCK_UN))
            lets_go.start()
            told, _ = check.communicate(timeout=PATIENCE_S)
            lets_go.join()
        self.assertEqual(check.returncode, OK, told)

    def is_free(self, file):
        """Whether nobody has locked it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
        return True

    def test_one_superblock_less_is_a_warning(self):
        server = self.stopped()
        path = self.target(server)
        with open(path, "rb") as file:
            sequences = []
            for place in SUPERBLOCKS:
                file.seek(place)
                sequences.append(struct.unpack_from("<Q", file.read(BLOCK), 80)[0])
        older = SUPERBLOCKS[sequences.index(min(sequences))]
        flip(path, older + 100)
        stores, findings = self.check(OK, path)
        self.assertEqual([(f["kind"], f["severity"], f["block"]) for f in findings],
                         [("superblock", "warning", older // BLOCK)])
        self.assertTrue(stores[0]["whole"])
        for place in SUPERBLOCKS:
            if place != older:
                flip(path, place + 100)
        stores, _ = self.check(CORRUPT, path)
        self.assertFalse(stores[0]["whole"])

    def test_a_leaked_block_is_lost_space(self):
        server = self.stopped()
        path, _, entry = self.stored_version(server)
        leaked = entry["extents"][0]["block"] // 256 * 256 + 255
        self.mark(path, leaked)
        stores, findings = self.check(CORRUPT, path)
        self.assertEqual([(f["kind"], f["block"], f["blocks"]) for f in findings], [("lost_space", leaked, 1)])
        self.assertEqual(stores[0]["summary"]["lost_blocks"], 1)

    def mark(self, path, block):
        """Sets a bit of the bitmap, and every checksum above it (docs/formats/store.md)."""
        with open(path, "r+b") as file:
            blocks = []
            for place in SUPERBLOCKS:
                file.seek(place)
                blocks.append(bytearray(file.read(4 * BLOCK)))
            newest = max(range(2), key=lambda i: struct.unpack_from("<Q", blocks[i], 80)[0])
            superblock = blocks[newest]
            table_first, table_blocks, _, map_chunks, bitmap_first, bitmap_chunks = struct.unpack_from("<6Q", superblock, 144)
            table_at = (table_first + (superblock[1024] - 1) * table_blocks) * BLOCK
            file.seek(table_at)
            table = bytearray(file.read(BLOCK))
            chunk_at = (bitmap_first + (table[16 + map_chunks] - 1) * bitmap_chunks) * BLOCK
            file.seek(chunk_at)
            chunk = bytearray(file.read(BLOCK))
            chunk[block // 8] |= 1 << block % 8
            struct.pack_into("<I", table, 16 + 800 + 4 * map_chunks, crc32c(chunk))
            struct.pack_into("<I", superblock, 4096, crc32c(table))
            struct.pack_into("<I", superblock, 8, 0)
            struct.pack_into("<I", superblock, 8, crc32c(superblock))
            for at, contents in ((chunk_at, chunk), (table_at, table), (SUPERBLOCKS[newest], superblock)):
                file.seek(at)
                file.write(contents)

    def test_the_store_of_another_place_is_no_damage(self):
        server = self.stopped()
        one, two, spare = self.target(server, 0), self.target(server, 1), self.target(server, 2)
        os.rename(one, spare)
        os.rename(two, one)
        os.rename(spare, two)
        stores, findings = self.check(FAILURE, server.data)
        self.assertEqual([store.get("error", {}).get("code") for store in stores], [None, "foreign", "foreign"])
        self.assertEqual(findings, [])

    def test_the_listed_findings_are_bounded_and_all_are_counted(self):
        server = self.stopped()
        path, _, _ = self.stored_version(server)
        tree = next(c["tree"] for c in self.looks(OK, "space", path)[0]["containers"])
        stored = [entry for entry in self.looks(OK, "tree", path, str(tree))[0]["entries"] if entry.get("extents")]
        for entry in stored:
            flip(path, entry["extents"][0]["block"] * BLOCK)
        stores, findings = self.check(CORRUPT, path, "--findings", "2")
        self.assertEqual(len(findings), 2)
        self.assertEqual(stores[0]["findings_omitted"], len(stored) - 2)
        self.assertEqual(stores[0]["damages"], len(stored))

    def test_trees_are_shown_from_a_key_on(self):
        server = self.stopped()
        path = self.target(server)
        tree = next(c["tree"] for c in self.looks(OK, "space", path)[0]["containers"])
        entries = self.looks(OK, "tree", path, f"object.container.{tree}", "--limit", "1000")[0]["entries"]
        keys = [entry["key"] for entry in entries]
        self.assertEqual(keys, sorted(keys))
        rest = self.looks(OK, "tree", path, str(tree), "--from", "0x" + keys[3], "--limit", "2", "--values")[0]["entries"]
        self.assertEqual([entry["key"] for entry in rest], keys[3:5])
        self.assertEqual(len(rest[0]["value"]), 2 * rest[0]["value_bytes"])
        whole = self.looks(OK, "tree", path, str(tree), "--from", entries[0]["object"], "--limit", "1000")[0]["entries"]
        self.assertEqual(len(whole), len(entries))
        self.assert_fails(cenote("debug", "tree", path, "nonsense"), NOT_FOUND, "nonsense")
        self.assert_fails(cenote("debug", "tree", path, str(tree), "--from", "0xzz"), USAGE, "0xzz")

    def test_the_log_shows_what_recovery_would_replay(self):
        server = self.stopped(crash=True)
        path = self.target(server)
        log = self.looks(OK, "log", path, "--operations")[0]
        self.assertTrue(log["complete"])
        position = log["checkpoint_position"]
        for group in log["groups"]:
            self.assertEqual(group["position"], position)
            self.assertEqual(len(group["operation_list"]), group["operations"])
            position += group["bytes"]
        self.assertEqual(log["end_position"], position)
        kinds = {operation["operation"] for group in log["groups"] for operation in group["operation_list"]}
        self.assertLessEqual({"put", "claim"}, kinds)
        self.assertEqual(len(self.looks(OK, "log", path, "--limit", "2")[0]["groups"]), 2)
        flip(path, log["groups"][1]["block"] * BLOCK + 90)
        self.assertIn("flaw", self.looks(CORRUPT, "log", path)[0])

    def test_space_adds_up(self):
        server = self.stopped()
        for store in self.looks(OK, "space", server.data):
            device = store["devices"][0]
            parts = ("fixed_blocks", "page_blocks", "extent_blocks", "free_blocks")
            self.assertEqual(sum(device[part] for part in parts), device["blocks"])
            self.assertEqual(sum(container["blocks"] for container in store["containers"]), device["extent_blocks"])
            self.assertGreaterEqual(device["largest_run"], 256)

    def test_an_object_is_shown_with_all_its_versions(self):
        server = self.stopped()
        path, container, entry = self.stored_version(server)
        versions = self.looks(OK, "object", path, container, entry["object"])[0]["versions"]
        self.assertIn(entry["dkey"], [version.get("dkey") for version in versions])
        self.assertEqual({version["data"] for version in versions}, {"ok"})
        unknown = "00000000-0000-4000-8000-000000000000"
        self.assert_fails(cenote("debug", "object", path, unknown, entry["object"]), NOT_FOUND, unknown)
        self.assert_fails(cenote("debug", "object", path, container, "nonsense"), USAGE, "nonsense")


if __name__ == "__main__":
    unittest.main(verbosity=2)
