#!/usr/bin/env python3
"""scripts/check-models sees every difference between the page, the code's table and the model."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = "docs/protocols/replication.md"
TABLE = "src/protocol/include/cenote/protocol/replica_entry.def"
MODEL = "models/replication/group.pml"


class CheckModels(unittest.TestCase):
    def findings(self, path=None, old="", new=""):
        """What the script prints about a copy of its files in which `old` was replaced once."""
        with tempfile.TemporaryDirectory() as root:
            for file in ("scripts/check-models", PAGE, TABLE, MODEL):
                os.makedirs(os.path.dirname(os.path.join(root, file)), exist_ok=True)
                copy = shutil.copy(os.path.join(ROOT, file), os.path.join(root, file))
                if file == path:
                    with open(copy, "r+", encoding="utf-8") as target:
                        text = target.read()
                        self.assertIn(old, text)
                        target.seek(0)
                        target.truncate()
                        target.write(text.replace(old, new, 1))
            done = subprocess.run([os.path.join(root, "scripts/check-models"), "--page"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1 if done.stdout else 0, done.stderr)
            return done.stdout.splitlines()

    def expect(self, path, old, new, what):
        found = self.findings(path, old, new)
        self.assertEqual(len(found), 1, found)
        self.assertRegex(found[0], re.escape(what))

    def test_as_it_is(self):
        self.assertEqual(self.findings(), [])

    def test_a_cell_of_the_page(self):
        self.expect(PAGE, "| ask | refused | prepared |", "| ask | none | prepared |", "ask of none: 'none' in the page, 'refused' in the code")
        self.expect(PAGE, "| decline | refused | |", "| decline | refused | refused |", "decline of prepared: 'refused' in the page, '' in the code")

    def test_a_row_of_the_code(self):
        self.expect(TABLE, "ENTRY_CHANGE(Leave, Refused, None)\n", "", "leave of refused: 'none' in the page, '' in the code")

    def test_rules(self):
        self.expect(PAGE, "| `READ` |", "| `LOOK` |\n| `READ` |", "rule LOOK is in the page only")
        self.expect(MODEL, "#define MEMBERS 3", "#ifdef BREAK_MORE\n#endif\n#define MEMBERS 3", "rule MORE is in the model only")


if __name__ == "__main__":
    unittest.main()
