#!/usr/bin/env python3
"""Checks of containers that are in use: whole ones are said to be whole, and of damaged ones it is named what."""

import json
import os
import random
import signal
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from system import CENOTE, CONFLICT, CORRUPT, NOT_FOUND, OK, PATIENCE_S, SystemTest, environment

BLOCK = 4096
INTERRUPTED = 130


class Check(SystemTest):
    def filled(self):
        """A server with a container of values that are stored in blocks of their own, and the values."""
        server = self.started()
        things = self.with_container(server)
        chance = random.Random(5)
        values = {f"key-{number}": chance.randbytes(100_000) for number in range(12)}
        for key, value in values.items():
            self.succeeds(server, "kv", "put", things, key, "--stdin", stdin=value)
        return server, things, values

    def flip_in(self, server, value):
        """Changes a byte of a value where a stopped server keeps it. Returns the target."""
        for target in range(2):
            path = os.path.join(server.data, "targets", str(target))
            with open(path, "r+b") as file:
                place = file.read().find(value[:BLOCK])
                if place < 0:
                    continue
                file.seek(place + 2 * BLOCK + 100)
                byte = file.read(1)[0]
                file.seek(place + 2 * BLOCK + 100)
                file.write(bytes([byte ^ 0x10]))
                return target
        self.fail("no target holds the value")

    def test_a_whole_container_is_said_to_be_whole(self):
        server, things, values = self.filled()
        checked = self.json_of(server, "container", "check", things)
        self.assertEqual(checked["state"], "whole")
        self.assertTrue(checked["whole"])
        self.assertEqual(checked["findings"], [])
        self.assertEqual(sum(target["verified_bytes"] for target in checked["targets"]),
                         sum(map(len, values.values())))
        text = self.succeeds(server, "container", "check", things, "--rate", "1GiB").decode()
        self.assertIn("is whole", text)
        self.fails(server, NOT_FOUND, "container", "check", "pool/none", says=("none",))

    def test_damage_is_named_and_nothing_else(self):
        server, things, values = self.filled()
        self.assertEqual(server.stop(), OK, server.text_of_log())
        target = self.flip_in(server, values["key-7"])
        server.start()
        done = self.cenote(server, "container", "check", things, "--json")
        self.assertEqual(done.returncode, CORRUPT, done.stderr)
        checked = json.loads(done.stdout)
        self.assertEqual(checked["state"], "damaged")
        [finding] = checked["findings"]
        self.assertEqual((finding["target"], finding["kind"], finding["dkey"]), (target, "data", "key-7"))
        self.assertIn("checksum", finding["message"])
        self.assertTrue(finding["advice"])
        text = self.cenote(server, "container", "check", things)
        self.assertEqual(text.returncode, CORRUPT, text.stderr)
        for words in (b"DAMAGED: 1 finding", b"key-7", b"what to do"):
            self.assertIn(words, text.stdout)
        # Writing it again heals it as soon as the damaged version is gone; the others are as they were throughout.
        for key, value in values.items():
            if key != "key-7":
                self.assertTrue(self.succeeds(server, "kv", "get", things, key) == value, key)

    def test_the_scrub_is_asked_for_its_findings(self):
        server, things, values = self.filled()
        self.assertEqual([target["state"] for target in self.json_of(server, "engine", "scrub")["targets"]],
                         ["waiting", "waiting"])
        self.assertEqual(server.stop(), OK, server.text_of_log())
        target = self.flip_in(server, values["key-3"])
        server.start()
        scrub = self.scrub_all(server)
        [finding] = scrub["findings"]
        self.assertEqual((finding["target"], finding["kind"], finding["dkey"]), (target, "data", "key-3"))
        # It is known after a crash, too, until a pass finds it whole or gone.
        server.kill()
        server.start()
        done = self.cenote(server, "engine", "scrub", "--target", target)
        self.assertEqual(done.returncode, CORRUPT, done.stderr)
        for words in (b"key-3", b"what to do"):
            self.assertIn(words, done.stdout)
        self.succeeds(server, "engine", "scrub", "--target", 1 - target)
        self.succeeds(server, "container", "destroy", things)
        self.assertEqual(self.scrub_all(server)["findings"], [])
        self.assertIn(b"paused", self.succeeds(server, "engine", "scrub", "--pause"))
        self.assertIn(b"waiting", self.succeeds(server, "engine", "scrub", "--resume"))
        self.fails(server, NOT_FOUND, "engine", "scrub", "--start", "--target", 9, says=("9",))

    def scrub_all(self, server):
        """Makes a pass over everything, and returns what is known then."""
        before = [target["began_s"] for target in self.json_of(server, "engine", "scrub", "--start")["targets"]]
        give_up = time.monotonic() + PATIENCE_S
        while True:
            scrub = json.loads(self.cenote(server, "engine", "scrub", "--json").stdout)
            if all(target["state"] == "waiting" and target["began_s"] >= began
                   for target, began in zip(scrub["targets"], before)):
                return scrub
            self.assertLess(time.monotonic(), give_up, "the pass does not end")

    def state_of(self, server):
        url = f"http://{server.control}/v1/pools/pool/containers/things/check"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                return json.load(answer)["state"]
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)["error"]["code"]

    def wait_for_state(self, server, state):
        give_up = time.monotonic() + PATIENCE_S
        while self.state_of(server) != state:
            self.assertLess(time.monotonic(), give_up, f"the check does not become '{state}'")

    def test_an_interrupt_ends_the_check_on_the_server(self):
        server, things, _ = self.filled()
        command = subprocess.Popen([CENOTE, "container", "check", things, "--rate", "1KiB", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment(CENOTE_SERVER=server.address))
        self.wait_for_state(server, "running")
        self.fails(server, CONFLICT, "container", "check", things, says=("--stop",))
        command.send_signal(signal.SIGINT)
        told, wrong = command.communicate(timeout=PATIENCE_S)
        self.assertEqual(command.returncode, INTERRUPTED, wrong)
        self.assertEqual(json.loads(told)["state"], "cancelled")
        self.assertEqual(self.state_of(server), "cancelled")

    def test_a_check_goes_on_without_its_command_until_it_is_stopped(self):
        server, things, _ = self.filled()
        command = subprocess.Popen([CENOTE, "container", "check", things, "--rate", "1KiB"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=environment(CENOTE_SERVER=server.address))
        self.wait_for_state(server, "running")
        command.kill()
        command.wait()
        self.assertEqual(self.state_of(server), "running")
        self.assertEqual(self.json_of(server, "container", "check", things, "--stop")["state"], "cancelled")
        self.assertEqual(server.stop(), OK, server.text_of_log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
