#!/usr/bin/env python3
"""Every check of scripts/check-tree finds what it is for, and nothing in a tree that keeps the rules."""

import os
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check-tree")

GOOD = {
    "cmake/Layers.cmake": 'set(CENOTE_LAYERS\n    "base" "runtime" "client,engine")\n',
    "src/base/README.md": "# base\n\n## Rules of it\n",
    "src/base/CMakeLists.txt": "cenote_layer(base SRCS a.cc HEADERS include/cenote/base/a.h TESTS a_test.cc)\n",
    "src/base/a.cc": '#include "cenote/base/a.h"\n',
    "src/base/a_test.cc": '#include "cenote/base/a.h"\n',
    "src/base/private.h": "#pragma once\n",
    "src/base/include/cenote/base/a.h": "#pragma once\n",
    "src/client/README.md": "# client\n",
    "src/client/CMakeLists.txt": "cenote_layer(client SRCS c.cc)\n",
    "src/client/c.cc": '#include "cenote/base/a.h"\n#include "cenote/runtime/r.h"\n',
    "README.md": "[rules](src/base/README.md#rules-of-it) [page](https://example.org/x) [here](#end)\n\n# End\n",
}


class CheckTree(unittest.TestCase):
    def findings(self, changes):
        """What check-tree prints for the good tree with some files changed (None: removed)."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **changes}.items():
                if text is None:
                    continue
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            os.makedirs(os.path.join(root, "scripts"))
            copy = shutil.copy(SCRIPT, os.path.join(root, "scripts"))
            subprocess.run(["git", "init", "-q", root], check=True)
            done = subprocess.run([copy], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1 if done.stdout else 0, done.stderr)
            return done.stdout.splitlines()

    def expect(self, changes, *starts):
        found = self.findings(changes)
        self.assertEqual(len(found), len(starts), found)
        for line, start in zip(found, starts):
            self.assertTrue(line.startswith(start), f"{line} does not start with {start}")

    def test_good_tree(self):
        self.expect({})

    def test_layers(self):
        upward = '#include "cenote/runtime/r.h"\n'
        self.expect({"src/base/a.cc": upward}, "src/base/a.cc:1: 'base' may not include 'cenote/runtime/r.h'")
        self.expect({"src/base/private.h": "#pragma once\n" + upward}, "src/base/private.h:2: 'base' may not include")
        self.expect({"src/client/c.cc": '#include "cenote/engine/e.h"\n'}, "src/client/c.cc:1: 'client' may not include")
        self.expect({"src/client/c.cc": '#include "cenote/sky/e.h"\n'}, "src/client/c.cc:1: includes 'cenote/sky/e.h'")
        self.expect({"src/client/c.cc": '#include "../base/private.h"\n'}, "src/client/c.cc:1: includes '../base/private.h'")

    def test_layer_folders(self):
        self.expect({"src/client/README.md": None}, "src/client: has no README.md")
        self.expect({"src/base/b_test.cc": "int b;\n"}, "src/base/b_test.cc: is not built")
        self.expect({"src/base/include/cenote/base/b.h": "#pragma once\n"}, "src/base/include/cenote/base/b.h: is not built")

    def test_length(self):
        self.expect({"src/base/a.cc": "int a;\n" * 700})
        self.expect({"src/base/a.cc": "int a;\n" * 701}, "src/base/a.cc:701: 701 lines")

    def test_words(self):
        self.expect({"src/base/a.cc": "// TO" + "DO: more\n"}, "src/base/a.cc:1: 'TO" + "DO'")
        self.expect({"README.md": "It does nothing for" + " now.\n"}, "README.md:1: 'for" + " now'")

    def test_seams(self):
        call = "auto t = std::chrono::steady_clock::" + "now();\n"
        self.expect({"src/base/a.cc": call}, "src/base/a.cc:1: 'steady_clock::now'")
        self.expect({"src/base/a_test.cc": call})
        self.expect({"src/base/a_test.cc": "int a = usleep" + "(5);\n"}, "src/base/a_test.cc:1: 'usleep('")

    def test_build_paths(self):
        self.expect({"README.md": "cd /ho" + "me/somebody/cenote\n"}, "README.md:1: '/ho" + "me/somebody/'")

    def test_links(self):
        self.expect({"README.md": "\n[gone](docs/gone.md)\n"}, "README.md:2: link to 'docs/gone.md'")
        self.expect({"README.md": "[gone](src/base/README.md#other)\n"}, "README.md:1: link to 'src/base/README.md#other'")

    def test_format(self):
        self.expect({"src/base/a.cc": "int  a ;\n"}, "src/base/a.cc:1: is not formatted")


if __name__ == "__main__":
    unittest.main()
