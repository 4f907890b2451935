"""Several engines that form one system over a real etcd."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

from system import PATIENCE_S, SystemTest


def free_port(start=10000 + os.getpid() % 900 * 10):
    """Outside of the range from which the kernel gives ports away, so that nobody else takes it meanwhile."""
    for port in range(start, start + 2000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


class Loopback:
    """A host that everything on this machine shares."""

    address = "127.0.0.1"
    prefix = ()


class Etcd:
    """One member of an etcd cluster: the only one, unless `form` has told it of others."""

    def __init__(self, directory, host=Loopback, others=()):
        client = free_port(*(max(other.ports) + 1 for other in others[-1:]))
        peer = free_port(client + 1)
        self.ports = (client, peer)
        self.host = host
        self.name = os.path.basename(directory)
        self.url = f"http://{host.address}:{client}"
        self.peer_url = f"http://{host.address}:{peer}"
        self.directory = directory
        self.cluster = [self]
        self.process = None

    @staticmethod
    def form(members):
        for member in members:
            member.cluster = members

    def launch(self):
        everyone = ",".join(f"{member.name}={member.peer_url}" for member in self.cluster)
        command = [*self.host.prefix, "etcd", "--name", self.name, "--data-dir", self.directory, "--listen-client-urls",
                   self.url, "--advertise-client-urls", self.url, "--listen-peer-urls", self.peer_url,
                   "--initial-advertise-peer-urls", self.peer_url, "--initial-cluster", everyone,
                   "--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap", "--log-level", "error"]
        with open(self.directory + ".log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def await_health(self):
        for _ in range(int(PATIENCE_S / 0.05)):
            if self.process.poll() is not None:
                raise RuntimeError(f"etcd ends with {self.process.returncode}, see {self.directory}.log")
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("etcd does not become healthy")

    def start(self):
        self.launch()
        self.await_health()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class ClusterTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.start_coordinator()

    def start_coordinator(self):
        self.etcd = Etcd(self.path("etcd"))
        self.addCleanup(self.etcd.kill)
        self.etcd.start()

    def joining(self, data, *arguments):
        return self.server("--coordinator", self.etcd.url, *arguments, data=data)

    def until(self, holds, what):
        """Waits for what must come by itself; the bound is for a system in which it never does."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = holds()
            if found:
                return found
            time.sleep(0.05)
        return self.fail("never: " + what)

    def engines(self, server):
        return self.json_of(server, "system", "query")["engines"]

    def leader(self, server):
        leading = [engine["rank"] for engine in self.engines(server) if engine["leader"] and engine["state"] == "up"]
        self.assertLessEqual(len(leading), 1)
        return leading

    @staticmethod
    def updates(server):
        """How many updates the engine has handled."""
        with urllib.request.urlopen(f"http://{server.control}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith("cenote_engine_request_seconds_count") and 'op="update"' in line)

    @staticmethod
    def is_ready(server):
        try:
            with urllib.request.urlopen(f"http://{server.control}/readyz", timeout=10) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            error.close()
            return False
