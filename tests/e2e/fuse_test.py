#!/usr/bin/env python3
"""A mounted container is a directory like any other."""

import errno
import mmap
import os
import random
import socket
import sqlite3
import stat
import subprocess
import threading
import time
import unittest

from files_test import make_tree, summary
from mounts import MountTest
from system import BUSY, CONFLICT, CENOTE, NOT_FOUND, OK, PATIENCE_S, UNREACHABLE, USAGE, cenote, environment

MIB = 1 << 20
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def renameat2(source, target, flags):
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write(path, data, mode="wb"):
    with open(path, mode) as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Mounted(MountTest):
    def setUp(self):
        super().setUp()
        self.engine = self.started(size="256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")
        self.mount = self.mounted(self.engine)

    def at(self, *parts):
        return os.path.join(self.mount.place, *parts)


class Programs(Mounted):
    def test_a_tree_is_copied_there_and_back(self):
        source = self.path("source")
        make_tree(source)
        before = summary(source)
        self.run_in(self.directory, "cp", "-a", source, self.at("tree"))
        self.assertEqual(summary(self.at("tree")), before)
        self.run_in(self.mount.place, "tar", "--format=posix", "-cf", self.path("tree.tar"), "tree")
        os.mkdir(self.at("unpacked"))
        self.run_in(self.at("unpacked"), "tar", "-xpf", self.path("tree.tar"))
        self.assertEqual(summary(self.at("unpacked", "tree")), before)
        # What the command sees is the same.
        self.succeeds(self.engine, "fs", "cp", "-r", f"{self.home}:/tree", self.path("back"))
        self.assertEqual(summary(self.path("back")), before)
        self.run_in(self.mount.place, "rm", "-rf", "tree", "unpacked")
        self.assertEqual(os.listdir(self.mount.place), [])

    def test_git_keeps_a_repository(self):
        repository = self.at("repository")
        os.mkdir(repository)
        git = lambda *words: self.run_in(repository, "git", "-c", "user.name=n", "-c", "user.email=e@x", *words)
        git("init", "-q")
        for number in range(3):
            for name in range(20):
                write(os.path.join(repository, f"file-{name}"), f"{number} {name}\n" * 50, "w")
            git("add", "-A")
            git("commit", "-qm", f"commit {number}")
        git("gc", "-q")
        git("fsck", "--strict")
        self.run_in(self.mount.place, "git", "clone", "-q", repository, "clone")
        self.assertEqual(self.run_in(self.at("clone"), "git", "status", "--porcelain"), "")
        self.assertEqual(self.run_in(self.at("clone"), "git", "log", "--format=%s").split("\n")[0], "commit 2")

    def test_sqlite_keeps_a_database(self):
        for journal in ("delete", "wal"):
            with self.subTest(journal):
                database = sqlite3.connect(self.at(f"{journal}.db"))
                self.assertEqual(database.execute(f"pragma journal_mode={journal}").fetchone()[0], journal)
                database.execute("create table t (k integer primary key, v text)")
                for number in range(10):
                    with database:
                        database.executemany("insert into t (v) values (?)", [("x" * 200,)] * 50)
                database.close()
                database = sqlite3.connect(self.at(f"{journal}.db"))
                self.assertEqual(database.execute("pragma integrity_check").fetchone()[0], "ok")
                self.assertEqual(database.execute("select count(*) from t").fetchone()[0], 500)
                database.close()


class Semantics(Mounted):
    def test_names(self):
        write(self.at("a"), b"a")
        os.link(self.at("a"), self.at("b"))
        self.assertEqual(os.stat(self.at("b")).st_nlink, 2)
        self.assertEqual(os.stat(self.at("a")).st_ino, os.stat(self.at("b")).st_ino)
        write(self.at("b"), b"+", "ab")
        self.assertEqual(read(self.at("a")), b"a+")
        os.unlink(self.at("a"))
        self.assertEqual(os.stat(self.at("b")).st_nlink, 1)
        os.symlink("b", self.at("link"))
        self.assertEqual((os.readlink(self.at("link")), read(self.at("link"))), ("b", b"a+"))
        os.mkfifo(self.at("pipe"))
        self.assertTrue(stat.S_ISFIFO(os.stat(self.at("pipe")).st_mode))
        os.mknod(self.at("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        self.assertEqual(os.stat(self.at("null")).st_rdev, os.makedev(1, 3))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.at("s"))
        self.assertTrue(stat.S_ISSOCK(os.stat(self.at("s")).st_mode))
        listener.close()
        self.assertEqual(sorted(os.listdir(self.mount.place)), ["b", "link", "null", "pipe", "s"])
        self.refuses(errno.ENOENT, os.stat, self.at("a"))
        self.refuses(errno.EEXIST, os.mkdir, self.at("b"))
        self.refuses(errno.ENAMETOOLONG, os.stat, self.at("n" * 256))
        self.refuses(errno.ENOTDIR, os.stat, self.at("b", "c"))
        self.refuses(errno.EISDIR, os.open, self.mount.place, os.O_WRONLY)

    def test_rename(self):
        write(self.at("one"), b"1")
        write(self.at("two"), b"2")
        self.refuses(errno.EEXIST, renameat2, self.at("one"), self.at("two"), RENAME_NOREPLACE)
        renameat2(self.at("one"), self.at("two"), RENAME_EXCHANGE)
        self.assertEqual((read(self.at("one")), read(self.at("two"))), (b"2", b"1"))
        os.rename(self.at("one"), self.at("two"))
        self.assertEqual((read(self.at("two")), os.listdir(self.mount.place)), (b"2", ["two"]))
        os.makedirs(self.at("d", "e"))
        self.refuses(errno.EINVAL, os.rename, self.at("d"), self.at("d", "e", "f"))
        self.refuses(errno.ENOTEMPTY, os.rmdir, self.at("d"))
        os.mkdir(self.at("empty"))
        os.rename(self.at("d"), self.at("empty"))
        self.assertEqual(os.listdir(self.at("empty")), ["e"])

    def test_data(self):
        chance = random.Random(7)
        model = bytearray()
        descriptor = os.open(self.at("file"), os.O_RDWR | os.O_CREAT)
        for _ in range(60):
            offset, size = chance.randrange(3 * MIB), chance.choice((1, 100, 4096, 70_000, MIB + 1))
            data = chance.randbytes(size)
            self.assertEqual(os.pwrite(descriptor, data, offset), size)
            model.extend(bytes(max(0, offset + size - len(model))))
            model[offset:offset + size] = data
            if chance.randrange(8) == 0:
                del model[chance.randrange(len(model)):]
                os.ftruncate(descriptor, len(model))
        os.close(descriptor)
        self.assertEqual(read(self.at("file")), bytes(model))
        self.assertEqual(os.stat(self.at("file")).st_size, len(model))

    def test_holes(self):
        descriptor = os.open(self.at("file"), os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, 8 * MIB)
        os.pwrite(descriptor, b"x" * 4096, 4 * MIB)
        self.assertEqual(os.lseek(descriptor, 0, os.SEEK_DATA), 4 * MIB)
        self.assertEqual(os.lseek(descriptor, 4 * MIB, os.SEEK_HOLE), 4 * MIB + 4096)
        self.refuses(errno.ENXIO, os.lseek, descriptor, 9 * MIB, os.SEEK_DATA)
        os.posix_fallocate(descriptor, 0, 9 * MIB)
        self.assertEqual(os.fstat(descriptor).st_size, 9 * MIB)
        self.run_in(self.mount.place, "fallocate", "-p", "-o", str(4 * MIB), "-l", "4096", "file")
        self.assertEqual(os.pread(descriptor, 4096, 4 * MIB), bytes(4096))
        os.close(descriptor)

    def test_direct_io_and_mapped_memory(self):
        buffer = mmap.mmap(-1, MIB)
        buffer.write(b"direct" * 1000)
        descriptor = os.open(self.at("file"), os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        self.assertEqual(os.pwritev(descriptor, [buffer], 0), MIB)
        os.close(descriptor)
        descriptor = os.open(self.at("file"), os.O_RDWR)
        mapped = mmap.mmap(descriptor, MIB)
        self.assertEqual(mapped[:6], b"direct")
        mapped[:6] = b"mapped"
        mapped.flush()
        mapped.close()
        os.close(descriptor)
        self.assertEqual(read(self.at("file"))[:12], b"mappeddirect")

    def test_what_is_removed_stays_while_it_is_open(self):
        with open(self.at("file"), "w+b") as file:
            file.write(b"still here")
            file.flush()
            os.unlink(self.at("file"))
            self.assertEqual(os.listdir(self.mount.place), [])
            file.seek(0)
            self.assertEqual(file.read(), b"still here")
            self.assertEqual(os.fstat(file.fileno()).st_nlink, 0)

    def test_attributes(self):
        write(self.at("file"), b"")
        os.chmod(self.at("file"), 0o4751)
        os.chown(self.at("file"), 12, 34)
        os.utime(self.at("file"), ns=(1_000_000_001, 2_000_000_002))
        status = os.stat(self.at("file"))
        # A change of owner takes the set-id bit away.
        self.assertEqual((status.st_mode & 0o7777, status.st_uid, status.st_gid), (0o751, 12, 34))
        self.assertEqual((status.st_atime_ns, status.st_mtime_ns), (1_000_000_001, 2_000_000_002))
        os.setxattr(self.at("file"), "user.colour", b"blue")
        self.refuses(errno.EEXIST, os.setxattr, self.at("file"), "user.colour", b"red", os.XATTR_CREATE)
        self.refuses(errno.ENODATA, os.setxattr, self.at("file"), "user.other", b"red", os.XATTR_REPLACE)
        self.assertEqual(os.getxattr(self.at("file"), "user.colour"), b"blue")
        self.assertEqual(os.listxattr(self.at("file")), ["user.colour"])
        os.removexattr(self.at("file"), "user.colour")
        self.refuses(errno.ENODATA, os.getxattr, self.at("file"), "user.colour")
        self.refuses(errno.EOPNOTSUPP, os.setxattr, self.at("file"), "security.capability",
                     b"\0\0\0\2" + bytes(16))
        space = os.statvfs(self.mount.place)
        self.assertGreater(space.f_blocks, 0)
        self.assertLessEqual(space.f_bavail, space.f_blocks)

    def test_a_directory_can_be_listed_from_any_place(self):
        names = {f"{number:04}" for number in range(700)}
        os.mkdir(self.at("d"))
        for name in names:
            os.close(os.open(self.at("d", name), os.O_CREAT | os.O_WRONLY))
        program = """
use strict; opendir(my $d, $ARGV[0]) or die; my (@all, @places);
while (defined(my $n = readdir $d)) { push @all, $n; push @places, telldir $d; }
for my $i (0, 1, 2, 350, 650, $#all - 1) { seekdir $d, $places[$i]; my $n = readdir $d; die "$i: $n" if $n ne $all[$i + 1]; }
rewinddir $d; my $count = () = readdir $d; print "$count\\n";"""
        self.assertEqual(self.run_in(self.directory, "perl", "-e", program, self.at("d")), "702\n")
        self.assertEqual(set(os.listdir(self.at("d"))), names)

    def test_signals_that_a_program_handles_interrupt_nothing(self):
        import signal

        previous = signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            for number in range(100):
                write(self.at(f"{number}"), b"x" * 10_000)
                os.rename(self.at(f"{number}"), self.at("file"))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        self.assertEqual(os.listdir(self.mount.place), ["file"])


class Several(Mounted):
    def setUp(self):
        super().setUp()
        self.other = self.mounted(self.engine, name="other")

    def there(self, *parts):
        return os.path.join(self.other.place, *parts)

    def test_what_one_mount_wrote_and_closed_the_other_sees(self):
        for number in range(20):
            ours, theirs = (self.at, self.there) if number % 2 else (self.there, self.at)
            write(ours("file"), b"%d" % number * (number + 1))
            self.assertEqual(read(theirs("file")), b"%d" % number * (number + 1))
            self.assertEqual(os.stat(theirs("file")).st_size, os.stat(ours("file")).st_size)
            write(ours(f"name-{number}"), b"")
            self.assertIn(f"name-{number}", os.listdir(theirs()))
            os.rename(theirs(f"name-{number}"), theirs("name"))
            self.refuses(errno.ENOENT, os.stat, ours(f"name-{number}"))
            self.assertTrue(os.path.exists(ours("name")))

    def test_appends_of_both_are_all_kept(self):
        lines = 100

        def append(path, letter):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for number in range(lines):
                os.write(descriptor, b"%s%04d\n" % (letter, number))
            os.close(descriptor)

        threads = [threading.Thread(target=append, args=arguments)
                   for arguments in ((self.at("log"), b"a"), (self.there("log"), b"b"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = read(self.at("log")).split(b"\n")[:-1]
        for letter in (b"a", b"b"):
            self.assertEqual([line for line in found if line.startswith(letter)],
                             [b"%s%04d" % (letter, number) for number in range(lines)])


class Endings(MountTest):
    def setUp(self):
        super().setUp()
        self.engine = self.started(size="256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")

    def is_mounted(self, place):
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            return any(line.split()[4] == place for line in lines)

    def test_in_the_background_it_is_there_when_the_command_returns(self):
        place = self.path("mount")
        os.mkdir(place)
        self.addCleanup(subprocess.run, ["umount", "-l", place], capture_output=True, check=False)
        self.assertEqual(self.cenote(self.engine, "fs", "mount", self.home, place).returncode, OK)
        self.assertTrue(self.is_mounted(place))
        write(os.path.join(place, "file"), b"x")
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            self.assertIn(f" - fuse.cenote {self.home} ", lines.read())
        with open(os.path.join(place, "file"), "rb"):
            self.assert_fails(cenote("fs", "unmount", place), BUSY, place, "--force")
        self.assertEqual(cenote("fs", "unmount", place).returncode, OK)
        self.assertFalse(self.is_mounted(place))
        self.assert_fails(cenote("fs", "unmount", place), NOT_FOUND, place)
        # mount(8) finds a helper by its name.
        helper = self.path("mount.cenote")
        os.symlink(os.path.join(os.path.dirname(os.path.realpath(CENOTE)), "cenote-fuse"), helper)
        done = subprocess.run([helper, self.home, place, "-n", "-o", f"rw,noexec,server={self.engine.address}"],
                              capture_output=True, check=False, env=environment(), timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(read(os.path.join(place, "file")), b"x")
        self.assertEqual(cenote("fs", "unmount", place).returncode, OK)

    def test_a_stop_signal_unmounts(self):
        mount = self.mounted(self.engine)
        write(os.path.join(mount.place, "file"), b"x")
        self.assertEqual(mount.stop(), OK, mount.text_of_log())
        self.assertFalse(self.is_mounted(mount.place))

    def test_one_whose_process_was_killed_can_be_taken_away(self):
        mount = self.mounted(self.engine)
        mount.process.kill()
        mount.wait()
        # At first what waits for the process is told that it has ended, afterwards that there is none.
        with self.assertRaises(OSError) as caught:
            os.listdir(mount.place)
        self.assertIn(caught.exception.errno, (errno.ECONNABORTED, errno.ENOTCONN))
        done = self.cenote(self.engine, "fs", "mount", self.home, mount.place)
        self.assert_fails(done, CONFLICT, mount.place, "unmount")
        self.assertEqual(cenote("fs", "unmount", mount.place).returncode, OK)
        self.assertFalse(self.is_mounted(mount.place))

    def test_the_loss_of_the_server_is_survived(self):
        mount = self.mounted(self.engine, "--timeout", "60s")
        written = []
        stopping = threading.Event()
        failures = []

        def load():
            try:
                while not stopping.is_set():
                    name = f"file-{len(written)}"
                    write(os.path.join(mount.place, name), name.encode() * 500)
                    written.append(name)
            except OSError as error:
                failures.append(error)

        thread = threading.Thread(target=load)
        thread.start()
        for _ in range(2):
            so_far = len(written)
            while len(written) < so_far + 20 and thread.is_alive():
                time.sleep(0.001)
            self.engine.kill()
            self.engine.start()
        so_far = len(written)
        while len(written) < so_far + 20 and thread.is_alive():
            time.sleep(0.001)
        stopping.set()
        thread.join()
        self.assertEqual(failures, [], mount.text_of_log())
        for name in written:
            self.assertEqual(read(os.path.join(mount.place, name)), name.encode() * 500)
        self.assertEqual(mount.stop(), OK)

    def test_without_servers_operations_end_and_it_can_be_unmounted(self):
        mount = self.mounted(self.engine, "--timeout", "1s")
        file = open(os.path.join(mount.place, "file"), "wb", buffering=0)
        file.write(b"x")
        self.engine.kill()
        self.refuses(errno.ETIMEDOUT, os.stat, os.path.join(mount.place, "file"))
        self.refuses(errno.ETIMEDOUT, file.write, b"y")
        try:
            file.close()
        except OSError:
            pass
        self.assertIn("a request failed", mount.text_of_log())
        self.assertEqual(cenote("fs", "unmount", mount.place).returncode, OK)
        self.assertEqual(mount.wait(), OK, mount.text_of_log())

    def test_who_is_killed_does_not_wait_for_servers(self):
        mount = self.mounted(self.engine, "--timeout", "100s")
        self.engine.kill()
        waiting = subprocess.Popen(["stat", os.path.join(mount.place, "file")], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while not self.waits_for_the_mount(waiting.pid) and waiting.poll() is None:
            time.sleep(0.001)
        waiting.kill()
        self.assertNotEqual(waiting.wait(20), 0)
        self.assertEqual(cenote("fs", "unmount", "--force", mount.place).returncode, OK)
        self.assertEqual(mount.wait(), OK, mount.text_of_log())

    def waits_for_the_mount(self, process):
        with open(f"/proc/{process}/stack", encoding="utf-8") as text:
            return "fuse" in text.read()


class Kinds(MountTest):
    def setUp(self):
        super().setUp()
        self.engine = self.started(size="256MiB")
        self.home = self.with_container(self.engine, "pool/home", "posix")

    def test_read_only_and_snapshots(self):
        mount = self.mounted(self.engine)
        write(os.path.join(mount.place, "file"), b"old")
        self.succeeds(self.engine, "container", "snapshot", "create", self.home, "s")
        write(os.path.join(mount.place, "file"), b"new")
        for options, text in ((["--read-only"], b"new"), (["--snapshot", "s"], b"old")):
            seen = self.mounted(self.engine, *options, name=options[0])
            self.assertEqual(read(os.path.join(seen.place, "file")), text)
            self.refuses(errno.EROFS, os.mkdir, os.path.join(seen.place, "d"))
        self.assertEqual(os.listdir(mount.place), ["file"])
        kept = os.path.join(mount.place, ".snapshots", "s")
        self.assertEqual(os.listdir(os.path.dirname(kept)), ["s"])
        self.assertEqual(os.listdir(kept), ["file"])
        self.assertEqual(read(os.path.join(kept, "file")), b"old")
        self.assertNotEqual(os.stat(os.path.join(kept, "file")).st_ino, os.stat(os.path.join(mount.place, "file")).st_ino)
        self.refuses(errno.EROFS, os.open, os.path.join(kept, "file"), os.O_WRONLY)
        self.refuses(errno.EROFS, os.mkdir, os.path.join(kept, "d"))
        self.refuses(errno.EROFS, os.rmdir, os.path.dirname(kept))
        self.refuses(errno.EEXIST, os.mkdir, os.path.dirname(kept))
        self.assertEqual(self.succeeds(self.engine, "fs", "cat", f"{self.home}:/.snapshots/s/file"), b"old")

    def test_many_users(self):
        alone = self.mounted(self.engine)
        shared = self.mounted(self.engine, "--multi-user", name="shared")
        os.chmod(self.directory, 0o755)
        write(os.path.join(alone.place, "private"), b"x")
        os.chmod(os.path.join(alone.place, "private"), 0o600)
        write(os.path.join(alone.place, "public"), b"x")
        os.chmod(os.path.join(alone.place, "public"), 0o644)

        def as_nobody(*command):
            return subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True, check=False,
                                  timeout=PATIENCE_S).returncode

        self.assertNotEqual(as_nobody("cat", os.path.join(alone.place, "public")), 0)
        self.assertEqual(as_nobody("cat", os.path.join(shared.place, "public")), 0)
        self.assertNotEqual(as_nobody("cat", os.path.join(shared.place, "private")), 0)
        self.assertNotEqual(as_nobody("touch", os.path.join(shared.place, "mine")), 0)
        os.chmod(shared.place, 0o1777)
        self.assertEqual(as_nobody("touch", os.path.join(shared.place, "mine")), 0)
        self.assertEqual(os.stat(os.path.join(alone.place, "mine")).st_uid, 65534)

    def test_access_lists_are_what_they_are_elsewhere(self):
        mount = self.mounted(self.engine, "--multi-user")
        reference = self.path("reference")
        os.mkdir(reference)
        steps = """
            umask 027
            touch f; setfacl -m u:1234:rwx,g:77:r f; chmod 640 f
            mkdir d; setfacl -m u:5:rx d; setfacl -d -m u:1234:rwx,g::rx,o::--- d
            touch d/f; mkdir d/e; mkdir -p d/e/g/h; touch d/e/g/h/i; mkfifo d/pipe; ln -s f d/link; chmod 700 d/e
            mkdir p; setfacl -d -m u::rwx,g::rwx,o::rx p; touch p/f; mkdir p/d
            cp -a d copy; mv d/f moved; ln f g; setfacl -x u:1234 g
            touch gone; setfacl -m u:9:r gone; setfacl -b gone
            mkdir -m 2770 s; setfacl -m g:8:rwx s; setfacl -k d/e/g
            tar --acls -cf t.tar d; mkdir u; tar --acls -xpf t.tar -C u"""
        for place in (reference, mount.place):
            self.run_in(place, "bash", "-ec", steps)
        seen = [self.run_in(place, "bash", "-c", "find . ! -type l | LC_ALL=C sort | getfacl -n -p -")
                for place in (reference, mount.place)]
        self.assertIn("default:user:1234:rwx", seen[0])
        self.maxDiff = None
        self.assertEqual(seen[1], seen[0])
        # Lists count for who is named, in the command as in the mount, and by another mount at once.
        other = self.mounted(self.engine, "--multi-user", name="other")
        os.chmod(self.directory, 0o755)
        write(os.path.join(mount.place, "secret"), b"x")
        os.chmod(os.path.join(mount.place, "secret"), 0o600)
        os.chmod(mount.place, 0o755)
        reads = lambda: subprocess.run(["cat", os.path.join(other.place, "secret")], user=1234, group=1234, extra_groups=[],
                                       capture_output=True, check=False, timeout=PATIENCE_S).returncode == 0
        for command, allowed in (("true", False), ("setfacl -m u:1234:r secret", True), ("chmod 600 secret", False),
                                 ("setfacl -m m::r secret", True), ("setfacl -x u:1234 secret", False)):
            self.run_in(mount.place, "bash", "-ec", command)
            self.assertEqual(reads(), allowed, command)

    def test_a_single_client_keeps_what_it_knows(self):
        mount = self.mounted(self.engine, "--single-client")
        source = self.path("source")
        make_tree(source)
        self.run_in(self.directory, "cp", "-a", source, os.path.join(mount.place, "tree"))
        self.assertEqual(summary(os.path.join(mount.place, "tree")), summary(source))
        self.assertEqual(mount.stop(), OK, mount.text_of_log())
        again = self.mounted(self.engine, name="again")
        self.assertEqual(summary(os.path.join(again.place, "tree")), summary(source))

    def test_what_users_get_wrong(self):
        mount = lambda code, container, place, *more, says: self.fails(
            self.engine, code, "fs", "mount", container, place, *more, says=says)
        place = self.path("place")
        mount(NOT_FOUND, self.home, place, says=[place, "create it"])
        os.mkdir(place)
        mount(NOT_FOUND, "pool/nowhere", place, says=["nowhere"])
        mount(NOT_FOUND, "nopool/home", place, says=["nopool"])
        mount(USAGE, "home", place, says=["POOL/CONTAINER"])
        mount(NOT_FOUND, self.home, place, "--snapshot", "none", says=["none"])
        self.succeeds(self.engine, "container", "create", "pool/things")
        mount(CONFLICT, "pool/things", place, says=["posix"])
        write(self.path("file"), b"")
        mount(CONFLICT, self.home, self.path("file"), says=["no directory"])
        write(os.path.join(place, "hidden"), b"")
        mount(CONFLICT, self.home, place, says=["not empty"])
        mount(USAGE, self.home, place, "--kernel-option", "nonsense", says=["nonsense"])
        seen = self.mounted(self.engine)
        mount(CONFLICT, self.home, seen.place, says=["already"])
        self.assert_fails(cenote("fs", "mount", self.home, self.directory, CENOTE_SERVER="127.0.0.1:1",
                                 CENOTE_TIMEOUT="200ms"), UNREACHABLE, "127.0.0.1:1")
        self.assert_fails(cenote("fs", "unmount", "/"), NOT_FOUND, "/")


if __name__ == "__main__":
    unittest.main()
