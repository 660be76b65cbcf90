"""Every dependency that a package names is used in its code: by name, since macros take the names of SDK crates."""

import json
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Only switches features on (tests/features).
PIN = "orgkeeper-features"


class Dependencies(unittest.TestCase):
    """The packages of this workspace."""

    def test_each_is_used(self):
        metadata = subprocess.run(["cargo", "metadata", "--quiet", "--no-deps", "--format-version=1"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        packages = json.loads(metadata.stdout)["packages"]
        folders = {Path(package["manifest_path"]).parent for package in packages}
        for package in packages:
            if package["name"] == PIN:
                continue
            folder = Path(package["manifest_path"]).parent
            within = [each for each in folders if each != folder and each.is_relative_to(folder)]
            files = [file for file in folder.rglob("*.rs") if not any(map(file.is_relative_to, within))]
            words = {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}
            named = {(each["rename"] or each["name"]) for each in package["dependencies"]} - {PIN}
            with self.subTest(package=package["name"]):
                self.assertEqual(sorted(name for name in named if name.replace("-", "_") not in words), [], "not used: remove them from Cargo.toml")


if __name__ == "__main__":
    unittest.main()
