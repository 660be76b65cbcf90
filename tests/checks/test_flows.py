"""docs/flows.svg shows what template.yaml deploys: every function, every table, and every queue that a function reads."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
SHOWN = re.findall(r'<text class="(\w+)"[^>]*>([^<]+)</text>', (ROOT / "docs/flows.svg").read_text(encoding="utf-8"))


class Picture(unittest.TestCase):
    """The picture in README.md, by its names."""

    def test_functions(self):
        shown = {text for kind, text in SHOWN if kind == "code"}
        self.assertEqual(shown, {folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir()})

    def test_tables_and_queues(self):
        shown = {text for kind, text in SHOWN if kind == "id"}
        tables = set(re.findall(r"^  (\w+):\n    Type: AWS::DynamoDB::Table$", TEMPLATE, re.MULTILINE))
        queues = set(re.findall(r"^            Queue: !GetAtt (\w+)\.Arn$", TEMPLATE, re.MULTILINE))
        self.assertTrue(tables and queues)
        self.assertEqual(sorted((tables | queues) - shown), [])
        self.assertEqual(sorted(name for name in shown - queues if name.endswith("Queue")), [])

    def test_everything_else_is_in_the_template(self):
        for kind, text in SHOWN:
            if kind == "id":
                with self.subTest(text):
                    self.assertRegex(TEMPLATE, rf"\b({text}|{text.removesuffix('Queue')})\b")


if __name__ == "__main__":
    unittest.main()
