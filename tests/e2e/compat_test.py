#!/usr/bin/env python3
"""What any released version wrote is read by this one: data directories, the first bytes of a connection, configuration.
The golden files are in tests/compat, a folder per version."""

import hashlib
import json
import os
import socket
import tarfile
import unittest

from system import NOT_FOUND, OK, Server, SystemTest, cenote, describe_tree

COMPAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat")

VERSIONS = sorted(entry.name for entry in os.scandir(COMPAT) if entry.is_dir() and not entry.name.startswith("__"))


def golden(version, name):
    return os.path.join(COMPAT, version, name)


def expected_of(version, name):
    with open(golden(version, name), encoding="utf-8") as file:
        return json.load(file)


def sha256(contents):
    return hashlib.sha256(contents).hexdigest()


def receive(connection, count):
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise EOFError(f"{len(received)} of {count} bytes came")
        received += piece
    return received


class DataDirectories(SystemTest):
    def unpacked(self, version, ending):
        """A server on a copy of a golden data directory."""
        data = self.path(f"{version}-{ending}")
        with tarfile.open(golden(version, ending + ".tar.xz")) as archive:
            archive.extractall(data)
        server = Server(data, "--cache", "32MiB")
        self.servers.append(server)
        server.start()
        return server

    def check(self, server, expected):
        for key, digest in expected["kv"].items():
            self.assertEqual(sha256(self.succeeds(server, "kv", "get", "pool/things", key)), digest, key)
        for key in expected["gone"]:
            self.fails(server, NOT_FOUND, "kv", "get", "pool/things", key)
        for array in expected["arrays"]:
            contents = self.succeeds(server, "object", "get", "pool/things", array["object"], array["dkey"], array["akey"],
                                     "--array", "--offset", array["offset"], "--bytes", array["bytes"])
            self.assertEqual(sha256(contents), array["sha256"], array)
        for name, value in expected["properties"].items():
            self.assertEqual(self.succeeds(server, "container", "get-prop", "pool/things", name).decode().strip(), value)
        out = self.path("out")
        self.succeeds(server, "fs", "cp", "-r", "pool/files:/tree", out)
        self.assertEqual(describe_tree(out), expected["files"])
        os.rename(out, self.path(f"seen-{len(os.listdir(self.directory))}"))

    def test_hold_what_was_written(self):
        for version in VERSIONS:
            for ending in ("stopped", "crashed"):
                with self.subTest(f"{version}, {ending}"):
                    expected = expected_of(version, ending + ".json")
                    server = self.unpacked(version, ending)
                    self.check(server, expected)
                    # It is a store like any other now: written, restarted, whole.
                    self.succeeds(server, "kv", "put", "pool/things", "of this version", "new")
                    self.assertEqual(server.stop(), OK, server.text_of_log())
                    done = cenote("debug", "store", server.data)
                    self.assertEqual(done.returncode, OK, done.stderr)
                    server.start()
                    self.check(server, expected)
                    self.assertEqual(self.succeeds(server, "kv", "get", "pool/things", "of this version"), b"new")
                    self.assertEqual(server.stop(), OK, server.text_of_log())


class Wire(SystemTest):
    def test_a_client_of_any_version_is_welcome(self):
        server = self.started()
        host, port = server.address.split(":")
        for version in VERSIONS:
            with self.subTest(version), socket.create_connection((host, int(port)), timeout=60) as connection:
                with open(golden(version, "hello.bin"), "rb") as file:
                    hello = file.read()
                connection.sendall(hello)
                header = receive(connection, 64)
                body = receive(connection, int.from_bytes(header[52:56], "little"))
                self.assertEqual(header[:2], b"\x07\xce")
                self.assertEqual(int.from_bytes(header[8:10], "little"), 0, body)  # status
                self.assertEqual(header[16:24], hello[16:24])  # session
                self.assertGreaterEqual(len(body), 62)


class Configuration(SystemTest):
    def test_is_understood(self):
        for version in VERSIONS:
            with self.subTest(version):
                done = cenote("config", "show", "--config", golden(version, "config.toml"), "--json")
                self.assertEqual(done.returncode, OK, done.stderr)
                shown = json.loads(done.stdout)
                for name, value in expected_of(version, "config.json").items():
                    self.assertEqual(shown[name]["value"], value, name)
                    self.assertNotEqual(shown[name]["origin"], "default", name)


class Folder(unittest.TestCase):
    def test_there_are_golden_files(self):
        self.assertIn("0.1.0", VERSIONS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
