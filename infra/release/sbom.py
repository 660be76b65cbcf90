"""What each function is made of, as CycloneDX 1.6: the crates that are linked into it, by `cargo tree`.

`cargo tree` knows, as cargo does when it builds, which features and so which crates each function gets on Lambda's system; a tool that
reads `cargo metadata` lists those of the whole workspace with its tests.
"""

import hashlib
import json
import subprocess
import tomllib
import uuid

TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
# Neither procedural macros nor build scripts are in the binary.
EDGES = "normal,no-proc-macro"


def read_tree(root, functions, architecture):
    """What `cargo tree` prints for functions that are built together, as `make build` does."""
    command = ["cargo", "tree", "--locked", "--edges", EDGES, "--target", TARGETS[architecture], "--prefix", "depth", "--format", "|{p}|{l}"]
    for function in functions:
        command += ["--package", function]
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


def parse_tree(text):
    """The packages, `(name, version): licence`, and which others each needs."""
    licences, needs, path = {}, {}, []
    for line in filter(None, text.splitlines()):
        depth, package, licence = line.split("|", 2)
        name, version = package.split()[:2]
        here = (name, version.removeprefix("v"))
        # Older packages separate alternatives by a slash. (*): what this one needs is above.
        licences[here] = licence.removesuffix(" (*)").replace("/", " OR ")
        needs.setdefault(here, set())
        path[int(depth):] = [here]
        if len(path) > 1:
            needs[path[-2]].add(here)
    return licences, needs


def parse_lock(text):
    """The SHA-256 of each package that comes from the registry."""
    packages = tomllib.loads(text)["package"]
    return {(each["name"], each["version"]): each["checksum"] for each in packages if each.get("source", "").startswith("registry+")}


def all_needed(function, needs):
    """The function's package and everything below it."""
    found, waiting = set(), [next(package for package in needs if package[0] == function)]
    while waiting:
        package = waiting.pop()
        if package not in found:
            found.add(package)
            waiting.extend(needs[package])
    return found


def reference(package, checksums):
    """How other parts of the document name a package: its package URL if it comes from the registry."""
    name, version = package
    return f"pkg:cargo/{name}@{version}" if package in checksums else f"orgkeeper:{name}@{version}"


def component(package, licences, checksums):
    """A crate."""
    name, version = package
    one = {"type": "library", "bom-ref": reference(package, checksums), "name": name, "version": version}
    if licences[package]:
        one["licenses"] = [{"expression": licences[package]}]
    if package in checksums:
        one["hashes"] = [{"alg": "SHA-256", "content": checksums[package]}]
        one["purl"] = one["bom-ref"]
    return one


def document(function, tree, checksums, compilers, zip_hash):
    """A function's bill of materials. Equal input gives equal text: it has no time."""
    licences, needs = tree
    packages = sorted(all_needed(function, needs))
    own = next(package for package in packages if package[0] == function)
    standard = {"type": "library", "bom-ref": f"pkg:generic/rust-std@{compilers['rustc']}", "name": "rust-std", "version": compilers["rustc"],
                "purl": f"pkg:generic/rust-std@{compilers['rustc']}", "licenses": [{"expression": "MIT OR Apache-2.0"}]}
    main = component(own, licences, checksums) | {"type": "application", "hashes": [{"alg": "SHA-256", "content": zip_hash}]}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": name, "version": version} for name, version in sorted(compilers.items())]},
            "component": main,
        },
        "components": [component(package, licences, checksums) for package in packages if package != own] + [standard],
        "dependencies": [
            {"ref": reference(package, checksums),
             "dependsOn": sorted(reference(each, checksums) for each in needs[package]) + ([standard["bom-ref"]] if package == own else [])}
            for package in packages],
    }
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(json.dumps(bill, sort_keys=True).encode()).hexdigest()).urn
    return json.dumps(bill, indent=1, sort_keys=True) + "\n"
