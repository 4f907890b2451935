#!/usr/bin/env python3
"""What tests/posix proves of file systems, of a mounted container: promises of the manual pages one by one, random
operations on a file and on a tree against a model, and what is left of a tree after its server or its mount was killed.

Settings, for long runs: CENOTE_SEED, CENOTE_ROUNDS (how often the random ones are done, each time with the next seed),
CENOTE_WHOLE (all promises, not those that are quick)."""

import os
import random
import signal
import subprocess
import time
import unittest

from mounts import MountTest
from system import CENOTE, environment

SEED = int(os.environ.get("CENOTE_SEED", "1"))
ROUNDS = int(os.environ.get("CENOTE_ROUNDS", "0"))
WHOLE = bool(os.environ.get("CENOTE_WHOLE"))
PROGRAMS = os.path.dirname(os.path.realpath(CENOTE))
CHOICES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "posix", "cenote_choices")
# A judge that has not come to its end by then never does.
LONGEST_S = 1800
RIGHT, WRONG, WENT_AWAY = 0, 1, 2

# What broke before, or goes through code of our own: the rest is the kernel's, or takes long.
QUICK = ("acl.", "seek.", "xattr.invalid", "xattr.trusted", "unlinked.", "directory.remove", "rename.replaced", "rename.atomic",
         "io.hole_takes", "truncate.one_tib", "fallocate.punch", "mode.")


class PosixTest(MountTest):
    def setUp(self):
        super().setUp()
        # Other users have to come through.
        os.chmod(self.directory, 0o755)
        self.engine = self.started(size="1GiB" if WHOLE or ROUNDS else "256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")
        self.mount = self.mounted(self.engine, "--multi-user")

    def seeds(self):
        for seed in range(SEED, SEED + max(1, ROUNDS)):
            print(f"seed {seed}", flush=True)
            yield seed

    def judged(self, program, *arguments, codes=(RIGHT,)):
        command = [os.path.join(PROGRAMS, program), *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True,
                              errors="replace", env=environment(), timeout=LONGEST_S)
        self.assertIn(done.returncode, codes, " ".join(command) + "\n" + done.stdout + self.mount.text_of_log())
        return done.stdout


class Promises(PosixTest):
    def test_they_are_kept(self):
        others = self.mounted(self.engine, "--multi-user", "--read-only", name="read-only")
        filters = [] if WHOLE else [word for name in QUICK for word in ("--filter", name)]
        text = self.judged("posix_conformance", self.mount.place, "--read-only", others.place, "--choices", CHOICES, *filters)
        print(text.splitlines()[-1], flush=True)


class RandomOperations(PosixTest):
    def test_on_one_file(self):
        for seed in self.seeds():
            self.judged("posix_fsx", self.mount.place, "--seed", seed, "--ops", 4000 if ROUNDS else 600)

    def test_on_one_file_by_two_mounts(self):
        other = self.mounted(self.engine, "--multi-user", name="other")
        for seed in self.seeds():
            self.judged("posix_fsx", self.mount.place, other.place, "--clients", 2, "--seed", seed, "--ops",
                        4000 if ROUNDS else 600)

    def test_on_a_tree(self):
        for seed in self.seeds():
            reference = self.path(f"reference-{seed}")
            os.mkdir(reference)
            self.judged("posix_tree", self.mount.place, reference, "--no-directory-links", "--seed", seed, "--ops",
                        4000 if ROUNDS else 500)


class Crashes(PosixTest):
    """A tree changes while its server and its mount are killed: what was acknowledged is there, and nothing else."""

    def test_what_was_acknowledged_is_there(self):
        for seed in self.seeds():
            for kind in ("server", "mount", "both"):
                with self.subTest(kind):
                    self.crash(random.Random(f"{seed} {kind}"), seed, kind)

    def crash(self, chance, seed, kind):
        journal = self.path(f"journal-{seed}-{kind}")
        place = os.path.join(self.mount.place, f"tree-{seed}-{kind}")
        os.mkdir(place)
        for name in ("reference", "verified"):
            os.makedirs(self.path(name, f"{seed}-{kind}"))
        lines = chance.randrange(50, 1500 if ROUNDS else 300)
        print(f"{kind} is killed after {lines} lines", flush=True)
        command = [os.path.join(PROGRAMS, "posix_tree"), place, self.path("reference", f"{seed}-{kind}"), "--seed", str(seed),
                   "--journal", journal, "--no-directory-links", "--ops", str(lines + 150)]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), text=True)
        self.addCleanup(running.stdout.close)
        self.addCleanup(running.kill)
        while running.poll() is None and self.lines_of(journal) < lines:
            time.sleep(0.001)
        if kind in ("server", "both"):
            self.engine.kill()
        if kind in ("mount", "both"):
            self.mount.process.kill()
            self.mount.wait()
            # So that whoever still has something open there is let go of.
            subprocess.run(["umount", "-l", self.mount.place], check=True)
        if kind in ("server", "both"):
            self.engine.start()
        text, _ = running.communicate(timeout=LONGEST_S)
        # A mount outlives its server; the tree is done to its end then.
        self.assertIn(running.returncode, (RIGHT,) if kind == "server" else (RIGHT, WENT_AWAY), text)
        if kind != "server":
            self.mount = self.mounted(self.engine, "--multi-user")
        self.judged("posix_tree", place, self.path("verified", f"{seed}-{kind}"), "--no-directory-links", "--verify", journal)

    def lines_of(self, journal):
        try:
            with open(journal, "rb") as file:
                return file.read().count(b"\n")
        except FileNotFoundError:
            return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    unittest.main()
