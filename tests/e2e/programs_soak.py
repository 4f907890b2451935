#!/usr/bin/env python3
"""Programs that people trust, and that check themselves, on a mounted container: a part of `./x soak`, too long for `./x test`.
CENOTE_SECONDS is how long each of them works, about (10). A program that is missing is a failure, which says how to get it."""

import os
import pwd
import shutil
import subprocess
import unittest

from mounts import MountTest
from system import environment

SECONDS = int(os.environ.get("CENOTE_SECONDS", "10"))
LONGEST_S = 1800 + 20 * SECONDS
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Whose name says where a package puts its programs.
POSTGRESQL = "/usr/lib/postgresql"

FIO = {
    "sequential": ["--rw=write", "--bs=1M", "--size=64M"],
    "random": ["--rw=randrw", "--bs=4k", "--size=16M", "--io_size=8M"],
    "direct": ["--rw=randwrite", "--bs=64k", "--size=32M", "--direct=1", "--ioengine=libaio", "--iodepth=8"],
    "unaligned": ["--rw=randwrite", "--bsrange=512-70000", "--bs_unaligned", "--size=16M"],
    "mapped": ["--rw=randwrite", "--bs=4k", "--size=16M", "--ioengine=mmap"],
    "synced": ["--rw=randwrite", "--bs=16k", "--size=8M", "--fsync=4"],
    "several": ["--rw=randwrite", "--bs=8k", "--size=4M", "--numjobs=4"],
}
STRESSORS = ("chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dirmany", "fallocate", "fcntl", "fiemap",
             "file-ioctl", "filename", "flock", "fpunch", "fstat", "getdent", "hdd", "io", "iomix", "lease", "link", "locka",
             "lockf", "lockofd", "mknod", "open", "readahead", "rename", "seek", "symlink", "sync-file", "touch", "unlink", "utime",
             "xattr")


class Programs(MountTest):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)
        self.engine = self.started(size="2GiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")
        # A machine with more to do than it can is no failure of the mount.
        self.mount = self.mounted(self.engine, "--multi-user", "--timeout", "5m")

    def at(self, *parts):
        return os.path.join(self.mount.place, *parts)

    def need(self, program, package):
        if shutil.which(program) is None:
            self.fail(f"{program} is missing: apt-get install {package}")

    def ran(self, *command, cwd=None, **more):
        done = subprocess.run(command, cwd=cwd or self.mount.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              text=True, errors="replace", env=environment(), timeout=LONGEST_S, **more)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{self.mount.text_of_log()[-4000:]}")
        return done.stdout

    def test_fio_reads_what_it_wrote(self):
        self.need("fio", "fio")
        for name, arguments in FIO.items():
            with self.subTest(name):
                self.ran("fio", f"--name={name}", f"--directory={self.mount.place}", "--verify=crc32c", "--verify_fatal=1",
                         "--do_verify=1", "--randrepeat=0", "--fallocate=none", *arguments)

    def test_stress_ng_finds_nothing_wrong(self):
        self.need("stress-ng", "stress-ng")
        each = max(1, SECONDS // 5)
        for name in STRESSORS:
            with self.subTest(name):
                self.ran("stress-ng", f"--{name}", "2", "--timeout", f"{each}s", "--verify", "--temp-path", self.mount.place,
                         "--hdd-bytes", "16m", "--iomix-bytes", "8m", "--fallocate-bytes", "16m", "--seek-size", "8m",
                         "--copy-file-bytes", "128m", "--sync-file-bytes", "8m", "--readahead-bytes", "8m", "--fiemap-bytes", "8m",
                         "--lease-breakers", "1")

    def test_dbench(self):
        self.need("dbench", "dbench")
        text = self.ran("dbench", "-D", self.mount.place, "-t", str(SECONDS), "-c", "/usr/share/dbench/client.txt", "4")
        self.assertNotIn("ERROR", text)
        self.assertIn("Throughput", text)

    def test_rsync_there_and_back(self):
        self.need("rsync", "rsync")
        self.need("setfacl", "acl")
        source, back = self.path("source"), self.path("back")
        shutil.copytree(os.path.join(ROOT, "src", "posix"), os.path.join(source, "tree"))
        self.ran("bash", "-ec", """
            ln -s nowhere link; ln tree/acl.h hard; mkfifo pipe; truncate -s 5M sparse; printf x >>sparse
            setfacl -m u:1234:rw,g:7:r tree/acl.cc; setfacl -d -m u:1234:rwx tree; setfattr -n user.name -v value tree/acl.h ||
              python3 -c 'import os; os.setxattr("tree/acl.h", "user.name", b"value")'
            chmod 4750 hard; chown 5:6 tree/layout.h; touch -d 2001-02-03T04:05:06.789 tree/inode.h""", cwd=source)
        self.ran("rsync", "-aHAXS", "--numeric-ids", source + "/", self.at("copy"))
        for one, other in ((source + "/", self.at("copy")), (self.at("copy") + "/", source)):
            self.assertEqual(self.ran("rsync", "-aHAXcni", "--numeric-ids", "--delete", one, other), "")
        self.ran("rsync", "-aHAXS", "--numeric-ids", self.at("copy") + "/", back)
        self.assertEqual(self.ran("rsync", "-aHAXcni", "--numeric-ids", "--delete", source + "/", back), "")

    def test_a_project_is_built(self):
        self.need("make", "make")
        for part in ("src/base", "src/protocol"):
            shutil.copytree(os.path.join(ROOT, part), self.at(part))
        makefile = """
OBJECTS := $(patsubst %.cc,%.o,$(filter-out %_test.cc,$(wildcard src/base/*.cc)))
libbase.a: $(OBJECTS)
\tar rcs $@ $^
%.o: %.cc
\tclang++-19 -std=c++2b -O0 -fcoro-aligned-allocation -march=x86-64-v3 -Isrc/base/include -MMD -c -o $@ $<
"""
        with open(self.at("Makefile"), "w", encoding="utf-8") as file:
            file.write(makefile)
        self.ran("make", "-j4")
        self.assertNotIn("clang", self.ran("make", "-n"), "all is up to date")
        self.assertIn(".o\n", self.ran("ar", "t", "libbase.a"))

    def test_postgresql(self):
        programs = os.path.dirname(shutil.which("initdb") or "")
        if not programs and os.path.isdir(POSTGRESQL):
            programs = os.path.join(POSTGRESQL, max(os.listdir(POSTGRESQL)), "bin")
        if not programs or not os.path.exists(os.path.join(programs, "pgbench")):
            self.fail("initdb or pgbench is missing: apt-get install postgresql")
        nobody = pwd.getpwnam("nobody")
        os.mkdir(self.at("database"), 0o700)
        os.chown(self.at("database"), nobody.pw_uid, nobody.pw_gid)
        os.mkdir(self.path("sockets"))
        os.chown(self.path("sockets"), nobody.pw_uid, nobody.pw_gid)
        run = lambda name, *words: self.ran(os.path.join(programs, name), *words, cwd="/", user=nobody.pw_uid, group=nobody.pw_gid,
                                            extra_groups=[])
        where = ("-h", self.path("sockets"))
        options = f"-k {self.path('sockets')} -c listen_addresses=''"
        run("initdb", "-D", self.at("database"), "-A", "trust", "-U", "u", "--data-checksums")
        for mode in ("fast", "immediate"):
            run("pg_ctl", "-D", self.at("database"), "-l", self.path("sockets", "log"), "-t", "300", "-w", "-o", options, "start")
            try:
                if mode == "fast":
                    run("createdb", *where, "-U", "u", "bench")
                    run("pgbench", *where, "-U", "u", "-i", "-q", "-s", "1", "bench")
                run("pgbench", *where, "-U", "u", "-c", "4", "-T", str(SECONDS), "bench")
                sums = run("psql", *where, "-U", "u", "-Atc", "select (select sum(abalance) from pgbench_accounts) = "
                           "(select sum(delta) from pgbench_history)", "bench")
                self.assertEqual(sums.strip(), "t")
            finally:
                run("pg_ctl", "-D", self.at("database"), "-t", "300", "-w", "-m", mode, "stop")
        # The second one ended as a crash does: it recovers, and all pages have their checksums.
        run("pg_ctl", "-D", self.at("database"), "-l", self.path("sockets", "log"), "-t", "300", "-w", "-o", options, "start")
        run("pg_ctl", "-D", self.at("database"), "-t", "300", "-w", "-m", "fast", "stop")
        run("pg_checksums", "-D", self.at("database"))


if __name__ == "__main__":
    unittest.main()
