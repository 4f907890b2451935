#!/usr/bin/env python3
"""What users get wrong: each ends in one clear line and a documented exit code, and the server goes on."""

import errno
import os
import socket
import threading
import unittest

from system import (CONFLICT, FAILURE, NOT_FOUND, NO_SPACE, UNREACHABLE, USAGE, SystemTest, cenote)


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send_and_hear_out(address, bytes_sent):
    """Sends the bytes and reads until the other side closes, which it may do at any moment; fails if it never does."""
    with socket.create_connection(address, timeout=60) as connection:
        try:
            connection.sendall(bytes_sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except TimeoutError:
            raise
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise


class WithoutAServer(SystemTest):
    def test_address_of_wrong_form(self):
        for address in ("host:99999", "host:", ":1", "host:port", "[::1"):
            with self.subTest(address):
                self.assert_fails(cenote("pool", "list", "--server", address), USAGE, address)

    def test_name_that_does_not_resolve(self):
        done = cenote("pool", "list", "--server", "no-such-host.invalid:7777")
        self.assert_fails(done, UNREACHABLE, "no-such-host.invalid", "check the name")

    def test_nobody_listens(self):
        address = f"127.0.0.1:{unused_port()}"
        self.assert_fails(cenote("pool", "list", "--server", address, "--timeout", "2s"), UNREACHABLE, address)

    def test_the_port_belongs_to_something_else(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def answer():
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    with connection:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 8)

            threading.Thread(target=answer, daemon=True).start()
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            done = cenote("pool", "list", "--server", address, "--timeout", "2s")
            self.assertIn(done.returncode, (FAILURE, UNREACHABLE))
            self.assert_fails(done, done.returncode, address)

    def test_wrong_usage(self):
        for arguments in (["frobnicate"], ["pool", "frobnicate"], ["pool", "create"], ["--frobnicate"], [],
                          ["pool", "list", "--timeout", "soon"], ["pool", "list", "--timeout", "0"],
                          ["kv", "put", "no-container", "key", "value"]):
            with self.subTest(arguments):
                self.assert_fails(cenote(*arguments), USAGE)

    def test_half_written_configuration(self):
        path = self.path("config.toml")
        for text, place in (("[server]\nlisten = \"127.0.", ":2:"), ("[server]\ntagrets = 3\n", "server.tagrets")):
            with self.subTest(text):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.assert_fails(cenote("pool", "list", "--config", path), USAGE, path, place)
        self.assert_fails(cenote("pool", "list", "--config", self.path("none.toml")), NOT_FOUND, "none.toml")
        # Opening a directory works, and it reads as empty.
        self.assert_fails(cenote("pool", "list", "--config", self.directory), USAGE, self.directory, "directory")

    def test_wrong_setting_is_named_with_its_origin(self):
        self.assert_fails(cenote("pool", "list", CENOTE_TIMEOUT="soon"), USAGE, "client.timeout", "CENOTE_TIMEOUT", "soon")


class WithAServer(SystemTest):
    def setUp(self):
        super().setUp()
        self.engine = self.started()
        self.container = self.with_container(self.engine)
        self.succeeds(self.engine, "kv", "put", self.container, "kept", "as it was")

    def tearDown(self):
        # Whatever was tried: nothing is lost and the server serves.
        self.assertEqual(self.succeeds(self.engine, "kv", "get", self.container, "kept"), b"as it was")
        self.assertEqual(self.engine.stop(), 0, self.engine.text_of_log())

    def test_names_of_nothing(self):
        self.fails(self.engine, NOT_FOUND, "container", "list", "nopool", says=["nopool"])
        self.fails(self.engine, NOT_FOUND, "pool", "query", "nopool", says=["nopool"])
        self.fails(self.engine, NOT_FOUND, "kv", "get", "nopool/things", "key", says=["nopool"])
        self.fails(self.engine, NOT_FOUND, "kv", "get", "pool/nothings", "key", says=["nothings"])
        self.fails(self.engine, NOT_FOUND, "kv", "get", self.container, "nokey", says=["nokey"])
        self.fails(self.engine, NOT_FOUND, "kv", "del", self.container, "nokey", says=["nokey"])
        self.fails(self.engine, NOT_FOUND, "container", "get-prop", self.container, "noprop", says=["noprop"])

    def test_names_that_are_taken(self):
        self.fails(self.engine, CONFLICT, "pool", "create", "pool", says=["pool"])
        self.fails(self.engine, CONFLICT, "container", "create", self.container, says=["things"])
        self.fails(self.engine, CONFLICT, "pool", "destroy", "pool", says=["pool"])
        self.fails(self.engine, CONFLICT, "kv", "put", self.container, "kept", "lost", "--new", says=["kept"])

    def test_names_that_are_too_long_or_wrong(self):
        self.fails(self.engine, USAGE, "pool", "create", "p" * 128, says=["127"])
        self.fails(self.engine, USAGE, "pool", "create", "white space")
        self.fails(self.engine, USAGE, "container", "create", "pool/" + "c" * 128, says=["127"])
        self.fails(self.engine, USAGE, "container", "set-prop", self.container, "user." + "k" * 2000 + "=v")
        self.fails(self.engine, USAGE, "pool", "create", "small", "--size", "lots", says=["lots"])

    def test_an_empty_name_of_a_snapshot_does_not_mean_the_present(self):
        empty = ("--snapshot", "")
        self.fails(self.engine, USAGE, "kv", "get", self.container, "kept", *empty, says=["--snapshot"])
        self.fails(self.engine, USAGE, "container", "clone", self.container, "pool/clone", *empty, says=["--snapshot"])
        self.fails(self.engine, NOT_FOUND, "container", "query", "pool/clone")

    def test_keys_and_values_over_their_limit(self):
        self.succeeds(self.engine, "kv", "put", self.container, "k" * 512, "fits")
        self.fails(self.engine, USAGE, "kv", "put", self.container, "k" * 513, "does not", says=["512"])
        for verb in (["put", self.container, "", "no key"], ["get", self.container, ""], ["del", self.container, ""],
                     ["get", self.container, "k" * 513], ["del", self.container, "k" * 513]):
            with self.subTest(verb):
                self.fails(self.engine, USAGE, "kv", *verb, says=["key", "1 to 512"])
        limit = 1 << 20
        self.succeeds(self.engine, "kv", "put", self.container, "big", "--stdin", stdin=b"v" * limit)
        self.fails(self.engine, USAGE, "kv", "put", self.container, "bigger", "--stdin", stdin=b"v" * (limit + 1),
                   says=[limit])
        self.fails(self.engine, USAGE, "object", "put", self.container, "new", "dkey", "a" * 257, "x",
                   says=["akey", "257 bytes", "256"])
        self.fails(self.engine, USAGE, "object", "put", self.container, "new", "d" * 513, "akey", "x",
                   says=["dkey", "513 bytes", "512"])
        self.fails(self.engine, USAGE, "object", "put", self.container, "new", "", "akey", "x", says=["dkey", "empty"])
        for bytes_in_all, more in ((limit + 1, []), (2 * limit + 1, ["--array"])):
            with self.subTest(bytes_in_all):
                self.fails(self.engine, USAGE, "object", "put", self.container, "new", "d", "a", "--file", "-", *more,
                           stdin=b"v" * bytes_in_all, says=[bytes_in_all])

    def test_ranges_that_are_none(self):
        self.succeeds(self.engine, "object", "put", self.container, "new", "d", "a", "x")
        for arguments in (["--offset", "-1", "--bytes", "10"], ["--offset", "0", "--bytes", "0"],
                          ["--offset", "0", "--bytes", "-5"], ["--offset", "0.5", "--bytes", "1"],
                          ["--offset", str(2**64), "--bytes", "1"]):
            with self.subTest(arguments):
                self.fails(self.engine, USAGE, "object", "get", self.container, "0" * 32, "d", "a", "--array", *arguments)
        done = self.cenote(self.engine, "object", "put", self.container, "new", "d", "a", "x", "--array", "--offset", "-1")
        self.assert_fails(done, USAGE, "--offset", "'-1' is no whole number from 0")
        self.assertLess(len(done.stderr), 200)
        self.fails(self.engine, USAGE, "object", "put", self.container, "new", "d", "a", "xy", "--array",
                   "--offset", 2**64 - 1)
        self.fails(self.engine, USAGE, "object", "get", self.container, "no object id", "d", "a")
        for size in ("3000", "4", "1.5MiB", "5MiB"):
            self.fails(self.engine, USAGE, "bench", self.container, "--size", size, says=["--size", size])
        for size in ("4", "2MiB"):
            self.fails(self.engine, USAGE, "bench", self.container, "--value-size", size, says=["--value-size", size])
        for seconds in ("nan", "-nan", "inf", "0", "-1", "1e9"):
            with self.subTest(seconds):
                self.fails(self.engine, USAGE, "bench", self.container, "--seconds", seconds, says=["--seconds"])

    def test_ranges_that_are_not_aligned_are_served(self):
        made = self.json_of(self.engine, "object", "put", self.container, "new", "d", "a", "0123456789", "--array", "--offset",
                            4093)
        self.assertEqual(self.succeeds(self.engine, "object", "get", self.container, made["object"], "d", "a", "--array",
                                       "--offset", 4095, "--bytes", 5), b"23456")

    def test_paths_of_nothing_and_of_the_wrong_kind(self):
        self.succeeds(self.engine, "container", "create", "pool/files", "--type", "posix")
        self.fails(self.engine, NOT_FOUND, "fs", "ls", "nopool/files:/", says=["nopool"])
        self.fails(self.engine, NOT_FOUND, "fs", "ls", "pool/files:/none", says=["/none"])
        self.fails(self.engine, NOT_FOUND, "fs", "cp", self.path("none"), "pool/files:/x", says=["none"])
        self.fails(self.engine, USAGE, "fs", "mkdir", "pool/files:/" + "n" * 256, says=["256", "255"])
        self.fails(self.engine, CONFLICT, "fs", "ls", self.container + ":/", says=["posix"])
        self.fails(self.engine, CONFLICT, "fs", "cat", "pool/files:/", says=["directory"])

    def test_value_of_the_other_kind(self):
        made = self.json_of(self.engine, "object", "put", self.container, "new", "d", "a", "single")
        self.fails(self.engine, CONFLICT, "object", "put", self.container, made["object"], "d", "a", "x", "--array")

    def test_garbage_on_the_port(self):
        host, port = self.engine.address.split(":")
        noise = [b"\0" * 200, b"\xff" * 200, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(100_000), b"x", b""]
        for bytes_sent in noise:
            send_and_hear_out((host, int(port)), bytes_sent)
            self.assertTrue(self.engine.running(), self.engine.text_of_log())

    def test_garbage_on_the_control_port(self):
        host, port = self.engine.control.split(":")
        for bytes_sent in (b"\0" * 200, b"POST /v1/pools HTTP/1.1\r\nContent-Length: 3\r\n\r\n{{{", os.urandom(10_000)):
            send_and_hear_out((host, int(port)), bytes_sent)
            self.assertTrue(self.engine.running(), self.engine.text_of_log())


class WithAFullStore(SystemTest):
    def test_refuses_what_does_not_fit_and_keeps_the_rest(self):
        engine = self.started(size="64MiB")
        container = self.with_container(engine)
        value = os.urandom(1 << 20)
        kept = 0
        for number in range(200):
            done = self.cenote(engine, "kv", "put", container, f"key-{number}", "--stdin", stdin=value)
            if done.returncode != 0:
                break
            kept += 1
        self.assert_fails(done, NO_SPACE)
        self.assertGreater(kept, 20)
        for number in range(0, kept, 7):
            self.assertEqual(self.succeeds(engine, "kv", "get", container, f"key-{number}"), value)
        # Deletes work on a full store, and what they free can be used again.
        for number in range(kept):
            self.succeeds(engine, "kv", "del", container, f"key-{number}")
        self.assertEqual(engine.stop(), 0, engine.text_of_log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
