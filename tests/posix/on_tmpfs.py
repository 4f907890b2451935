#!/usr/bin/env python3
"""Runs a program on directories of file systems of their own, which are gone afterwards.

  on_tmpfs.py FOLDER PROGRAM ARGUMENT...

In the arguments @ is a new directory in FOLDER and @ro the same directory through a read-only mount; @2 is a second one,
on another file system. Where this process may mount (root), @ and @2 are tmpfs, in mounts that nobody else sees;
elsewhere they are plain directories, --read-only @ro falls away, and --unprivileged is added when root is asked for."""

import os
import subprocess
import sys
import tempfile


def mount(*arguments):
    return subprocess.run(["mount", *arguments], stderr=subprocess.DEVNULL, check=False).returncode == 0


def with_mounts(places):
    """True when all of them are mounted, in a mount namespace of this process."""
    return (mount("--make-rprivate", "/") and mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", places["@"])
            and mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", places["@2"])
            and mount("--bind", places["@"], places["@ro"]) and mount("-o", "remount,bind,ro", places["@ro"]))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, command = sys.argv[1], sys.argv[2:]
    if os.geteuid() == 0 and os.environ.get("ON_TMPFS_INSIDE") is None:
        inside = ["unshare", "--mount", sys.executable, *sys.argv]
        if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.execvpe("unshare", inside, {**os.environ, "ON_TMPFS_INSIDE": "1"})
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as top:
        os.chmod(top, 0o755)
        places = {name: os.path.join(top, name[1:] or "1") for name in ("@", "@2", "@ro")}
        for place in places.values():
            os.mkdir(place)
        mounted = os.environ.get("ON_TMPFS_INSIDE") is not None and with_mounts(places)
        if not mounted and "@ro" in command:
            at = command.index("@ro")
            del command[at - 1:at + 1]
        if os.geteuid() != 0 and "posix_conformance" in command[0]:
            command.append("--unprivileged")
        print(f"on_tmpfs: {'tmpfs' if mounted else 'plain directories'}", flush=True)
        code = subprocess.run([places.get(word, word) for word in command], check=False).returncode
        for name in ("@ro", "@2", "@"):
            if mounted:
                subprocess.run(["umount", "-l", places[name]], check=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
