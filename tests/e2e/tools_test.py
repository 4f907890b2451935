#!/usr/bin/env python3
"""The commands around the data: help, completion, configuration, doctor, dev, bench."""

import json
import os
import resource
import shutil
import signal
import subprocess
import unittest

from mounts import unusable
from system import CENOTE, OK, FAILURE, PATIENCE_S, USAGE, SystemTest, cenote, environment


def verbs(*path):
    """Every command below `path`, found by reading the help as a user would."""
    done = cenote(*path, "--help")
    text = done.stdout.decode()
    assert done.returncode == OK, done.stderr
    if "Subcommands:" not in text:
        yield path, text
        return
    for line in text.split("Subcommands:")[1].splitlines()[1:]:
        if not line.startswith("  ") or not line.strip():
            break
        if line[2] != " ":
            yield from verbs(*path, line.split()[0])


class Help(unittest.TestCase):
    def test_every_verb_has_a_summary_and_an_example_that_parses(self):
        found = list(verbs())
        self.assertGreater(len(found), 30)
        for path, text in found:
            with self.subTest(" ".join(path)):
                self.assertIn("Examples:", text)
                self.assertIn("cenote " + " ".join(path), text.split("Examples:")[1])

    def test_a_noun_speaks_of_itself(self):
        for noun in ("pool", "container", "object", "kv", "fs", "debug", "config", "completion"):
            with self.subTest(noun):
                text = cenote(noun, "--help").stdout.decode()
                self.assertNotIn("cenote dev", text)
                self.assertIn("--json", text)

    def test_a_word_that_is_no_command_is_named(self):
        done = cenote("fs", "nonsense")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("nonsense", done.stderr.decode())

    def test_a_reader_that_has_seen_enough_is_no_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([CENOTE, "config", "show"], stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE_S)
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (OK, b""))

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CENOTE, "config", "show"], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn(b"standard output", done.stderr)

    def test_version(self):
        self.assertRegex(cenote("--version").stdout.decode(), r"^cenote \d+\.\d+\.\d+\n$")


class Examples(SystemTest):
    def test_those_of_the_help_work_after_the_quick_start(self):
        """Typed as they stand, in a directory with the files that they name."""
        server = self.started(size="256MiB")
        for words in (("pool", "create", "scratch"), ("container", "create", "scratch/home", "--type", "posix"),
                      ("container", "create", "scratch/things")):
            self.succeeds(server, *words)
        os.makedirs(self.path("photos"))
        for name in ("notes.txt", "photo.jpg", "photos/one.jpg"):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(name)
        surroundings = environment(CENOTE_SERVER=server.address)
        surroundings.update(HOME=self.directory, PATH=f"{os.path.dirname(CENOTE)}:{os.environ['PATH']}")
        prepare = {"kv": [], "object": [], "fs": ["cp"]}
        for noun, first in prepare.items():
            texts = {path[1]: text for path, text in verbs(noun)}
            if noun == "fs" and unusable():
                print(f"nothing can be mounted in this environment ({unusable()}): not tested", flush=True)
                texts = {verb: text for verb, text in texts.items() if verb not in ("mount", "unmount")}
            for verb, text in texts.items():
                examples = [self.examples(texts[name]) for name in first if name != verb] + [self.examples(text)]
                script = "set -eu\ncd \"$HOME\"\n" + "\n".join(examples)
                done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=PATIENCE_S, env=surroundings)
                self.assertEqual((done.returncode, done.stderr), (OK, b""), f"cenote {noun} {verb}:\n{script}")

    def examples(self, text):
        """The lines of the help that are commands: they are set in."""
        return "\n".join(line for line in text.split("Examples:")[1].splitlines() if line.startswith("  "))


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for these words, the last one being typed."""
        script = cenote("completion", "bash").stdout.decode()
        quoted = " ".join("'" + word + "'" for word in ("cenote", *words))
        script += f"\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _cenote; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment(), check=True)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_bash_offers_what_can_follow(self):
        self.assertIn("container", self.complete(""))
        self.assertEqual(self.complete("conta"), ["container"])
        self.assertIn("set-prop", self.complete("container", ""))
        self.assertEqual(self.complete("--server", "pool", "container", "cre"), ["create"])
        self.assertEqual(self.complete("container", "create", "pool/x", "--type", ""), ["posix", "kv"])
        self.assertIn("--type", self.complete("container", "create", "--"))
        self.assertIn("--json", self.complete("container", "create", "--"))
        self.assertEqual(self.complete("container", "create", "--he"), ["--help"])
        self.assertEqual(self.complete("fs", "cp", "loc"), [])  # files are bash's own business

    def test_other_shells_and_the_manual_accept_theirs(self):
        checks = {"zsh": ["zsh", "-n", "/dev/stdin"], "fish": ["fish", "--no-execute", "/dev/stdin"],
                  "man": ["groff", "-man", "-Tutf8", "-ww", "-z"]}
        for what, command in checks.items():
            script = cenote("completion", what).stdout
            self.assertIn(b"create", script)
            if shutil.which(command[0]):
                done = subprocess.run(command, input=script, capture_output=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, b""), what)


class Configuration(SystemTest):
    def test_shows_values_and_where_they_come_from(self):
        path = self.path("config.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[client]\ntimeout = '7s'\n[server]\ntargets = 3\n")
        done = cenote("config", "show", "--json", "--config", path, CENOTE_TIMEOUT="9s")
        shown = json.loads(done.stdout)
        self.assertEqual(shown["client.timeout"]["value"], "9s")
        self.assertEqual(shown["client.timeout"]["origin"], "$CENOTE_TIMEOUT")
        self.assertEqual(shown["server.targets"], {"value": "3", "origin": path, "environment": "CENOTE_TARGETS"})
        self.assertEqual(shown["server.name"]["origin"], "default")


class OpenFiles(SystemTest):
    def limited(self, soft, hard, *arguments):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return subprocess.Popen([CENOTE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment(), preexec_fn=limit)

    def log_of_a_server(self, soft, hard):
        process = self.limited(soft, hard, "server", "--data", self.path("data"), "--targets", "2", "--target-size", "64MiB",
                               "--cache", "32MiB", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
        with process:
            self.assertIn(b"ready", process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            return process.communicate(timeout=PATIENCE_S)[1].decode()

    def test_a_server_warns_of_a_low_limit(self):
        log = self.log_of_a_server(100, 100)
        self.assertRegex(log, "level=warn .*open files.*ulimit -n.*limit=100")
        # The soft limit is the server's own to raise.
        self.assertNotIn("open files", self.log_of_a_server(100, 1024))

    def test_the_doctor_judges_what_a_server_would_get(self):
        for soft, hard, level in ((100, 100, "warn"), (100, 4096, "ok")):
            with self.subTest(hard), self.limited(soft, hard, "doctor", "--json", "--data", self.path("data"), "--server",
                                                  "127.0.0.1:1") as doctor:
                report = json.loads(doctor.communicate(timeout=PATIENCE_S)[0])
                finding = next(finding for finding in report["findings"] if finding["check"] == "open files")
                self.assertEqual(finding["level"], level, finding)
                self.assertIn(str(hard), finding["found"])


class Doctor(SystemTest):
    def test_checks_a_machine_and_a_running_system(self):
        server = self.started()
        done = cenote("doctor", "--json", "--data", server.data, "--server", server.address, "--listen", server.address,
                      "--control", server.control)
        report = json.loads(done.stdout)
        worst = {finding["level"] for finding in report["findings"]}
        self.assertEqual(done.returncode, FAILURE if "fail" in worst else OK)
        by_check = {finding["check"]: finding for finding in report["findings"]}
        for check in ("io_uring", "system", "targets", "data directory"):
            self.assertEqual(by_check[check]["level"], "ok", by_check[check])

    def test_fails_when_something_must_be_done(self):
        done = cenote("doctor", "--data", "/sys/cenote", "--server", "127.0.0.1:1")
        self.assertEqual(done.returncode, FAILURE)
        text = done.stdout.decode()
        self.assertIn("fail", text)
        self.assertIn("/sys", text)
        self.assertIn("127.0.0.1:1", text)


class Dev(SystemTest):
    def test_is_ready_soon_works_and_leaves_nothing(self):
        temporary = self.path("tmp")
        os.mkdir(temporary)
        process = subprocess.Popen([CENOTE, "dev", "--json", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(TMPDIR=temporary))
        try:
            ready = json.loads(process.stdout.readline())
            self.assertEqual(len(os.listdir(temporary)), 1)
            done = cenote("kv", "put", "dev/kv", "colour", "blue", CENOTE_SERVER=ready["address"])
            self.assertEqual(done.returncode, OK, done.stderr)
            done = cenote("fs", "mkdir", "dev/files:/x", CENOTE_SERVER=ready["address"])
            self.assertEqual(done.returncode, OK, done.stderr)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE_S), OK, process.stderr.read())
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.assertEqual(os.listdir(temporary), [])


class Bench(SystemTest):
    def test_measures_and_cleans_up(self):
        server = self.started(size="256MiB")
        container = self.with_container(server)
        rows = self.json_of(server, "bench", container, "--seconds", "0.2", "--working-set", "8MiB", "--depth", "4")["results"]
        self.assertEqual([row["workload"] for row in rows], ["update", "fetch", "write", "read", "put", "get"])
        for row in rows:
            self.assertGreater(row["operations"], 0, row)
            self.assertGreaterEqual(row["p99_ns"], row["p50_ns"])
        self.assertEqual(self.json_of(server, "object", "list", container)["entries"], [])

    def test_values_and_pieces_have_the_sizes_that_are_asked_for(self):
        server = self.started(size="256MiB")
        container = self.with_container(server)
        rows = self.json_of(server, "bench", container, "--seconds", "0.1", "--working-set", "8MiB", "--depth", "2", "--size",
                            "4MiB", "--value-size", "4KiB", "--workload", "fetch", "--workload", "get")["results"]
        self.assertEqual([(row["workload"], row["bytes"]) for row in rows],
                         [("update", 4 << 20), ("fetch", 4 << 20), ("put", 4096), ("get", 4096)])
        for row in rows:
            self.assertAlmostEqual(row["bytes_per_second"], row["operations"] * row["bytes"] / row["seconds"], delta=1)

    def test_files_are_measured_verified_and_removed(self):
        server = self.started(size="256MiB")
        container = self.with_container(server, kind="posix")
        document = self.json_of(server, "bench", "fs", container, "--clients", "2", "--depth", "2", "--files", "8", "--file-size",
                                "1MiB", "--transfer", "256KiB", "--verify")
        rows = {row["phase"]: row for row in document["results"]}
        self.assertEqual(len(rows), 12)
        for phase, row in rows.items():
            self.assertEqual(row["operations"], 2 * 2 * (4 if "ior-easy" in phase else 22 if "ior-hard" in phase else 8)
                             if phase != "find" else 2 * 2 * (8 + 8 + 1), row)
            self.assertGreaterEqual(row["p99_ns"], row["p50_ns"])
        self.assertEqual(rows["mdtest-hard-read"]["bytes"], 32 * 3901)
        self.assertGreater(document["io500_like"]["score"], 0)
        self.assertEqual(self.json_of(server, "fs", "ls", container + ":/")["entries"], [])
        some = self.json_of(server, "bench", "fs", container, "--phases", "easy-stat", "--depth", "1", "--files", "3")
        self.assertEqual([row["phase"] for row in some["results"]], ["mdtest-easy-write", "mdtest-easy-stat"])
        self.assertNotIn("io500_like", some)


if __name__ == "__main__":
    unittest.main(verbosity=2)
