#!/usr/bin/env python3
"""The comparison with Ceph counts ratios round by round, and leaves nothing behind of a cluster, whatever its programs do.

Ceph's programs are stood in for by scripts: the tests need none of its packages."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import results
from ceph_cluster import parse_rados_bench

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ceph")
DAEMON = """case " $* " in *" --mkfs "*) exit 0;; esac
trap 'kill $!; exit 0' TERM; sleep 1000 & wait"""
ANSWERS = """case "$*" in
  *"osd stat"*) echo '{"num_up_osds": 3, "num_in_osds": 3}';;
  *lspools*) echo '[{"poolnum": 4, "poolname": "bench"}]';;
  *"tell 4.1f query"*) echo "{\\"state\\": \\"$(cat STATE)\\", \\"acting\\": [0, 1, 2]}";;
  *query*) echo '{"state": "active+clean", "acting": [0, 1, 2]}';;
esac"""


class Table(unittest.TestCase):
    def setUp(self):
        self.row = results.Row("ceph/write/memory", "op/s", "memory", "ceph", 10)
        for ours, theirs in ((20000, 1000), (9000, 1000), (22000, 2000)):
            self.row.add("cenote", ours)
            self.row.add("ceph", theirs, mean_us=5)

    def test_the_ratio_is_the_median_of_the_rounds(self):
        found = self.row.document({"steal_percent": 0})
        self.assertEqual(found["ratio"], 11)
        self.assertEqual(found["summary"]["ratio"], {"median": 11, "low": 9, "high": 20})
        self.assertEqual((found["goal"], found["pass"], found["rounds"]), (">= 10", True, 3))
        self.assertEqual(found["details"], {"ceph.mean_us": 5})

    def test_the_table_says_what_was_missed(self):
        self.row.goal = 12
        line = results.table_of([self.row]).splitlines()[1]
        self.assertRegex(line, r"20k ±32%  1000 ±50%  ceph  11.00 \(9.00-20.00\)  >= 12  MISS$")
        self.row.goal = None
        self.assertTrue(results.table_of([self.row]).endswith("(9.00-20.00)"))

    def test_what_rados_bench_prints(self):
        text = 'hints = 1\n{"total_time_run": "2.5", "total_writes_made": "500", "average_latency": "0.004"}'
        self.assertEqual(parse_rados_bench(text), (500, 2.5, 4000))


class Cluster(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.programs = os.path.join(folder.name, "bin")
        self.data = os.path.join(folder.name, "data")
        self.state = os.path.join(folder.name, "state")
        os.mkdir(self.programs)
        os.mkdir(self.data)
        self.say("active+clean")

    def say(self, state):
        with open(self.state, "w", encoding="utf-8") as file:
            file.write(state)

    def with_programs(self, **texts):
        for name, text in ({"monmaptool": "", "rados": "", "ceph-mon": DAEMON, "ceph-osd": DAEMON,
                            "ceph": ANSWERS.replace("STATE", self.state)} | texts).items():
            path = os.path.join(self.programs, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n" + text + "\n")
            os.chmod(path, 0o700)
        return self

    def ceph(self, *arguments, path=None):
        path = path or self.programs + ":" + os.environ["PATH"]
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False,
                              env={**os.environ, "PATH": path})

    def processes(self):
        """Command lines that name the folder."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if self.data in line:
                found.append(line)
        return found

    def test_missing_packages_are_named_in_one_line(self):
        done = self.ceph("compare", self.data, path=self.programs)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "bench/peers/ceph: missing packages: ceph-base ceph-common ceph-mon ceph-osd etcd-server\n")

    def test_a_cluster_starts_is_asked_and_is_gone(self):
        self.with_programs()
        done = self.ceph("start", self.data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, f"export CEPH_CONF={self.data}/ceph/ceph.conf\n")
        self.assertEqual(len(self.processes()), 4)
        done = self.ceph("start", self.data)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is there already", done.stderr)
        done = self.ceph("status", self.data)
        self.assertEqual((done.returncode, done.stdout), (0, "3 of 3 OSDs up, 32 of 32 placement groups clean\n"))
        self.say("active+undersized+degraded")
        done = self.ceph("status", self.data)
        self.assertEqual((done.returncode, done.stdout), (1, "3 of 3 OSDs up, 31 of 32 placement groups clean\n"))
        done = self.ceph("stop", self.data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((self.processes(), os.listdir(self.data)), ([], []))
        self.assertEqual(self.ceph("stop", self.data).returncode, 1)

    def test_a_start_that_fails_says_why_and_leaves_nothing(self):
        broken = DAEMON.replace("trap", "case $* in *'--id 2'*) echo no room for this >&2; exit 7;; esac; trap")
        self.with_programs(**{"ceph-osd": broken, "ceph": ANSWERS.replace("STATE", self.state).replace('_osds": 3', '_osds": 2')})
        done = self.ceph("start", self.data)
        self.assertEqual((done.returncode, done.stderr), (1, "bench/peers/ceph: ceph-osd ends with 7: no room for this\n"))
        self.assertEqual((self.processes(), os.listdir(self.data)), ([], []))

    def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(self):
        folder = os.path.join(self.data, "ceph")
        os.mkdir(folder)
        for name, text in (("ceph.conf", ""), ("ceph-osd.0.pid", str(os.getpid()))):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        self.assertEqual(self.ceph("stop", self.data).returncode, 0)
        self.assertEqual(os.listdir(self.data), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
