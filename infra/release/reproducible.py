"""Builds the functions twice, and compares: reproducible.py ARCHITECTURE FUNCTION...

The sources are copied into two folders with other names, and built from clean with other names of cargo's home, another
umask, time zone and language. Every zip has to have the same SHA-256. `make reproducible` calls it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target" / "reproducible"

# What must not matter: the folder, and the environment of the build.
BUILDS = {
    "first": {"umask": 0o022, "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    "second/in-a-longer-path": {"umask": 0o077, "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
}


def sources(root):
    """The files of the repository as they are in the work tree, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (root / name).is_file()})


def copy_sources(root, folder):
    """Copies the sources with their times, and links the tools, so that nothing is installed again."""
    for name in sources(root):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, copy)
    (folder / ".venv").unlink(missing_ok=True)
    (folder / ".venv").symlink_to((root / ".venv").resolve())


def another_cargo_home(folder):
    """A folder with another name that holds links to what cargo has downloaded."""
    folder.mkdir(parents=True)
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for entry in home.iterdir():
        (folder / entry.name).symlink_to(entry)
    return folder


def build(name, settings, architecture, functions):
    """Builds in a folder of its own, deletes what was compiled, and returns the SHA-256 of each zip."""
    folder = FOLDER / name
    copy_sources(ROOT, folder)
    variables = {**os.environ, **{key: value for key, value in settings.items() if key != "umask"}}
    # The make that calls this passes its own variables on, and a target folder of somebody's own would be shared.
    for variable in ("MAKEFLAGS", "MAKELEVEL", "CARGO_TARGET_DIR"):
        variables.pop(variable, None)
    variables["CARGO_HOME"] = str(another_cargo_home(FOLDER / "cargo-homes" / name))
    command = ["make", "build", f"ARCH={architecture}", f"FUNCTIONS={' '.join(functions)}"]
    subprocess.run(command, cwd=folder, env=variables, umask=settings["umask"], check=True)
    hashes = {function: digest(folder / "target" / "lambda" / f"{function}.zip") for function in functions}
    kept = FOLDER / "zips" / name
    kept.mkdir(parents=True)
    for function in functions:
        shutil.copy(folder / "target" / "lambda" / f"{function}.zip", kept)
    shutil.rmtree(folder)
    return hashes


def digest(path):
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def report(first, second):
    """The lines that are printed, and whether every function is the same."""
    lines = []
    for function in sorted(first):
        same = first[function] == second[function]
        lines.append(f"{'same' if same else 'OTHER'}  {first[function]}  {function}")
        if not same:
            lines.append(f"       {second[function]}  {function}, second build")
    return lines, first == second


def main(arguments):
    """Builds twice, prints the hashes, and exits 1 if one differs."""
    if len(arguments) < 2:
        sys.exit("usage: reproducible.py ARCHITECTURE FUNCTION...")
    architecture, *functions = arguments
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        first, second = (build(name, settings, architecture, functions) for name, settings in BUILDS.items())
    except subprocess.CalledProcessError as error:
        sys.exit(f"a build failed: {' '.join(error.cmd)}")
    lines, same = report(first, second)
    print(*lines, sep="\n")
    if not same:
        sys.exit(f"{architecture}: the two builds differ; both are in {(FOLDER / 'zips').relative_to(ROOT)}/")
    print(f"{architecture}: {len(functions)} functions built twice, equal")


if __name__ == "__main__":
    main(sys.argv[1:])
