#!/usr/bin/env python3
"""The soak runner adds up what its programs count, and turns every kind of failure into a line that repeats it."""

import json
import os
import stat
import subprocess
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "soak")

STORE = """echo '{"seeds": 4, "writes": 40, "cuts": 30, "crashes": 70, "verified": 50, "failures": 0}'"""
SIM = """while [ "$1" != --json ]; do shift; done
echo '{"kv": {"runs": 1, "failures": 0, "operations": 9, "crashes": 3, "stalls": 2, "virtual_ms": 5}}' >"$2" """


class Soak(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = folder.name
        self.report = os.path.join(self.build, "report.json")

    def program(self, path, text):
        path = os.path.join(self.build, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def soak(self, part):
        """Runs one part, each batch once; gives the exit code, the report and standard error."""
        done = subprocess.run([SCRIPT, "0", "--jobs", "1", "--seed", "7", "--build", self.build, "--report", self.report,
                               "--only", part], capture_output=True, text=True, check=False)
        with open(self.report, encoding="utf-8") as file:
            return done.returncode, json.load(file), done.stderr

    def test_counts_of_the_store(self):
        self.program("src/store/cenote_store_soak", STORE)
        code, report, _ = self.soak("store")
        self.assertEqual(code, 0)
        self.assertEqual(report["failures"], [])
        self.assertEqual(report["parts"]["store"]["cuts"], 30)
        self.assertEqual(report["totals"]["crash_points"], 30)
        self.assertEqual(report["totals"]["seeds"], 4)
        self.assertEqual(report["seed"], 7)

    def test_counts_of_the_simulator(self):
        self.program("sim/cenote_sim", SIM)
        code, report, _ = self.soak("sim")
        self.assertEqual(code, 0)
        self.assertEqual(report["parts"]["sim"]["workloads"]["kv"]["operations"], 9)
        self.assertEqual(report["totals"]["faults"], {"crashes": 3, "stalls": 2})
        self.assertEqual(report["totals"]["operations_checked"], 9)

    def page(self):
        """A page with room for the counts; gives its path."""
        path = os.path.join(self.build, "page.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write("before\n<!-- counts of ./x soak --publish: begin -->\nold\n"
                       "<!-- counts of ./x soak --publish: end -->\nafter\n")
        return path

    def test_counts_are_published_by_the_run_or_later(self):
        self.program("sim/cenote_sim", SIM)
        self.soak("sim")
        for more in (["--publish-only"], ["0", "--only", "sim", "--jobs", "1", "--build", self.build, "--publish"]):
            page = self.page()
            subprocess.run([SCRIPT, "--report", self.report, "--page", page] + more, check=True, capture_output=True)
            with open(page, encoding="utf-8") as file:
                text = file.read()
            self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"), text)
            self.assertIn("| operations checked in the simulator | 9 |", text)
            self.assertIn("| fault: stalls | 2 |", text)
            self.assertNotIn("old", text)

    def test_a_run_that_failed_publishes_nothing(self):
        self.program("sim/cenote_sim", "exit 3")
        page = self.page()
        subprocess.run([SCRIPT, "0", "--only", "sim", "--jobs", "1", "--build", self.build, "--report", self.report,
                        "--page", page, "--publish"], check=False, capture_output=True)
        with open(page, encoding="utf-8") as file:
            self.assertIn("old", file.read())

    def test_a_failure_that_a_program_tells_is_repeated_as_it_says(self):
        self.program("sim/cenote_sim", SIM + "\necho 'kv FAILED with seed 5: gone' >&2\n"
                     "echo '  again: ./x sim --seed 5 --workload kv' >&2\nexit 1")
        code, report, errors = self.soak("sim")
        self.assertEqual(code, 1)
        self.assertEqual(report["failures"], [{"part": "sim", "what": "kv FAILED with seed 5: gone",
                                               "replay": "./x sim --seed 5 --workload kv"}])
        self.assertIn("./x sim --seed 5 --workload kv", errors)

    def test_a_program_that_dies_without_a_word_is_a_failure(self):
        self.program("src/store/cenote_store_soak", "kill -9 $$")
        code, report, _ = self.soak("store")
        self.assertEqual(code, 1)
        self.assertEqual(report["totals"]["failures"], 1)
        self.assertIn("cenote_store_soak", report["failures"][0]["replay"])


    def test_a_mount_that_does_not_come_about_is_a_failure(self):
        self.program("bin/cenote", "exit 1")
        code, report, errors = self.soak("mount")
        self.assertEqual(report["parts"]["mount"]["runs"], {"posix_test.py": 1, "programs_soak.py": 1})
        # Where nothing can be mounted at all that is said instead.
        if code != 0:
            self.assertIn("posix_test.py", errors)

    def test_counts_of_chaos_and_the_command_that_repeats_a_failure(self):
        self.program("bin/cenote", "exit 1")
        code, report, errors = self.soak("chaos")
        self.assertEqual(code, 1)
        self.assertEqual(report["totals"]["faults_of_processes"], 0)
        self.assertIn("CENOTE_SEED=", report["failures"][0]["replay"])
        self.assertIn("chaos_test.py", errors)


if __name__ == "__main__":
    unittest.main()
