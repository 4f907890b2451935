"""What the end-to-end tests share: a server of their own in a temporary directory, and the command line."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

CENOTE = os.environ.get("CENOTE_BINARY", "cenote")

# Exit codes of docs/operations/errors.md.
OK, FAILURE, USAGE, NOT_FOUND, CONFLICT, UNREACHABLE, NO_SPACE, CORRUPT, PERMISSION, BUSY, TIMEOUT, VERSION = range(12)

# Longest wait for anything that must happen; a slow machine never waits longer than it needs.
PATIENCE_S = 120


def environment(**more):
    """The caller's environment without its own settings of cenote."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CENOTE_")}
    clean.update(HOME="/nonexistent", XDG_CONFIG_HOME="/nonexistent", **more)
    return clean


def cenote(*arguments, stdin=b"", **more):
    """Runs the command to its end. The result has returncode, stdout and stderr, as bytes."""
    return subprocess.run([CENOTE, *map(str, arguments)], input=stdin, capture_output=True,
                          env=environment(**more), timeout=PATIENCE_S, check=False)


def describe_tree(root):
    """Relative path -> kind; of a link where it leads, of a file its permission bits and the SHA-256 of its contents. The
    golden files of released versions hold these texts."""
    found = {}
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if os.path.islink(path):
                found[relative] = "link to " + os.readlink(path)
            elif os.path.isdir(path):
                found[relative] = "directory"
            else:
                with open(path, "rb") as file:
                    contents = hashlib.sha256(file.read()).hexdigest()
                found[relative] = f"file {os.stat(path).st_mode & 0o777:o} {contents}"
    return found


class Server:
    """One `cenote server`. The kernel picks its ports at the first start; later starts use the same ones."""

    def __init__(self, data, *arguments):
        self.data = data
        self.arguments = arguments
        self.address = "127.0.0.1:0"
        self.control = "127.0.0.1:0"
        # Of the command: what runs it elsewhere.
        self.prefix = ()
        self.process = None
        self.log = []

    def start(self):
        """Returns when it is ready; raises with its log when it ends instead."""
        self.launch()
        return self.await_ready()

    def launch(self):
        self.close()
        command = [*self.prefix, CENOTE, "server", "--json", "--data", self.data, "--listen", self.address, "--control",
                   self.control, *self.arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
                                        start_new_session=True)
        self.log = []
        threading.Thread(target=self._collect, args=(self.process.stderr, self.log), daemon=True).start()

    def await_ready(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError("the server did not start:\n" + self.text_of_log())
        ready = json.loads(line)
        self.address, self.control = ready["address"], ready["control_address"]
        return ready

    @staticmethod
    def _collect(stream, log):
        with stream:
            for line in stream:
                log.append(line)

    def close(self):
        """What it said at its start is not needed any more."""
        if self.process is not None:
            self.process.stdout.close()

    def text_of_log(self):
        return b"".join(self.log).decode(errors="replace")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def engine(self):
        """The process that is the engine: where there is an attendant, its child."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            return int((children.read().split() or [self.process.pid])[0])

    def kill(self):
        """SIGKILL to all of it: what the loss of its machine looks like."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def crash(self):
        """SIGKILL to the engine alone; returns the exit code of what attends it."""
        os.kill(self.engine(), signal.SIGKILL)
        return self.process.wait(PATIENCE_S)

    def stop(self):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


class SystemTest(unittest.TestCase):
    """A test with a directory of its own; everything it starts is gone when it ends."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="cenote-e2e-")
        self.servers = []
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        for server in self.servers:
            if server.running():
                server.kill()
            server.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def server(self, *arguments, data="data", size="64MiB", targets=2):
        server = Server(self.path(data), "--targets", str(targets), "--target-size", size, "--cache", "32MiB", *arguments)
        self.servers.append(server)
        return server

    def started(self, *arguments, **more):
        server = self.server(*arguments, **more)
        server.start()
        return server

    def cenote(self, server, *arguments, stdin=b""):
        return cenote(*arguments, stdin=stdin, CENOTE_SERVER=server.address)

    def succeeds(self, server, *arguments, stdin=b""):
        done = self.cenote(server, *arguments, stdin=stdin)
        self.assertEqual(done.returncode, OK, (arguments, done.stderr))
        return done.stdout

    def json_of(self, server, *arguments, stdin=b""):
        return json.loads(self.succeeds(server, *arguments, "--json", stdin=stdin))

    def with_container(self, server, name="pool/things", kind=None):
        """Makes the pool and the container."""
        self.succeeds(server, "pool", "create", name.split("/")[0])
        self.succeeds(server, "container", "create", name, *(["--type", kind] if kind else []))
        return name

    def assert_fails(self, done, code, *words):
        """It ended with this exit code and one line on standard error that holds all of these words."""
        text = done.stderr.decode()
        self.assertEqual(done.returncode, code, text)
        self.assertEqual(text.count("\n"), 1, "more or less than one line: " + text)
        self.assertTrue(text.startswith("cenote: "), text)
        for word in words:
            self.assertIn(str(word), text)

    def assert_start_fails(self, done, code, *words):
        """The same for a server, whose log goes to standard error, too."""
        lines = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith(b"ts=")]
        done.stderr = b"".join(lines)
        self.assert_fails(done, code, *words)

    def fails(self, server, code, *arguments, says=(), stdin=b""):
        done = self.cenote(server, *arguments, stdin=stdin)
        self.assert_fails(done, code, *says)
        self.assertTrue(server.running(), server.text_of_log())
