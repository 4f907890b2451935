#!/usr/bin/env python3
"""Engines form a system by `--join` alone: the first one moves its control state to an etcd that engines run."""

import json
import os
import shutil
import signal
import socket
import threading
import time
import unittest
import urllib.request

from cluster import ClusterTest
from system import BUSY, FAILURE, NOT_FOUND, OK, UNREACHABLE, USAGE, cenote

# Each engine has an address of the loopback network, which stands for a machine, and the usual ports there.
NETWORK = f"127.{16 + os.getpid() % 200}.{os.getpid() // 200 % 250}"


def host(number):
    return f"{NETWORK}.{number}"


class Join(ClusterTest):
    def start_coordinator(self):
        """There is none but what the engines run."""

    def engine(self, number, *arguments):
        server = self.server(*arguments, data=f"data{number}", targets=1)
        server.address, server.control = host(number), f"{host(number)}:7778"
        server.number = number
        self.addCleanup(self.end_etcd, server)
        return server

    def etcd_of(self, server):
        """The process of etcd beside an engine; None: there is none."""
        folder = self.path(f"data{server.number}", "etcd").encode()
        for process in os.listdir("/proc"):
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    if b"--data-dir=" + folder in file.read():
                        return int(process)
            except OSError:
                continue
        return None

    def end_etcd(self, server):
        if process := self.etcd_of(server):
            os.kill(process, signal.SIGKILL)

    def lose_machine(self, server):
        """The engine, what attends it, and etcd, all at once."""
        etcd = self.etcd_of(server)
        server.kill()
        if etcd:
            try:
                os.kill(etcd, signal.SIGKILL)
            except ProcessLookupError:
                pass

    @staticmethod
    def members(server):
        """The members of etcd by name, and whether they have a vote."""
        request = urllib.request.Request(f"http://{host(server.number)}:7779/v3/cluster/member/list", data=b"{}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                listed = json.load(answer)["members"]
        except OSError:
            return {}
        return {member.get("name", ""): not member.get("isLearner", False) for member in listed}

    def knows_members(self, server, *numbers):
        with open(self.path(f"data{server.number}", "joined.json")) as file:
            return json.load(file)["endpoints"] == [f"http://{host(number)}:7779" for number in numbers]

    def put_while(self, server, running, done):
        """Puts until `running` is cleared, and collects the keys. A client that begins while the server starts again is
        told so, and tries again."""
        for count in range(1 << 20):
            if not running.is_set():
                return
            put = self.cenote(server, "kv", "put", "p/c", f"during{count}", str(count))
            if put.returncode != UNREACHABLE:
                self.assertEqual(put.returncode, OK, put.stderr)
                done.append(count)

    def test_a_system_grows_from_one_engine(self):
        first, second, third = (self.engine(number, "--etcd-patience", "5s") for number in (1, 2, 3))
        first.start()
        self.succeeds(first, "pool", "create", "p", "--size", "20MiB")
        self.succeeds(first, "container", "create", "p/c", "--type", "kv")
        self.succeeds(first, "kv", "put", "p/c", "before", "kept")
        self.succeeds(first, "container", "snapshot", "create", "p/c", "early")

        # Two at once, while clients write.
        running = threading.Event()
        running.set()
        acknowledged = []
        writer = threading.Thread(target=self.put_while, args=(first, running, acknowledged))
        writer.start()
        try:
            for server in second, third:
                server.arguments += ("--join", host(1))
                server.launch()
            for server in second, third:
                server.await_ready()
        finally:
            running.clear()
            writer.join()
        self.assertGreater(len(acknowledged), 2)
        for number in acknowledged:
            self.assertEqual(self.succeeds(second, "kv", "get", "p/c", f"during{number}"), str(number).encode())
        self.assertIn(b"early", self.succeeds(third, "container", "snapshot", "list", "p/c"))
        self.assertEqual([engine["state"] for engine in self.engines(third)], ["up"] * 3)

        # Each runs a member of etcd.
        everyone = {"engine-0": True, "engine-1": True, "engine-2": True}
        self.until(lambda: self.members(first) == everyone, "three members have votes")
        for server in first, second, third:
            self.until(lambda server=server: self.knows_members(server, 1, 2, 3), "all know where")
        shown = self.json_of(second, "system", "query")["coordinator"]
        self.assertEqual((shown["managed"], len(shown["endpoints"])), (True, 3))

        # One that ends is started again.
        before = self.etcd_of(second)
        os.kill(before, signal.SIGKILL)
        self.until(lambda: self.etcd_of(second) not in (None, before), "etcd is started again")

        # The loss of a machine, with the control leader's first etcd, stops nobody; a new engine takes its place in etcd.
        self.succeeds(second, "pool", "create", "r", "--size", "20MiB", "--redundancy", "1")
        self.succeeds(second, "container", "create", "r/c", "--type", "kv")
        self.lose_machine(first)
        self.succeeds(third, "kv", "put", "r/c", "key", "value")
        fourth = self.engine(4, "--join", f"{host(1)},{host(2)}", "--etcd-patience", "5s")
        fourth.start()
        self.until(lambda: self.members(third) == {"engine-1": True, "engine-2": True, "engine-3": True},
                   "the new engine has the lost one's place in etcd")
        self.until(lambda: self.knows_members(third, 2, 3, 4), "it is known")

        # The one that was lost comes back without a place in etcd, and finds the others, all of which start anew.
        for server in second, third, fourth:
            server.process.send_signal(signal.SIGTERM)
        for server in second, third, fourth:
            self.assertEqual(server.process.wait(60), OK)
            self.assertIsNone(self.etcd_of(server))
        for server in first, fourth, third, second:
            server.launch()
        for server in first, second, third, fourth:
            server.await_ready()
        self.assertEqual(self.succeeds(fourth, "kv", "get", "r/c", "key"), b"value")
        self.assertEqual(self.succeeds(fourth, "kv", "get", "p/c", "before"), b"kept")

    def test_an_engine_goes_with_its_attendant(self):
        first, second = self.engine(1), self.engine(2, "--join", host(1))
        first.start()
        self.succeeds(first, "pool", "create", "p", "--size", "20MiB")
        second.start()
        # What is there is extended by who comes later, once.
        self.succeeds(second, "system", "extend", "--engine", "1", "--wait")
        engines = self.json_of(first, "pool", "query", "p")["engines"]
        self.assertEqual([(engine["rank"], engine["state"]) for engine in engines], [(0, "up-in"), (1, "up-in")])
        self.assertIn(b"already", self.succeeds(first, "system", "extend", "--engine", "1"))
        # A copy of the one with etcd, somewhere else: two truths. It does nothing.
        copy = self.path("copy")
        shutil.copytree(first.data, copy)
        self.refused(cenote("server", "--data", copy, "--listen", host(5)), BUSY, f"http://{host(1)}:7779",
                     "remove the copy")
        engine, etcd = first.engine(), self.etcd_of(first)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        for process in engine, etcd:
            self.until(lambda process=process: not os.path.exists(f"/proc/{process}"), "both end by themselves")
        first.start()
        self.until(lambda: [each["state"] for each in self.engines(second)] == ["up", "up"], "it is back")

    def test_what_cannot_be_joined_says_so(self):
        join = ("server", "--data", self.path("new"), "--listen", host(9), "--join")
        started = time.monotonic()
        self.refused(cenote(*join, host(1)), UNREACHABLE, host(1), "is 'cenote server' running there?")
        self.assertLess(time.monotonic() - started, 30)

        self.refused(cenote(*join[:-1], "--etcd-patience", "1s"), USAGE, "etcd-patience", "at least 5s")
        lonely = self.engine(1, "--etcd", "/no/etcd")
        lonely.start()
        self.refused(cenote(*join, host(1)), NOT_FOUND, "cannot share its coordinator", "/no/etcd")
        self.succeeds(lonely, "system", "query")
        self.refused(cenote(*join[:-1], "--join", host(1), "--coordinator", "http://127.0.0.1:1"), USAGE,
                     "leave --coordinator out")
        lonely.stop()
        self.refused(cenote("server", "--data", lonely.data, "--listen", host(1), "--join", host(2)), USAGE,
                     "belongs to system 'cenote'")

        everywhere = self.engine(1, "--insecure")
        everywhere.address, everywhere.control = "0.0.0.0:0", "none"
        everywhere.start()
        at = "127.0.0.1:" + everywhere.address.split(":")[1]
        self.refused(cenote(*join, at), USAGE, "--advertise")
        everywhere.stop()

        # The port that etcd would take is somebody else's; the engine that was asked goes on.
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((host(1), 7779))
            taken.listen()
            busy = self.engine(1)
            busy.start()
            self.refused(cenote(*join, host(1)), FAILURE, "cannot share its coordinator", "etcd ends at once")
            self.succeeds(busy, "pool", "create", "p", "--size", "10MiB")

        # Nothing is left behind by refusals.
        self.assertFalse(os.path.exists(self.path("new")))
        busy.stop()
        with open(self.path("data1", "joined.json"), "w") as file:
            file.write("{")
        self.refused(cenote("server", "--data", busy.data, "--listen", host(1)), 7, "joined.json", "damaged")

    def refused(self, done, code, *says):
        self.assert_start_fails(done, code, *says)


if __name__ == "__main__":
    unittest.main()
