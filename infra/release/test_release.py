"""Tests of what a release consists of: zips, templates, bills of materials and sums, without building anything."""

import hashlib
import json
import tempfile
import unittest
import zipfile
from pathlib import Path

import expand
import pack
import package
import release
import reproducible
import sbom

TREE = """0|one v0.1.0 (/anywhere/functions/one)|Apache-2.0
1|shared v0.1.0 (/anywhere/shared)|Apache-2.0
2|left v1.0.0|MIT/Apache-2.0
1|left v1.0.0|MIT/Apache-2.0 (*)

0|two v0.1.0 (/anywhere/functions/two)|Apache-2.0
1|right v2.0.0|MIT
1|shared v0.1.0 (/anywhere/shared)|Apache-2.0 (*)
"""
CHECKSUMS = {("left", "1.0.0"): "a" * 64, ("right", "2.0.0"): "b" * 64}
COMPILERS = {"rustc": "1.95.0", "zig": "0.17.1"}


class Zips(unittest.TestCase):
    """pack.py."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def packed(self, name, files, mode):
        folder = self.folder / name
        for file, text in files:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(mode)
        return pack.pack(folder)

    def test_equal_content_gives_equal_zips(self):
        first = self.packed("first", [("bootstrap", "x" * 1000), ("a/b", "y")], 0o600)
        second = self.packed("second", [("a/b", "y"), ("bootstrap", "x" * 1000)], 0o755)
        other = self.packed("other", [("a/b", "z"), ("bootstrap", "x" * 1000)], 0o755)
        self.assertEqual(first.read_bytes(), second.read_bytes())
        self.assertNotEqual(first.read_bytes(), other.read_bytes())

    def test_lambda_can_execute_every_file_and_nothing_says_when_or_who(self):
        with zipfile.ZipFile(self.packed("first", [("bootstrap", "x"), ("a/b", "y")], 0o600)) as archive:
            entries = archive.infolist()
        self.assertEqual([entry.filename for entry in entries], ["a/b", "bootstrap"])
        for entry in entries:
            self.assertEqual(entry.external_attr >> 16, 0o100755)
            self.assertEqual(entry.date_time, (1980, 1, 1, 0, 0, 0))
            self.assertEqual((entry.create_system, entry.extra, entry.comment), (3, b"", b""))

    def test_an_empty_folder_and_a_link_are_refused(self):
        (self.folder / "empty").mkdir()
        self.assertRaisesRegex(OSError, "no files", pack.pack, self.folder / "empty")
        (self.folder / "link").mkdir()
        (self.folder / "link" / "bootstrap").symlink_to("/nowhere")
        self.assertRaisesRegex(ValueError, "symbolic link", pack.pack, self.folder / "link")


class Template(unittest.TestCase):
    """package.py."""

    def setUp(self):
        self.text = (release.ROOT / "template.yaml").read_text(encoding="utf-8")

    def test_code_and_definition_come_from_the_bucket_and_the_rest_stays(self):
        text, files = package.packaged(self.text, "", "1.2.3")
        self.assertEqual(files, ["infra/remediation.asl.yaml"])
        before, after = expand.expanded(self.text), expand.expanded(text)
        functions = 0
        for name, resource in after["Resources"].items():
            properties, original = resource.get("Properties", {}), before["Resources"][name].get("Properties", {})
            for key in ("CodeUri", "DefinitionUri"):
                if key in properties:
                    code = properties.pop(key)
                    path = original.pop(key)
                    functions += key == "CodeUri"
                    wanted = path if key == "DefinitionUri" else f"${{Architecture}}/{Path(path).name}.zip"
                    self.assertEqual(code, {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Fn::Sub": f"${{CodePrefix}}{wanted}"}}, name)
        self.assertEqual(functions, len(list((release.ROOT / "functions").iterdir())))
        self.assertEqual(after["Parameters"].pop("CodePrefix")["Default"], "orgkeeper/1.2.3/")
        self.assertNotIn("Default", after["Parameters"].pop("CodeBucket"))
        self.assertEqual(after, before)

    def test_every_function_is_in_it(self):
        self.assertEqual(package.functions(self.text), sorted(path.name for path in (release.ROOT / "functions").iterdir()))

    def test_a_template_that_names_another_takes_it_from_the_bucket(self):
        text, files = package.packaged("Parameters:\n".join(("A: 1\n", "")) + "  B: {}\nResources:\n  Set:\n    TemplateURL: other.yaml\n", "infra", "1")
        self.assertEqual(files, ["infra/other.yaml"])
        self.assertIn("    TemplateURL: !Sub https://${CodeBucket}.s3.${AWS::Region}.${AWS::URLSuffix}/${CodePrefix}infra/other.yaml\n", text)
        self.assertIn("  CodeBucket:\n", text)

    def test_one_that_takes_nothing_stays_to_the_letter(self):
        text = (release.ROOT / "infra" / "contact-role.yaml").read_text(encoding="utf-8")
        self.assertEqual(package.packaged(text, "infra", "1"), (text, []))

    def test_another_local_path_is_refused(self):
        text = self.text + "  Layer:\n    Type: AWS::Serverless::LayerVersion\n    Properties:\n      ContentUri: target/layer\n"
        self.assertRaisesRegex(ValueError, "ContentUri: target/layer", package.packaged, text, "", "1.2.3")


class BillOfMaterials(unittest.TestCase):
    """sbom.py."""

    def bill(self, function):
        return json.loads(sbom.document(function, sbom.parse_tree(TREE), CHECKSUMS, COMPILERS, "c" * 64))

    def test_a_function_has_what_it_needs_however_often_the_tree_shows_it(self):
        names = {function: [one["name"] for one in self.bill(function)["components"]] for function in ("one", "two")}
        self.assertEqual(names, {"one": ["left", "shared", "rust-std"], "two": ["left", "right", "shared", "rust-std"]})

    def test_a_component_says_where_it_is_from(self):
        bill = self.bill("one")
        self.assertEqual(bill["components"][0], {
            "type": "library", "bom-ref": "pkg:cargo/left@1.0.0", "name": "left", "version": "1.0.0", "purl": "pkg:cargo/left@1.0.0",
            "licenses": [{"expression": "MIT OR Apache-2.0"}], "hashes": [{"alg": "SHA-256", "content": "a" * 64}]})
        self.assertEqual(bill["metadata"]["component"]["hashes"], [{"alg": "SHA-256", "content": "c" * 64}])
        self.assertNotIn("anywhere", json.dumps(bill))

    def test_every_reference_leads_somewhere_and_equal_input_gives_equal_text(self):
        bill = self.bill("two")
        known = {one["bom-ref"] for one in [*bill["components"], bill["metadata"]["component"]]}
        for dependency in bill["dependencies"]:
            self.assertLessEqual({dependency["ref"], *dependency["dependsOn"]}, known)
        self.assertEqual(bill, self.bill("two"))
        self.assertNotEqual(bill["serialNumber"], self.bill("one")["serialNumber"])

    def test_the_real_tree_has_no_package_without_a_licence_or_a_source(self):
        licences, needs = sbom.parse_tree(sbom.read_tree(release.ROOT, ["slack-notifier"], "arm64"))
        checksums = sbom.parse_lock((release.ROOT / "Cargo.lock").read_text(encoding="utf-8"))
        packages = sbom.all_needed("slack-notifier", needs)
        self.assertEqual({package[0] for package in packages if package not in checksums}, {"slack-notifier", "orgkeeper-shared"})
        self.assertEqual([package for package in packages if not licences[package]], [])
        self.assertGreater(len(packages), 50)


class Release(unittest.TestCase):
    """release.py with zips that nobody built."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name) / "1.2.3"

        def build(architecture, functions):
            zips = Path(temporary.name) / architecture
            for function in functions:
                release.write(zips / f"{function}.zip", f"{function} for {architecture}")
            return zips

        cls.facts = {"version": "1.2.3", "commit": "f" * 40, "compilers": COMPILERS}
        release.lay_out(cls.folder, ["arm64", "x86_64"], build, cls.facts)

    def test_the_sums_are_those_of_every_file(self):
        lines = (self.folder / release.SUMS).read_text().splitlines()
        sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
        self.assertEqual(sorted(sums), release.files(self.folder))
        for name, digest in sums.items():
            self.assertEqual(hashlib.sha256((self.folder / name).read_bytes()).hexdigest(), digest)

    def test_everything_that_the_template_takes_is_there(self):
        template = expand.expanded((self.folder / "template.yaml").read_text())
        for name, resource in template["Resources"].items():
            for key in ("CodeUri", "DefinitionUri"):
                if key in resource.get("Properties", {}):
                    object_key = resource["Properties"][key]["Key"]["Fn::Sub"].removeprefix("${CodePrefix}")
                    for architecture in ("arm64", "x86_64"):
                        self.assertTrue((self.folder / object_key.replace("${Architecture}", architecture)).is_file(), name)

    def test_each_zip_has_its_bill_of_materials(self):
        for path in self.folder.glob("*/*.zip"):
            bill = json.loads((self.folder / "sbom" / path.parent.name / f"{path.stem}.cdx.json").read_text())
            self.assertEqual(bill["metadata"]["component"]["hashes"][0]["content"], release.sha256(path))
        self.assertEqual(len(list(self.folder.glob("sbom/*/*"))), len(list(self.folder.glob("*/*.zip"))))

    def test_the_templates_of_other_accounts_and_the_commit_are_there(self):
        for name in ("infra/contact-role.yaml", "infra/alert-events.yaml", "infra/member-account.yaml", "LICENSE"):
            self.assertEqual((self.folder / name).read_bytes(), (release.ROOT / name).read_bytes())
        self.assertIn("f" * 40, (self.folder / "README.md").read_text())


class Comparison(unittest.TestCase):
    """reproducible.py."""

    def test_one_other_hash_is_named_and_fails(self):
        lines, same = reproducible.report({"one": "a", "two": "b"}, {"one": "a", "two": "c"})
        self.assertFalse(same)
        self.assertEqual([line.split()[0] for line in lines], ["same", "OTHER", "c"])
        self.assertTrue(reproducible.report({"one": "a"}, {"one": "a"})[1])

    def test_the_sources_are_those_of_git_with_their_changes(self):
        names = reproducible.sources(release.ROOT)
        self.assertIn("infra/release/test_release.py", names)
        self.assertIn("Cargo.lock", names)
        self.assertFalse([name for name in names if name.startswith(("target/", ".venv"))])


if __name__ == "__main__":
    unittest.main()
