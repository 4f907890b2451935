#!/usr/bin/env python3
"""Servers that cannot start: one clear line, a documented exit code, and nothing that was there is changed."""

import json
import os
import resource
import subprocess
import unittest

from system import (CENOTE, CONFLICT, BUSY, CORRUPT, FAILURE, NO_SPACE, PATIENCE_S, PERMISSION, USAGE, VERSION, SystemTest, cenote,
                    environment)


class BadServerInput(SystemTest):
    def start_fails(self, code, *arguments, says=()):
        done = cenote("server", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", *arguments)
        self.assert_start_fails(done, code, *says)

    def test_data_directory_that_cannot_be_written(self):
        self.start_fails(PERMISSION, "--data", "/sys/cenote", says=["/sys/cenote"])
        if os.geteuid() != 0:
            os.mkdir(self.path("locked"), 0o500)
            self.start_fails(PERMISSION, "--data", self.path("locked", "data"), says=["locked"])

    def test_data_directory_whose_parent_is_missing(self):
        done = cenote("server", "--data", self.path("no", "such", "parent"))
        self.assertNotEqual(done.returncode, 0)
        self.assert_start_fails(done, done.returncode, "no/such/parent")

    def test_file_system_that_takes_no_directories(self):
        self.start_fails(PERMISSION, "--data", "/proc/cenote", says=["/proc/cenote"])

    def test_file_instead_of_a_directory(self):
        path = self.path("file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("precious")
        self.start_fails(USAGE, "--data", path, says=[path])
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_directory_of_other_things(self):
        with open(self.path("letter.txt"), "w", encoding="utf-8") as file:
            file.write("precious")
        self.start_fails(USAGE, "--data", self.directory, says=["letter.txt"])
        self.assertEqual(sorted(name for name in os.listdir(self.directory) if name != "lock"), ["letter.txt"])

    def test_disk_too_small(self):
        self.start_fails(NO_SPACE, "--data", self.path("data"), "--target-size", "60TiB", says=[self.path("data")])
        # A second try with a size that fits is not hindered by what the first one left.
        self.started()

    def test_too_little_memory(self):
        def limited(*arguments, mebibytes):
            limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
            return subprocess.run([CENOTE, *arguments], capture_output=True, env=environment(), preexec_fn=limit,
                                  timeout=PATIENCE_S, check=False)

        if limited("--version", mebibytes=512).returncode != 0:
            self.skipTest("this build needs address space for its checks")
        for mebibytes in (32, 64, 100, 150, 200, 300):
            with self.subTest(mebibytes):
                done = limited("server", "--data", self.path("data"), "--targets", "4", "--target-size", "64MiB",
                               "--cache", "512MiB", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0",
                               mebibytes=mebibytes)
                self.assertIn(done.returncode, (FAILURE, BUSY), done.stderr)
                # Several threads may find out at the same time, so there may be several lines.
                self.assertIn(b"allow more", done.stderr)
                self.assertNotIn(b"terminate called", done.stderr)

    def test_settings_out_of_range(self):
        for setting, flag, value in (("server.target-size", "--target-size", "1MiB"), ("server.targets", "--targets", "65"),
                                     ("server.cache", "--cache", "1KiB"), ("server.log-size", "--log-size", "1KiB"),
                                     ("server.reactors", "--reactors", "1000"), ("server.targets", "--targets", "many"),
                                     ("server.cache", "--cache", "lots"), ("server.listen", "--listen", "nowhere:x")):
            with self.subTest(flag + " " + value):
                self.start_fails(USAGE, "--data", self.path("data"), flag, value, says=[setting, flag])
        done = cenote("server", "--data", self.path("data"), CENOTE_TARGETS="65")
        self.assert_fails(done, USAGE, "server.targets", "$CENOTE_TARGETS")

    def test_half_written_configuration(self):
        path = self.path("config.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[server]\ndata = \"" + self.path("da"))
        self.start_fails(USAGE, "--config", path, says=[path + ":2:"])
        self.start_fails(USAGE, "--config", self.directory, says=[self.directory, "directory"])
        self.assertEqual(os.listdir(self.directory), ["config.toml"])

    def test_address_that_is_not_of_this_machine(self):
        # Of TEST-NET-3, which belongs to nobody.
        done = cenote("server", "--data", self.path("data"), "--target-size", "64MiB", "--control", "127.0.0.1:0", "--insecure",
                      "--listen", "203.0.113.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assert_start_fails(done, done.returncode, "203.0.113.1")

    def test_listening_to_the_world_must_be_wanted(self):
        done = cenote("server", "--data", self.path("data"), "--listen", "0.0.0.0:0")
        self.assert_fails(done, PERMISSION, "0.0.0.0", "insecure")

    def test_port_in_use(self):
        first = self.started()
        for flag, address in (("--listen", first.address), ("--control", first.control)):
            with self.subTest(flag):
                done = cenote("server", "--data", self.path("other"), "--target-size", "64MiB", "--listen", "127.0.0.1:0",
                              "--control", "127.0.0.1:0", flag, address)
                self.assert_start_fails(done, CONFLICT, address)
        self.assertTrue(first.running())
        self.assertEqual(first.stop(), 0)

    def test_directory_in_use(self):
        first = self.started()
        self.start_fails(BUSY, "--data", first.data, says=[first.data, first.process.pid])
        container = self.with_container(first)
        self.succeeds(first, "kv", "put", container, "key", "value")

    def test_number_of_targets_cannot_change(self):
        first = self.started()
        first.stop()
        self.start_fails(USAGE, "--data", first.data, "--targets", "3", says=["2"])

    def test_half_written_identity(self):
        first = self.started()
        container = self.with_container(first)
        self.succeeds(first, "kv", "put", container, "key", "value")
        first.stop()
        path = os.path.join(first.data, "engine.json")
        with open(path, encoding="utf-8") as file:
            whole = file.read()
        for length in (0, 1, len(whole) // 2, len(whole) - 3):
            with self.subTest(length):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(whole[:length])
                self.start_fails(CORRUPT, "--data", first.data, says=["engine.json"])
        os.remove(path)
        self.start_fails(CORRUPT, "--data", first.data, says=["engine.json"])
        with open(path, "w", encoding="utf-8") as file:
            file.write(whole)
        first.start()
        self.assertEqual(self.succeeds(first, "kv", "get", container, "key"), b"value")

    def test_identity_of_the_future(self):
        first = self.started()
        first.stop()
        path = os.path.join(first.data, "engine.json")
        with open(path, encoding="utf-8") as file:
            identity = json.load(file)
        identity["format"] = identity["oldest_reader"] = 99
        with open(path, "w", encoding="utf-8") as file:
            json.dump(identity, file)
        self.start_fails(VERSION, "--data", first.data, says=["99"])

    def test_creation_that_was_interrupted_begins_again(self):
        first = self.server()
        process = subprocess.Popen([CENOTE, "server", "--data", first.data, "--listen", "127.0.0.1:0", "--control",
                                    "127.0.0.1:0", "--targets", "2", "--target-size", "64MiB"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        identity = os.path.join(first.data, "engine.json")
        while not os.path.exists(identity) and process.poll() is None:
            pass
        process.kill()
        process.wait(PATIENCE_S)
        first.start()
        self.with_container(first)

    def test_stop_is_clean_and_a_second_signal_ends_at_once(self):
        first = self.started()
        self.assertEqual(first.stop(), 0, first.text_of_log())
        first.start()
        first.process.send_signal(15)
        first.process.send_signal(15)
        self.assertIn(first.process.wait(PATIENCE_S), (0, 130))  # 0 when the stop was faster than the second signal
        first.start()


if __name__ == "__main__":
    unittest.main(verbosity=2)
