"""What tests of mounts share."""

import errno
import json
import os
import signal
import subprocess
import threading

from system import CENOTE, PATIENCE_S, SystemTest, environment


def unusable():
    """Why nothing can be mounted here; None: it can."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    if os.geteuid() != 0:
        return "not root"
    # A process may have the device and still not be allowed to mount.
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "this process may not mount: " + probe.stderr.decode().strip()


class Mount:
    """A `cenote fs mount --foreground`."""

    def __init__(self, container, place, address, *options):
        command = [CENOTE, "fs", "mount", container, place, "--foreground", "--json", *options]
        self.place = place
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment(CENOTE_SERVER=address))
        self.log = []
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(PATIENCE_S)
            self.process.stdout.close()
            raise RuntimeError("it was not mounted:\n" + self.text_of_log())
        assert json.loads(line)["mounted"] == place, line

    def _collect(self):
        with self.process.stderr as stream:
            for line in stream:
                self.log.append(line)

    def text_of_log(self):
        return b"".join(self.log).decode(errors="replace")

    def wait(self):
        """The exit code, once the mount has ended."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self.process.stdout.close()
        return code

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def clean_up(self):
        subprocess.run([CENOTE, "fs", "unmount", "--force", self.place], capture_output=True, check=False,
                       env=environment(), timeout=PATIENCE_S)
        if self.process.poll() is None:
            self.process.kill()
            self.wait()
        subprocess.run(["umount", "-l", self.place], capture_output=True, check=False, timeout=PATIENCE_S)


class MountTest(SystemTest):
    def setUp(self):
        super().setUp()
        reason = unusable()
        if reason:
            print(f"nothing can be mounted in this environment ({reason}): not tested", flush=True)
            self.skipTest(reason)

    def mounted(self, server, *options, container="pool/home", name="mount"):
        place = self.path(name)
        os.makedirs(place, exist_ok=True)
        mount = Mount(container, place, server.address, *options)
        self.addCleanup(mount.clean_up)
        return mount

    def run_in(self, directory, *command, **more):
        """Runs a program there, which has to succeed; what it printed."""
        done = subprocess.run(command, cwd=directory, capture_output=True, timeout=PATIENCE_S, check=False,
                              env=environment(**more))
        self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))
        return done.stdout.decode()

    def refuses(self, number, function, *arguments, **more):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **more)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])
