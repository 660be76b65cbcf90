"""No two files of a crate import each other, not even by way of others: then each can be read on its own."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import imports

ROOT = Path(__file__).resolve().parents[2]


class ImportCircles(unittest.TestCase):
    """The crates of this workspace."""

    def test_no_crate_has_one(self):
        metadata = subprocess.run(["cargo", "metadata", "--quiet", "--no-deps", "--format-version=1"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        for package in json.loads(metadata.stdout)["packages"]:
            for target in package["targets"]:
                with self.subTest(package=package["name"], target=target["name"]):
                    if circles := imports.Crate(target["src_path"]).circles():
                        self.fail("these files import each other in a circle: move what one of the lines names into a file"
                                  " of its own, or to the file that uses it\n" + "\n\n".join(map(lines, circles)))


def lines(circle):
    """A circle as text: each file with the line by which it imports the next."""
    return "\n".join(f"  {file.relative_to(ROOT)}:{line} imports {written}" for file, line, written in circle)


class Examples(unittest.TestCase):
    """What counts as an import and what does not: each example is a crate of a few files."""

    def circles(self, **files):
        """The circles of a crate, each as its files in their order; `kinds__mod` is the file `kinds/mod.rs`."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                file = Path(folder, *name.split("__")).with_suffix(".rs")
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
            return [[str(file.relative_to(folder).with_suffix("")) for file, _, _ in circle]
                    for circle in imports.Crate(Path(folder, "lib.rs")).circles()]

    def test_a_line_of_files_is_none(self):
        self.assertEqual(self.circles(lib="mod a; mod b; mod c;", a="use crate::b::B;", b="use crate::{c::C};", c="pub struct C;"), [])

    def test_two_files(self):
        self.assertEqual(self.circles(lib="mod a; mod b;", a="use crate::b::B; pub struct A;", b="use super::a::A; pub struct B;"), [["a", "b"]])

    def test_three_files(self):
        self.assertEqual(
            self.circles(lib="mod a; mod b; mod c;", a="use crate::{b::{B, One}, std};", b="fn b() { crate::c::c(&self::B) }", c="use crate::a;\nfn c() { a::a() }"),
            [["a", "b", "c"]])

    def test_two_circles_apart(self):
        files = {"a": "use crate::b::B;", "b": "use crate::a::A;", "c": "use crate::d::D;", "d": "use crate::c::C;"}
        self.assertEqual(self.circles(lib="mod a; mod b; mod c; mod d;", **files), [["a", "b"], ["c", "d"]])

    def test_a_file_and_the_one_that_declares_it(self):
        self.assertEqual(self.circles(lib="mod kinds;", kinds__mod="mod root; pub enum Kind {} fn read() { root::read() }", kinds__root="use super::Kind;"),
                         [["kinds/mod", "kinds/root"]])

    def test_everything_of_a_module(self):
        self.assertEqual(self.circles(lib="mod a; mod b;", a="use crate::b::*;", b="use crate::a::*;"), [["a", "b"]])

    def test_a_path_in_an_attribute(self):
        self.assertEqual(self.circles(lib="mod a; mod b;", a='#[serde(with = "crate::b")] struct A;', b="use crate::a::A;"), [["a", "b"]])

    def test_test_code_may_look_at_anything(self):
        tests = "#[cfg(test)]\nmod tests { use super::*; use crate::b::B; #[test] fn a() { let b = [crate::b::b(), '}']; } }"
        self.assertEqual(self.circles(lib="mod a; mod b;", a=tests, b="use crate::a::A;"), [])
        self.assertEqual(self.circles(lib="mod a; mod b;", a="#[cfg(test)] use crate::b::B; pub struct A;", b="use crate::a::A;"), [])

    def test_what_follows_test_code_counts(self):
        self.assertEqual(self.circles(lib="mod a; mod b;", a="#[cfg(test)] mod tests {} use crate::b::B;", b="use crate::a::A;"), [["a", "b"]])

    def test_comments_and_text_are_no_imports(self):
        self.assertEqual(self.circles(lib="mod a; mod b;", a='//! [`crate::b::B`]\n/* crate::b::b() */ const A: &str = "see crate::b::B";', b="use crate::a::A;"), [])

    def test_a_name_that_is_only_passed_on_comes_from_where_it_is_defined(self):
        passed_on = {"kinds__mod": "mod root; mod kind; pub use kind::Kind; pub use root::*;", "kinds__kind": "pub enum Kind {}"}
        self.assertEqual(self.circles(lib="mod kinds;", **passed_on, kinds__root="use super::Kind; pub struct Root;"), [])
        self.assertEqual(
            self.circles(lib="mod kinds; mod a;", **passed_on, kinds__root="use crate::a::A; pub struct Root;", a="use crate::kinds::Root;"),
            [["a", "kinds/root"]])

    def test_a_name_that_is_passed_on_and_used(self):
        self.assertEqual(self.circles(lib="mod a;", **{"a": "mod b; pub use b::B; pub struct A(B);", "a__b": "use super::A; pub struct B;"}), [["a", "a/b"]])

    def test_an_inline_module_is_part_of_its_file(self):
        self.assertEqual(self.circles(lib="mod a; mod b;", a="mod inner { use super::super::b::B; pub struct In; } use inner::In;", b="use crate::a::A;"), [["a", "b"]])


if __name__ == "__main__":
    unittest.main()
