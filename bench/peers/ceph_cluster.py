"""A throw-away Ceph cluster on loopback: one monitor and three OSDs, one pool with three copies of everything.

No manager runs: it only counts and advises, and would take processor time from the OSDs. Ceph's settings are its own
but for what CONFIGURATION says.
"""

import concurrent.futures
import glob
import json
import os
import shutil
import signal
import subprocess
import time
import uuid

from processes import PATIENCE_S, STOP_S, Daemon, Failure, free_ports, output_of

OSDS = 3
POOL = "bench"
PLACEMENT_GROUPS = 32
# Names of sockets; without its own an OSD answers no question.
SOCKET_PATH_MAX = 107
PACKAGES = {"ceph-mon": "ceph-mon", "monmaptool": "ceph-base", "ceph-osd": "ceph-osd", "ceph": "ceph-common",
            "rados": "ceph-common"}

# Its users turn the debug logs off, and those in memory with them, when speed counts.
SILENT = ("asok auth bdev bluefs bluestore finisher heartbeatmap mon monc ms objecter osd paxos perfcounter rados rocksdb "
          "throttle timer").split()

# Without cephx, as Cenote runs without authentication. Chooseleaf type 0: copies on three OSDs, not on three hosts.
CONFIGURATION = """\
[global]
fsid = {fsid}
mon_host = v2:127.0.0.1:{port}
public_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = false
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 3
osd_pool_default_min_size = 2
osd_pool_default_pg_autoscale_mode = off
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
err_to_stderr = false
{debug}
{more}
[mon]
mon_data = {folder}/mon

[osd]
osd_data = {folder}/osd$id
osd_objectstore = bluestore
bluestore_block_size = {bytes}
"""


def missing_packages():
    return sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})


class CephCluster:
    """In a folder of its own. `stop` and `status` also work in another process than the one that started it."""

    def __init__(self, folder, osd_bytes, settings=()):
        self.folder = os.path.abspath(folder)
        self.osd_bytes = osd_bytes
        self.settings = settings
        self.configuration = os.path.join(self.folder, "ceph.conf")
        self.daemons = []

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def command(self, program, *arguments):
        return [program, "--conf", self.configuration, *map(str, arguments)]

    def run(self, program, *arguments):
        return output_of(self.command(program, *arguments))

    def ask(self, *arguments):
        return json.loads(self.run("ceph", *arguments, "--format", "json"))

    def start(self):
        """Returns when every placement group has its three copies; nothing is left of it when that cannot be."""
        if len(self.path("client.admin.asok")) > SOCKET_PATH_MAX:
            raise Failure(f"{self.folder} is too long for the sockets in it: {SOCKET_PATH_MAX} characters at most")
        try:
            os.mkdir(self.folder)
        except FileExistsError:
            raise Failure(f"{self.folder} is there already; 'bench/peers/ceph stop' removes a cluster") from None
        try:
            self.bring_up()
        except BaseException:
            self.remove()
            raise

    def bring_up(self):
        self.configure()
        self.launch("ceph-mon", "a")
        with concurrent.futures.ThreadPoolExecutor(OSDS) as each:
            list(each.map(self.make_osd, range(OSDS)))
        for number in range(OSDS):
            self.launch("ceph-osd", number)
        self.await_that(lambda: self.osds_up() == OSDS, "all OSDs are up")
        self.run("ceph", "osd", "pool", "create", POOL, PLACEMENT_GROUPS, PLACEMENT_GROUPS, "replicated")
        self.run("ceph", "osd", "pool", "application", "enable", POOL, "rados")
        # Scrubs of a new pool would fall into the measurements.
        for flag in ("noscrub", "nodeep-scrub"):
            self.run("ceph", "osd", "set", flag)
        self.await_that(lambda: not self.unclean(), "all placement groups are clean")

    def configure(self):
        fsid, port = str(uuid.uuid4()), free_ports(1)[0]
        debug = "\n".join(f"debug_{part} = 0/0" for part in SILENT)
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(fsid=fsid, port=port, folder=self.folder, debug=debug, bytes=self.osd_bytes,
                                            more="".join(line + "\n" for line in self.settings)))
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{port}]", self.path("monmap"))
        os.mkdir(self.path("mon"))
        self.run("ceph-mon", "--id", "a", "--mkfs", "--monmap", self.path("monmap"))

    def make_osd(self, number):
        identity = str(uuid.uuid4())
        os.mkdir(self.path(f"osd{number}"))
        # Numbers are given in the order of the calls unless they are named.
        self.run("ceph", "osd", "new", identity, number)
        self.run("ceph-osd", "--id", number, "--mkfs", "--osd-uuid", identity)

    def launch(self, program, name):
        daemon = Daemon(self.command(program, "--id", name, "--foreground"), self.path(f"{program}.{name}.out"))
        self.daemons.append(daemon)
        with open(self.path(f"{program}.{name}.pid"), "w", encoding="ascii") as file:
            file.write(str(daemon.pid))

    def await_that(self, holds, what):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for daemon in self.daemons:
                daemon.check()
            if holds():
                return
            time.sleep(0.2)
        raise Failure(f"never happened: {what}; see the logs in {self.folder}")

    def osds_up(self):
        state = self.ask("osd", "stat")
        return min(state["num_up_osds"], state["num_in_osds"])

    def unclean(self):
        """Placement groups that are not complete on three OSDs. Each is asked itself: without a manager nobody counts."""
        number = next(pool["poolnum"] for pool in self.ask("osd", "lspools") if pool["poolname"] == POOL)

        def clean(group):
            found = self.ask("tell", f"{number}.{group:x}", "query")
            return found["state"] == "active+clean" and len(found["acting"]) == OSDS

        with concurrent.futures.ThreadPoolExecutor(4) as each:
            return [group for group, good in enumerate(each.map(clean, range(PLACEMENT_GROUPS))) if not good]

    def status(self):
        """One line, and whether all is well."""
        up, unclean = self.osds_up(), self.unclean()
        line = f"{up} of {OSDS} OSDs up, {PLACEMENT_GROUPS - len(unclean)} of {PLACEMENT_GROUPS} placement groups clean"
        return line, up == OSDS and not unclean

    def stop(self):
        if not os.path.exists(self.configuration):
            raise Failure(f"no cluster in {self.folder}")
        self.remove()

    def remove(self):
        """Takes it down and removes it, also when it was started only in part."""
        pid_files = glob.glob(self.path("*.pid"))
        for file in pid_files:
            self.signal(file, signal.SIGTERM)
        for daemon in self.daemons:
            daemon.stop()
        end = time.monotonic() + STOP_S
        for file in pid_files:
            while self.is_ours(file):
                if time.monotonic() > end:
                    self.signal(file, signal.SIGKILL)
                time.sleep(0.05)
        shutil.rmtree(self.folder)

    def is_ours(self, pid_file):
        """The pid of a daemon of this cluster that runs; the number may be somebody else's by now."""
        with open(pid_file, encoding="ascii") as file:
            pid = file.read()
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return int(pid) if self.configuration.encode() in file.read().split(b"\0") else None
        except OSError:
            return None

    def signal(self, pid_file, number):
        pid = self.is_ours(pid_file)
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def version(self):
        return subprocess.run(["ceph", "--version"], capture_output=True, text=True, check=False).stdout.split(" (")[0].strip()

    def bench(self, seconds, mode, *arguments):
        """One run of `rados bench`. Returns operations, seconds and the mean latency in microseconds."""
        text = self.run("rados", "--pool", POOL, "--format", "json", "bench", seconds, mode, *arguments)
        return parse_rados_bench(text)

    def forget(self, run):
        self.run("rados", "--pool", POOL, "cleanup", "--run-name", run)


def parse_rados_bench(text):
    """What it prints before the document says which hints it gives."""
    found = json.loads(text[text.index("{"):])
    operations = int(found.get("total_writes_made", found.get("total_reads_made", 0)))
    if not operations:
        raise Failure("'rados bench' did nothing")
    return operations, float(found["total_time_run"]), float(found["average_latency"]) * 1e6
