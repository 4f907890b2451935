#!/usr/bin/env python3
"""Programs that go past the kernel see the same as those that do not."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import unittest

from files_test import summary
from mounts import MountTest
from system import CENOTE, NOT_FOUND, OK, PATIENCE_S, USAGE, cenote, environment

CONFORMANCE = os.environ.get("CENOTE_POSIX_CONFORMANCE")
LIBRARY = os.path.join(os.path.dirname(os.path.dirname(CENOTE)), "lib", "libcenote_intercept.so")


class Intercepted(MountTest):
    options = ()

    def setUp(self):
        super().setUp()
        self.engine = self.started(size="256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")
        self.mount = self.mounted(self.engine, *self.options)
        self.report = self.path("report")

    def at(self, *parts):
        return os.path.join(self.mount.place, *parts)

    def run_past(self, *command, directory=None, after=0, **more):
        """Runs a program under `cenote run`, which has to succeed; what it printed."""
        done = subprocess.run([CENOTE, "run", "--report", self.report, "--", *command], capture_output=True, check=False,
                              cwd=directory or self.mount.place, timeout=PATIENCE_S,
                              env=environment(CENOTE_RUN_AFTER=str(after), **more))
        self.assertEqual(done.returncode, 0, (command, done.stdout.decode(), done.stderr.decode()))
        return done.stdout.decode()

    def python(self, program, *arguments, **more):
        return self.run_past(sys.executable, "-c", textwrap.dedent(program), *arguments, **more)

    def counted(self, key):
        """How many calls went that way since it was asked last."""
        if not os.path.exists(self.report):
            return 0
        with open(self.report, encoding="utf-8") as file:
            return sum(json.loads(line)[key] for line in file)


def make_small_tree(root):
    chance = random.Random(5)
    os.makedirs(os.path.join(root, "deep", "deeper"))
    for number, size in enumerate((0, 1, 4096, 70_000, (1 << 20) + 5)):
        with open(os.path.join(root, f"file-{number}"), "wb") as file:
            file.write(chance.randbytes(size))
        with open(os.path.join(root, "deep", "deeper", f"white space {number}"), "w", encoding="utf-8") as file:
            file.write(f"{number}\n" * number)
    os.chmod(os.path.join(root, "file-1"), 0o640)
    os.utime(os.path.join(root, "deep", "deeper"), ns=(1, 1_000_000_001))
    os.symlink("file-2", os.path.join(root, "link"))
    os.symlink("nowhere", os.path.join(root, "deep", "dangling"))


class Programs(Intercepted):
    def test_a_tree_is_copied_there_and_back(self):
        source = self.path("source")
        make_small_tree(source)
        before = summary(source)
        self.run_past("cp", "-a", source, self.at("tree"))
        self.assertEqual(summary(self.at("tree")), before)
        self.run_past("tar", "--format=posix", "--blocking-factor=2048", "-cf", self.path("tree.tar"), "tree")
        os.mkdir(self.at("unpacked"))
        self.run_past("tar", "--blocking-factor=2048", "-xpf", self.path("tree.tar"), directory=self.at("unpacked"))
        self.assertEqual(summary(self.at("unpacked", "tree")), before)
        self.run_past("diff", "-r", "--no-dereference", source, self.at("unpacked", "tree"))
        self.run_past("rm", "-rf", "tree", "unpacked")
        self.assertEqual(os.listdir(self.mount.place), [])
        self.assertGreater(self.counted("reads"), 0)
        self.assertGreater(self.counted("stats"), 0)

    def test_git_and_make_and_bash(self):
        script = """
set -eu
export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e@x
git init -q repository; cd repository
for i in 1 2 3 4 5; do echo "$i" > file-$i; done
git add -A; git commit -qm one
for i in 1 2 3; do echo "more $i" >> file-$i; done
git diff --stat | tail -1
git commit -qam two
git fsck --strict
test -z "$(git status --porcelain)"
printf 'all: a.out b.out\\n%%.out: %%.in\\n\\tcat $< > $@; echo made $@\\n' > Makefile
echo a > a.in; echo b > b.in
make -s -j2 | sort > made; cat made
make -s
touch -d '+2 seconds' a.in; make -s
while read -r line; do echo "read $line"; done < made
( echo one; echo two; exec cat a.in ) > together; cat together
exec 7<> together; read -r first <&7; echo "$first" ; cat <&7
"""
        plain = self.path("plain")
        os.mkdir(plain)
        expected = self.run_in(plain, "bash", "-c", script)
        self.assertIn("made a.out", expected)
        self.assertEqual(self.run_past("bash", "-c", script), expected)
        self.assertGreater(self.counted("stats") + self.counted("reads"), 0)


class Semantics(Intercepted):
    def test_data_is_as_in_memory(self):
        self.python("""
            import os, random
            chance, model = random.Random(11), bytearray()
            file = os.open("file", os.O_RDWR | os.O_CREAT)
            for number in range(120):
                offset, size = chance.randrange(3 << 20), chance.choice((1, 100, 4096, 70_000, (1 << 20) + 1))
                data = chance.randbytes(size)
                model.extend(bytes(max(0, offset + size - len(model))))
                model[offset:offset + size] = data
                if number % 3 == 0:
                    assert os.pwrite(file, data, offset) == size
                elif number % 3 == 1:
                    os.lseek(file, offset, os.SEEK_SET)
                    assert os.write(file, data) == size
                else:
                    assert os.pwritev(file, [data[:size // 2], data[size // 2:]], offset) == size
                if number % 9 == 0:
                    del model[chance.randrange(len(model)):]
                    os.ftruncate(file, len(model))
                assert os.fstat(file).st_size == len(model) == os.stat("file").st_size
                at = chance.randrange(len(model) + 1)
                assert os.pread(file, 100_000, at) == model[at:at + 100_000], number
                parts = [bytearray(10), bytearray(5000)]
                got = os.preadv(file, parts, at)
                assert b"".join(parts)[:got] == model[at:at + 5010], number
            os.lseek(file, 0, os.SEEK_SET)
            whole = b""
            while part := os.read(file, 300_000):
                whole += part
            assert whole == model
            # What the kernel reads is what the library wrote, and the other way round.
            with open("/proc/self/fd/%d" % file, "rb") as again:
                assert again.read() == model
            os.pwrite(file, b"new", 5000)
            import mmap
            with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped:
                assert mapped[5000:5003] == b"new" and len(mapped) == len(model)
                os.pwrite(file, b"newer", 6000)
                assert mapped[6000:6005] == b"newer"
            os.close(file)
            """)
        self.assertGreater(self.counted("writes"), 50)
        self.assertGreater(self.counted("reads"), 50)

    def test_offsets_are_shared_as_ever(self):
        self.python("""
            import os, subprocess, sys
            file = os.open("file", os.O_RDWR | os.O_CREAT)
            os.write(file, b"0123456789" * 1000)
            os.pwrite(file, b"x", 9999)
            os.lseek(file, 0, os.SEEK_SET)
            same = os.dup(file)
            assert os.read(file, 10) == b"0123456789" and os.read(same, 3) == b"012"
            child = os.fork()
            if child == 0:
                assert os.read(file, 2) == b"34"
                os.pwrite(file, b"child", 5000)
                os.pwrite(file, b"again", 6000)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert os.read(same, 2) == b"56"
            assert os.pread(file, 5, 5000) == b"child" and os.pread(file, 5, 6000) == b"again"
            done = subprocess.run(["head", "-c", "3"], stdin=file, capture_output=True, check=True)
            assert done.stdout == b"789"
            # Nothing of the library can be closed, or is in the way.
            for number in range(same + 1, 4096):
                try: os.close(number)
                except OSError: pass
            assert os.pread(file, 5, 5000) == b"child"
            os.dup2(file, 1000)
            assert os.pread(1000, 5, 6000) == b"again"
            # One number, several files.
            for round in range(20):
                os.close(same)
                same = os.open("other-%d" % round, os.O_RDWR | os.O_CREAT)
                os.write(same, b"a"); os.write(same, b"%d" % round)
                assert os.pread(same, 10, 0) == b"a%d" % round
            reader, writer = os.pipe()
            os.dup2(writer, same); os.write(same, b"through the pipe")
            assert os.read(reader, 100) == b"through the pipe"
            """)
        self.assertGreater(self.counted("reads"), 5)

    def test_processes_write_beside_each_other(self):
        self.python("""
            import multiprocessing, os, subprocess, sys, threading
            multiprocessing.set_start_method("fork")
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            shared = os.open("shared", os.O_RDWR | os.O_CREAT)
            for _ in range(3): os.write(shared, b"0" * 10)
            def work(number):
                for i in range(20):
                    os.write(log, b"%d %d\\n" % (number, i))
                    os.write(shared, b"%01d" % number * 10)     # one offset for all
                    os.pwrite(own, b"%02d" % number, number * 2)
                    assert os.stat("own").st_size >= number * 2
                return os.pread(own, 2, number * 2)
            own = os.open("own", os.O_RDWR | os.O_CREAT)
            os.write(own, b"..")
            with multiprocessing.Pool(4) as pool:
                assert pool.map(work, range(8)) == [b"%02d" % n for n in range(8)]
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8, 10)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            lines = sorted(open("log").read().splitlines())
            assert lines == sorted("%d %d" % (n, i) for n in range(10) for i in range(20)), lines
            blocks = open("shared").read()
            assert len(blocks) == 30 + 10 * 20 * 10, len(blocks)
            assert all(blocks[i:i + 10] == blocks[i] * 10 for i in range(0, len(blocks), 10))
            """)
        self.assertGreater(self.counted("writes"), 100)

    def test_times_are_known_when_it_is_closed_or_set(self):
        self.python("""
            import os, time, subprocess
            for way in ("close", "exit", "set"):
                file = os.open(way, os.O_RDWR | os.O_CREAT)
                os.write(file, b"1")
                before = os.fstat(file).st_mtime_ns
                os.write(file, b"2")
                assert os.fstat(file).st_mtime_ns > before
                if way == "close": os.close(file)
                if way == "set":
                    os.utime(file, ns=(1, 1_000_000_007))
                    os.close(file)
                    assert os.stat(way).st_mtime_ns == 1_000_000_007
                here = os.stat(way).st_mtime_ns
                if way != "exit":
                    there = subprocess.run(["env", "-u", "LD_PRELOAD", "stat", "-c", "%.9Y", way], capture_output=True, check=True)
                    assert there.stdout.decode().strip().replace(".", "") == str(here), (way, there.stdout, here)
            """)
        self.assertEqual(os.stat(self.at("set")).st_mtime_ns, 1_000_000_007)
        self.assertGreater(os.stat(self.at("exit")).st_mtime_ns, os.stat(self.at("close")).st_mtime_ns)

    def test_what_is_open_stays_and_names_may_change(self):
        self.python("""
            import os
            file = os.open("file", os.O_RDWR | os.O_CREAT)
            os.write(file, b"still "); os.write(file, b"here")
            os.rename("file", "renamed")
            assert os.stat("renamed").st_size == 10 and os.fstat(file).st_size == 10
            os.link("renamed", "second")
            assert os.stat("second").st_nlink == os.fstat(file).st_nlink == 2
            os.unlink("renamed"); os.unlink("second")
            assert os.fstat(file).st_nlink == 0
            assert os.pread(file, 100, 0) == b"still here"
            assert os.pwrite(file, b"THERE", 6) == 5 and os.pread(file, 100, 0) == b"still THERE"
            os.mkdir("d"); os.symlink("d", "l"); os.symlink("nowhere", "dangling")
            here = os.open("l", os.O_RDONLY)
            os.close(os.open("d/f", os.O_CREAT | os.O_WRONLY))
            assert os.stat("f", dir_fd=here).st_ino == os.stat("l/f").st_ino == os.stat("d/../d/f").st_ino
            assert os.path.islink("l") and not os.path.exists("dangling") and os.path.lexists("dangling")
            for path, kind in (("nothing", FileNotFoundError), ("d/f/x", NotADirectoryError), ("d/f/", NotADirectoryError)):
                try: os.stat(path)
                except kind: continue
                raise AssertionError(path)
            os.chdir("d")
            assert sorted(e.name for e in os.scandir(".") if e.stat().st_size == 0) == ["f"] and os.stat("f").st_size == 0
            os.chdir("/"); assert not os.path.exists("f")
            """)
        self.assertGreater(self.counted("stats"), 5)


class WithoutServers(Intercepted):
    options = ("--timeout", "1s")

    def test_servers_that_are_gone_fail_calls_in_time(self):
        program = """
            import errno, os, sys, time
            file = os.open("file", os.O_RDWR | os.O_CREAT)
            os.write(file, b"1"); os.write(file, b"2")
            print("ready", flush=True); sys.stdin.readline()
            for call in (lambda: os.pread(file, 1, 0), lambda: os.pwrite(file, b"3", 0), lambda: os.stat("file")):
                begin = time.monotonic()
                try: call()
                except OSError as error: assert error.errno in (errno.ETIMEDOUT, errno.EIO, errno.ENOTCONN), error
                else: raise AssertionError("it worked")
                assert time.monotonic() - begin < 20
            print("failed", flush=True)
            os.pread(file, 1, 0)
            """
        process = subprocess.Popen([CENOTE, "run", "--", sys.executable, "-c", textwrap.dedent(program)],
                                   cwd=self.mount.place, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=environment(CENOTE_RUN_AFTER="0"))
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.engine.kill()
        process.stdin.write(b"\n")
        process.stdin.close()
        self.assertEqual(process.stdout.readline(), b"failed\n")
        # Who waits can be ended.
        process.terminate()
        self.assertIn(process.wait(PATIENCE_S), (-signal.SIGTERM, 1))


class Command(Intercepted):
    def test_it_says_what_is_wrong(self):
        done = cenote("run", "--mount", self.directory, "--", "true")
        self.assertEqual(done.returncode, NOT_FOUND)
        done = cenote("run", "--", "no-such-program")
        self.assertEqual((done.returncode, b"no-such-program" in done.stderr), (NOT_FOUND, True))
        self.assertEqual(cenote("run").returncode, USAGE)
        done = cenote("run", "--mount", self.mount.place, "--", "sh", "-c", "echo $CENOTE_RUN_MOUNTS; exit 7")
        self.assertEqual((done.returncode, done.stdout.decode()), (7, self.mount.place + "\n"))

    def test_little_goes_through_the_kernel(self):
        with open(self.at("file"), "wb") as file:
            file.write(b"x" * 10)
        self.run_past("head", "-c", "5", "file", after=32)
        self.assertEqual(self.counted("reads"), 0)
        self.assertGreater(self.counted("kernel_reads"), 0)


class Conformance(Intercepted):
    options = ("--multi-user",)

    @unittest.skipUnless(CONFORMANCE, "no program to judge with")
    def test_it_is_judged_as_the_kernel_is(self):
        """No case fails that passes without."""
        surroundings = {"LD_PRELOAD": LIBRARY, "CENOTE_RUN_AFTER": "0", "CENOTE_RUN_MOUNTS": self.mount.place,
                        "CENOTE_RUN_REPORT": self.report}
        self.assertEqual(self.failures(**surroundings) - self.failures(), set())
        self.assertGreater(self.counted("stats"), 100)
        self.assertGreater(self.counted("reads"), 20)

    def failures(self, **surroundings):
        filters = [word for name in ("io", "open", "stat", "seek", "truncate", "times", "mmap", "unlinked")
                   for word in ("--filter", name + ".")]
        done = subprocess.run([CONFORMANCE, "--json", self.mount.place, *filters], capture_output=True, check=False,
                              timeout=PATIENCE_S, env=environment(**surroundings))
        cases = json.loads(done.stdout)["cases"]
        self.assertGreater(len(cases), 100)
        return {case["name"] for case in cases if case["verdict"] == "failed"}


if __name__ == "__main__":
    unittest.main()
