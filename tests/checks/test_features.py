"""Every package is tested with the same features of its dependencies as the whole workspace (`tests/features`).

Otherwise `cargo test -p <one>` compiles the AWS SDK once more. This asks `cargo tree` and compiles nothing.
"""

import json
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIN = "orgkeeper-features"


def cargo(*arguments):
    """What a cargo command prints."""
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def compiled(*selection):
    """The crates that a test of this selection needs, each line with its version and features."""
    tree = cargo("tree", "--quiet", *selection, "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p} [{f}]")
    return {line.removesuffix(" (*)") for line in tree.splitlines() if line}


class Features(unittest.TestCase):
    """What `tests/features/Cargo.toml` is for."""

    def test_each_package_is_tested_with_the_features_of_the_workspace(self):
        packages = [package["name"] for package in json.loads(cargo("metadata", "--no-deps", "--format-version=1"))["packages"]]
        workspace = compiled("--workspace")
        for package in packages:
            with self.subTest(package=package):
                again = sorted(compiled("--package", package) - workspace)
                self.assertEqual(again, [], f"cargo test -p {package} compiles these again, because their features differ from the workspace's."
                                 f" Give {package} the development dependency {PIN}; if it has it, name in tests/features/Cargo.toml"
                                 " the dependency whose features are missing (cargo tree --workspace -e features -i <crate> shows which).")


if __name__ == "__main__":
    unittest.main()
