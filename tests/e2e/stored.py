"""What the stores of stopped engines hold, read by `cenote debug`, in a form in which replicas can be compared."""

import collections
import hashlib
import json

from system import OK, cenote

BLOCK = 4096
# Of `debug tree`: more entries than a test has.
LIMIT = 10_000_000


def looked(*arguments):
    done = cenote("debug", *arguments, "--json")
    if done.returncode != OK:
        raise AssertionError(f"cenote debug {' '.join(arguments)}: {done.stdout.decode()[-2000:]} {done.stderr.decode()}")
    return json.loads(done.stdout)["stores"]


def contents_of(path, entry):
    """The bytes of one version: at the end of the entry, or where its extents lie."""
    if entry["compression"] != "none" or entry["encrypted"]:
        raise AssertionError(f"stored in another form: {entry}")
    if entry["inline"]:
        return bytes.fromhex(entry["value"])[-entry["bytes"]:] if entry["bytes"] else b""
    with open(path, "rb") as file:
        found = b""
        for extent in entry["extents"]:
            file.seek(extent["block"] * BLOCK)
            found += file.read(extent["blocks"] * BLOCK)
    return found[:entry["bytes"]]


class Akey:
    """What a reader sees of one akey: the newest single value, and the records of an array with what is newest of each."""

    def __init__(self, path, entries, punched):
        self.path = path
        self.entries = sorted((entry for entry in entries if entry["epoch"] > punched), key=lambda entry: entry["epoch"])

    def seen(self):
        """None: nothing."""
        parts = []
        singles = [entry for entry in self.entries if entry["type"] == "single"]
        if singles:
            parts.append(("single", singles[-1]["epoch"], digest(contents_of(self.path, singles[-1]))))
        ranges = [entry for entry in self.entries if entry["type"] in ("extent", "hole")]
        array = self._painted(ranges)
        if array:
            parts.append(("array", len(array), digest(array)))
        return tuple(parts) or None

    def _painted(self, ranges):
        """Older ones below newer ones. Values of zero bytes and holes look the same, as they do to readers, but for the size."""
        size = max((entry["first"] + entry["records"] for entry in ranges if entry["type"] == "extent"), default=0)
        painted, written = bytearray(size), bytearray(size)
        for entry in ranges:
            if entry["record_bytes"] not in (0, 1):
                raise AssertionError(f"records of several bytes: {entry}")
            begin, end = entry["first"], min(size, entry["first"] + entry["records"])
            if begin >= end:
                continue
            is_extent = entry["type"] == "extent"
            painted[begin:end] = contents_of(self.path, entry) if is_extent else bytes(end - begin)
            written[begin:end] = (b"\1" if is_extent else b"\0") * (end - begin)
        return painted[:written.rfind(1) + 1]


def digest(contents):
    return hashlib.sha256(contents).hexdigest()[:16]


def seen_in_tree(path, entries):
    """(object, dkey) -> akey -> what is seen of it, in one tree of one store."""
    punched = collections.defaultdict(int)
    versions = collections.defaultdict(list)
    for entry in entries:
        place = tuple(entry[level] for level in ("object", "dkey", "akey") if level in entry)
        if entry["type"] == "punch":
            punched[place] = max(punched[place], entry["epoch"])
        elif len(place) == 3:
            versions[place].append(entry)
    found = collections.defaultdict(dict)
    for place, own in versions.items():
        last_punch = max(punched.get(place[:level], 0) for level in (1, 2, 3))
        seen = Akey(path, own, last_punch).seen()
        if seen:
            found[place[:2]][place[2]] = seen
    return found


def replicas(data):
    """(container, object, dkey) -> what is seen of it, of everything in the directory of one stopped engine."""
    found = {}
    for space in looked("space", data):
        for container in space["containers"]:
            [store] = looked("tree", space["path"], str(container["tree"]), "--values", "--limit", str(LIMIT))
            for place, seen in seen_in_tree(space["path"], store["entries"]).items():
                found[(container["container"], *place)] = seen
    return found


def differences(engines, copies):
    """What is not kept by exactly `copies[container]` of the engines, or not the same on all of those. `engines` is what
    `replicas` says of each."""
    wrong = []
    for place in sorted(set().union(*engines)):
        held = {number: engine[place] for number, engine in enumerate(engines) if place in engine}
        if len(held) != copies[place[0]]:
            wrong.append(f"{place} is on engines {sorted(held)}, not on {copies[place[0]]} of them: {held}")
        elif len({json.dumps(seen, sort_keys=True) for seen in held.values()}) > 1:
            wrong.append(f"{place} differs: {held}")
    return wrong
