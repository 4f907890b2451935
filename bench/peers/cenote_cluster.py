"""Three engines of Cenote and one etcd on loopback, one pool with three copies of everything (RP_3GX)."""

import json
import os
import shutil
import subprocess
import time
import urllib.request

from processes import PATIENCE_S, Daemon, Failure, free_ports, output_of

ENGINES = 3
CONTAINER = "bench/things"


class CenoteCluster:
    def __init__(self, folder, binary, target_bytes):
        self.folder = os.path.abspath(folder)
        self.binary = binary
        self.target_bytes = target_bytes
        self.daemons = []
        self.address = None

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @staticmethod
    def environment():
        """The caller's without its own settings of cenote."""
        return {key: value for key, value in os.environ.items() if not key.startswith("CENOTE_")}

    def run(self, *arguments):
        return output_of([self.binary, *arguments, "--server", self.address, "--json"], env=self.environment())

    def start(self):
        os.mkdir(self.folder)
        try:
            self.bring_up()
        except BaseException:
            self.stop()
            raise

    def bring_up(self):
        coordinator = self.start_etcd()
        for number in range(1, ENGINES + 1):
            self.start_engine(number, coordinator)
        pool, container = CONTAINER.split("/")
        self.run("pool", "create", pool, "--redundancy", str(ENGINES - 1))
        self.run("container", "create", CONTAINER)

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        etcd = Daemon(["etcd", "--data-dir", self.path("etcd"), "--listen-client-urls", client, "--advertise-client-urls",
                       client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                       f"default={peer}", "--logger", "zap", "--log-level", "error"], self.path("etcd.log"))
        self.daemons.append(etcd)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            etcd.check()
            try:
                with urllib.request.urlopen(client + "/health", timeout=5):
                    return client
            except OSError:
                time.sleep(0.05)
        raise Failure("etcd does not become healthy")

    def start_engine(self, number, coordinator):
        """With one target, as an OSD has one device, and all else as it comes."""
        engine = Daemon([self.binary, "server", "--json", "--data", self.path(f"data{number}"), "--listen", "127.0.0.1:0",
                         "--control", "none", "--targets", "1", "--target-size", str(self.target_bytes), "--coordinator",
                         coordinator, "--fault-domain", f"rack1/node{number}"], self.path(f"engine{number}.log"),
                        stdout=subprocess.PIPE, env=self.environment())
        self.daemons.append(engine)
        ready = engine.process.stdout.readline()
        if not ready:
            engine.process.wait()
            engine.check()
        self.address = self.address or json.loads(ready)["address"]

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def version(self):
        return output_of([self.binary, "--version"]).strip()

    def bench(self, seconds, depth, workloads, *arguments):
        """One run of `cenote bench`: its results, by workload."""
        chosen = [word for workload in workloads for word in ("--workload", workload)]
        text = self.run("bench", CONTAINER, *chosen, "--seconds", str(seconds), "--depth", str(depth), *arguments)
        return {result["workload"]: result for result in json.loads(text)["results"]}
