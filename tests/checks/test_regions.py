"""docs/deploy.md names the Regions of infra/regions.txt, which `make regions` lints the templates for, and no others."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def listed():
    """Each Region of infra/regions.txt: partition, name, and whether it has budgets."""
    lines = (ROOT / "infra/regions.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return [(partition, region, rest == ["budget"]) for partition, region, *rest in rows]


def documented():
    """The same of the table in docs/deploy.md."""
    section = (ROOT / "docs/deploy.md").read_text(encoding="utf-8").split("\n## Regions\n")[1].split("\n## ")[0]
    for partition, *columns in re.findall(r"^\| `(aws[a-z-]*)` \| (.+) \| (.+) \|$", section, re.MULTILINE):
        for budget, column in zip((True, False), columns, strict=True):
            yield from ((partition, region, budget) for region in column.split(", ") if region != "none")


class Regions(unittest.TestCase):
    """The two lists."""

    def test_the_documented_ones_are_those_that_are_linted(self):
        self.assertEqual(sorted(documented()), sorted(listed()))

    def test_each_is_listed_once(self):
        names = [name for _, name, _ in listed()]
        self.assertEqual(sorted(set(names)), sorted(names))
        self.assertIn("us-east-1", names)


if __name__ == "__main__":
    unittest.main()
