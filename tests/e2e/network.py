"""Hosts of their own on this machine, each a network namespace that the test's own namespace routes for; rules take ways away.

Needs the right to make namespaces, and `ip` (iproute2): `enter` says whether there are both.
"""

import os
import subprocess
import sys

ENTERED = "CENOTE_IN_NAMESPACE"
# Root makes namespaces as it is, others as the root of a user namespace of their own, where that is allowed.
AS_ROOT = ["unshare", "--net"]
AS_USER = ["unshare", "--map-root-user", "--net"]
# All that is needed later.
PROBE = """set -e
ip link set lo up
ip link add probe0 type veth peer name probe1
ip rule add from 10.77.250.1 to 10.77.250.2 blackhole
echo 1 > /proc/sys/net/ipv4/ip_forward
unshare --net true
"""


def enter():
    """Starts the program again in a network namespace of its own, in which it may do everything. Returns why that is not
    possible, and nothing once it is there."""
    if os.environ.get(ENTERED):
        return None
    refused = "there is no `unshare`"
    for way in (AS_ROOT, AS_USER):
        try:
            tried = subprocess.run([*way, "sh", "-c", PROBE], capture_output=True, text=True, check=False)
        except OSError as error:
            return str(error)
        if tried.returncode == 0:
            os.execvpe(way[0], [*way, sys.executable, *sys.argv], {**os.environ, ENTERED: "1"})
        refused = tried.stderr.strip()
    return refused


def ip(*arguments):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")


class Host:
    """What is started with `prefix` has this address, and nobody else's ways."""

    def __init__(self, number):
        self.address = f"10.77.{number}.2"
        # The namespace lasts as long as this process, which ends with ours: its input is a pipe of which we hold the end.
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        gate, way = f"10.77.{number}.1", f"host{number}"
        ip("link", "add", way, "type", "veth", "peer", "name", "outside", "netns", self.holder.pid)
        ip("address", "add", gate + "/24", "dev", way)
        ip("link", "set", way, "up")
        self._ip("link", "set", "lo", "up")
        self._ip("address", "add", self.address + "/24", "dev", "outside")
        self._ip("link", "set", "outside", "up")
        self._ip("route", "add", "default", "via", gate)

    def _ip(self, *arguments):
        subprocess.run([*self.prefix, "ip", *map(str, arguments)], check=True)

    def close(self):
        self.holder.communicate()


class Network:
    def __init__(self):
        self.hosts = []
        self.cuts = []
        ip("link", "set", "lo", "up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as forward:
            forward.write("1")

    def host(self):
        self.hosts.append(Host(len(self.hosts) + 1))
        return self.hosts[-1]

    def cut(self, source, destination):
        """Loses, without a word, what one host sends to the other; the other direction stays."""
        rule = ("from", source.address, "to", destination.address, "blackhole")
        ip("rule", "add", *rule)
        self.cuts.append(rule)

    def heal(self):
        while self.cuts:
            ip("rule", "delete", *self.cuts.pop())

    def close(self):
        for host in self.hosts:
            host.close()
