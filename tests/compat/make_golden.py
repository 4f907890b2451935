#!/usr/bin/env python3
"""Makes the golden files of a version: data directories as its server leaves them, bytes as its client sends them, a
configuration, and what all of it must be read as.

    CENOTE_BINARY=build/release/bin/cenote tests/compat/make_golden.py tests/compat/0.1.0

Run it once, when a version is released, and never again for that version (README.md).
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from system import Server, cenote, describe_tree, environment, CENOTE  # noqa: E402

CONFIGURATION = """# Every setting of this version, none at its default.
[client]
server = "node-1:7001,node-2:7001"
timeout = "45s"

[server]
data = "/srv/cenote"
name = "golden"
listen = "127.0.0.1:7001"
control = "none"
targets = 3
target-size = "2GiB"
reactors = 2
cache = "96MiB"
log-size = "128MiB"
devices = ""
pin-cpus = true
insecure = true
stop-grace = "20s"
log-level = "warn"
log-file = "/var/log/cenote.log"
"""


def pattern(name, size):
    """Bytes that compress well and are nowhere the same."""
    line = f"{name} %08d of the golden data\n"
    return "".join(line % number for number in range(size // 20 + 1)).encode()[:size]


def sha256(contents):
    return hashlib.sha256(contents).hexdigest()


class Maker:
    """One server, filled through the command like by any user; notes what it must give back."""

    def __init__(self, data):
        self.server = Server(data, "--targets", "2", "--target-size", "64MiB", "--cache", "32MiB")
        self.server.start()
        self.expected = {"kv": {}, "gone": [], "arrays": [], "files": {}, "properties": {}}

    def run(self, *arguments, stdin=b""):
        done = cenote(*arguments, stdin=stdin, CENOTE_SERVER=self.server.address)
        if done.returncode != 0:
            sys.exit(f"{arguments}: {done.stderr.decode()}")
        return done.stdout

    def fill(self, tree):
        self.run("pool", "create", "pool", "--size", "64MiB")
        self.run("container", "create", "pool/things")
        self.run("container", "set-prop", "pool/things", "user.colour=blue")
        self.expected["properties"]["user.colour"] = "blue"
        self.keys()
        self.arrays()
        self.run("container", "create", "pool/files", "--type", "posix")
        self.run("fs", "cp", "-r", tree, "pool/files:/tree")

    def put(self, key, value):
        self.run("kv", "put", "pool/things", key, "--stdin", stdin=value)
        self.expected["kv"][key] = sha256(value)

    def keys(self):
        for number, size in enumerate((0, 1, 100, 2048, 2049, 4096, 5000, 70_000, 1 << 20)):
            self.put(f"size-{size}", pattern(f"key {number}", size))
        for number in range(40):
            self.put(f"many-{number:03}", pattern("old", 10))
        for number in range(0, 40, 2):
            self.put(f"many-{number:03}", pattern("new", 300 + number))
        for number in range(0, 40, 5):
            key = f"many-{number:03}"
            self.run("kv", "del", "pool/things", key)
            del self.expected["kv"][key]
            self.expected["gone"].append(key)

    def arrays(self):
        """An array in pieces that overlap, with a hole, over the border of a window."""
        whole = bytearray(1_100_000)
        name = None
        for offset, size in ((0, 10_000), (5_000, 3), (1_040_000, 20_000), (4_096, 4_096)):
            contents = pattern(f"array at {offset}", size)
            made = self.run("object", "put", "pool/things", name or "new", "dkey", "akey", "--array", "--offset", offset,
                            "--file", "-", "--json", stdin=contents)
            name = name or json.loads(made)["object"]
            whole[offset:offset + size] = contents
        for offset, size in ((0, 20_000), (1_030_000, 30_000)):
            self.expected["arrays"].append({"object": name, "dkey": "dkey", "akey": "akey", "offset": offset,
                                            "bytes": size, "sha256": sha256(bytes(whole[offset:offset + size]))})


def make_tree(root):
    """Files, links and directories; gives path -> what it is."""
    os.makedirs(os.path.join(root, "directory", "deeper", "empty"))
    for name, size in (("nothing", 0), ("small", 11), ("directory/block", 4096), ("directory/deeper/chunks", 1_200_000)):
        with open(os.path.join(root, name), "wb") as file:
            file.write(pattern(name, size))
    os.symlink("../small", os.path.join(root, "directory", "link"))
    os.chmod(os.path.join(root, "small"), 0o640)
    return describe_tree(root)


def pack(data, archive):
    """Only what belongs to the format: no lock file. The holes of its files stay holes."""
    lock = os.path.join(data, "lock")
    if os.path.exists(lock):
        os.remove(lock)
    subprocess.run(["tar", "--sparse", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-C", data, "-cJf",
                    archive, "."], check=True, env={**os.environ, "XZ_OPT": "-9"})


def first_message():
    """What a client says first: hello, as one message."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard = []

        def hear():
            connection, _ = listener.accept()
            with connection:
                message = b""
                while len(message) < 64 or len(message) < 64 + int.from_bytes(message[52:56], "little"):
                    message += connection.recv(65536)
                heard.append(message)

        thread = threading.Thread(target=hear)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        subprocess.run([CENOTE, "pool", "list", "--server", address, "--timeout", "2s"], env=environment(), check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        thread.join()
    return heard[0]


def main(folder):
    os.makedirs(folder)
    work = tempfile.mkdtemp(prefix="cenote-golden-")
    tree = os.path.join(work, "tree")
    os.mkdir(tree)
    files = make_tree(tree)
    for ending in ("stopped", "crashed"):
        data = os.path.join(work, ending)
        maker = Maker(data)
        maker.fill(tree)
        maker.expected["files"] = files
        if ending == "stopped":
            maker.server.stop()
        else:
            maker.server.kill()
        pack(data, os.path.join(folder, ending + ".tar.xz"))
        with open(os.path.join(folder, ending + ".json"), "w", encoding="utf-8") as file:
            json.dump(maker.expected, file, indent=1, sort_keys=True)
            file.write("\n")
    with open(os.path.join(folder, "hello.bin"), "wb") as file:
        file.write(first_message())
    configuration = os.path.join(folder, "config.toml")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    shown = json.loads(cenote("config", "show", "--config", configuration, "--json").stdout)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({name: setting["value"] for name, setting in shown.items()}, file, indent=1, sort_keys=True)
        file.write("\n")
    shutil.rmtree(work)


if __name__ == "__main__":
    main(sys.argv[1])
