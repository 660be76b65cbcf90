"""Lays out everything that somebody needs who publishes a release: release.py ARCHITECTURE...

Builds the functions for each architecture, and fills target/release-files/<version>/ with the zips, the templates, a bill of
materials for each zip, and SHA256SUMS of all of it. `make release` calls it.
"""

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import package
import sbom

ROOT = Path(__file__).resolve().parents[2]
LAMBDA = ROOT / "target" / "lambda"
SUMS = "SHA256SUMS"
# The state machine's definition is named by the template.
TEMPLATES = ("template.yaml", *sorted(f"infra/{path.name}" for path in (ROOT / "infra").glob("*.yaml") if ".asl." not in path.name))
OTHERS = ("LICENSE", "infra/playbook.toml")

README = """# orgkeeper {version}

Built from commit {commit} with {compilers}, for {architectures}. `make reproducible` builds the same zips from it.

| file | is |
|---|---|
| `template.yaml` | the stack, which takes its code from a bucket |
| `<architecture>/<function>.zip` | the functions |
| `infra/` | what the template and other accounts need: templates, the state machine, the playbook |
| `sbom/<architecture>/<function>.cdx.json` | what each zip is made of, as CycloneDX 1.6 |
| `SHA256SUMS` | of every file here: `sha256sum --check SHA256SUMS` |

Copy everything into a bucket of the Region that the stack is for, and deploy the template from there:

    aws s3 sync . s3://BUCKET/orgkeeper/{version}/
    aws cloudformation deploy --stack-name orgkeeper --template-file template.yaml --s3-bucket BUCKET \\
      --capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND \\
      --parameter-overrides CodeBucket=BUCKET Architecture={architecture} ErrorEmail=platform@example.com

The deployment needs `s3:GetObject` on the bucket. The parameters are in docs/deploy.md of the commit.
"""


def version():
    """The version in Cargo.toml."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]


def commit():
    """The commit, if the work tree is that commit: a release has to be built again from it."""
    changed = output("git", "status", "--porcelain")
    if changed:
        raise ValueError(f"these changes are in no commit, so nobody could build the release again:\n{changed}")
    return output("git", "rev-parse", "HEAD")


def compilers():
    """The versions of what builds."""
    tools = ROOT / ".venv" / "build" / "bin"
    return {
        "rustc": output("rustc", "--version").split()[1],
        "zig": output(tools / "python", "-m", "ziglang", "version"),
        "cargo-lambda": output(tools / "cargo-lambda", "lambda", "--version").split()[1],
    }


def output(*command):
    """What a command prints."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def lay_out(folder, architectures, build, facts):
    """Fills the folder; `build` makes the zips of an architecture and returns their folder."""
    shutil.rmtree(folder, ignore_errors=True)
    functions = package.functions((ROOT / "template.yaml").read_text(encoding="utf-8"))
    taken = {*OTHERS}
    for path in TEMPLATES:
        text, named = package.packaged((ROOT / path).read_text(encoding="utf-8"), Path(path).parent, facts["version"])
        write(folder / path, text)
        taken.update(named)
    for path in sorted(taken - set(TEMPLATES)):
        copy(ROOT / path, folder / path)
    checksums = sbom.parse_lock((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    for architecture in architectures:
        zips = build(architecture, functions)
        tree = sbom.parse_tree(sbom.read_tree(ROOT, functions, architecture))
        for function in functions:
            file = copy(zips / f"{function}.zip", folder / architecture / f"{function}.zip")
            bill = sbom.document(function, tree, checksums, facts["compilers"], sha256(file))
            write(folder / "sbom" / architecture / f"{function}.cdx.json", bill)
    write(folder / "README.md", README.format(
        version=facts["version"], commit=facts["commit"], architectures=" and ".join(architectures), architecture=architectures[0],
        compilers=", ".join(f"{name} {number}" for name, number in facts["compilers"].items())))
    write(folder / SUMS, "".join(f"{sha256(folder / name)}  {name}\n" for name in files(folder)))


def build(architecture, functions):
    """Builds by `make build`."""
    subprocess.run(["make", "build", f"ARCH={architecture}", f"FUNCTIONS={' '.join(functions)}"], cwd=ROOT, check=True)
    return LAMBDA


def check_bills(folder):
    """Every bill of materials against CycloneDX's schema; returns how many there are."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    bills = sorted(folder.glob("sbom/*/*.json"))
    for file in bills:
        if fault := validator.validate_str(file.read_text(encoding="utf-8")):
            raise ValueError(f"{file.name} is not CycloneDX: {fault}")
    return len(bills)


def files(folder):
    """Every file in the folder, but for the sums."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in found if name != SUMS]


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copy(source, target):
    """Copies a file into a folder that may not exist yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def write(path, text):
    """Writes a file into a folder that may not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(architectures):
    """Makes the release and says what is there."""
    if not architectures:
        sys.exit("usage: release.py ARCHITECTURE...")
    try:
        facts = {"version": version(), "commit": commit(), "compilers": compilers()}
        folder = ROOT / "target" / "release-files" / facts["version"]
        lay_out(folder, architectures, build, facts)
        bills = check_bills(folder)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"there is no release: {error}")
    names = files(folder)
    size = sum((folder / name).stat().st_size for name in names)
    print(f"{folder.relative_to(ROOT)}/: {len(names)} files, {size / 1e6:.1f} MB, {bills} bills of materials; README.md there says how to publish it")


if __name__ == "__main__":
    main(sys.argv[1:])
