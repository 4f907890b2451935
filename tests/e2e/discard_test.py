#!/usr/bin/env python3
"""A server that gives freed space back to the files of its targets."""

import os
import time
import unittest
import urllib.request

from system import OK, SystemTest, cenote

MIB = 1 << 20


class Discard(SystemTest):
    def allocated(self, server):
        return sum(os.stat(os.path.join(server.data, "targets", str(number))).st_blocks * 512 for number in (0, 1))

    def fill_and_destroy(self, server):
        """What the files take with 40 MiB of values in them, and what some seconds after those are gone."""
        self.with_container(server)
        self.succeeds(server, "container", "create", "pool/gone", "--type", "kv")
        value = os.urandom(MIB)
        for number in range(40):
            self.succeeds(server, "kv", "put", "pool/gone", f"key-{number}", "--stdin", stdin=value)
        full = self.allocated(server)
        self.succeeds(server, "container", "destroy", "pool/gone")
        end = time.monotonic() + 30
        while self.allocated(server) > full - 30 * MIB and time.monotonic() < end:
            time.sleep(0.1)
        return full, self.allocated(server)

    def test_files_become_smaller(self):
        server = self.started("--discard")
        full, after = self.fill_and_destroy(server)
        self.assertLess(after, full - 30 * MIB)
        with urllib.request.urlopen(f"http://{server.control}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        discarded = [float(line.split()[-1]) for line in lines if line.startswith("cenote_target_discarded_bytes_total")]
        self.assertGreaterEqual(sum(discarded), 30 * MIB)
        self.assertEqual(server.stop(), OK)
        self.assertEqual(cenote("debug", "check", server.data).returncode, OK)

    def test_not_without_the_setting(self):
        server = self.started()
        self.with_container(server)
        before = self.allocated(server)
        self.assertGreaterEqual(before, 64 * MIB)  # files of full size from the start


if __name__ == "__main__":
    unittest.main()
