"""Writes what CloudFormation needs to take the tables and buckets of a deleted stack back (docs/deploy.md, "Back into a stack").

    .venv/cloud/bin/python infra/local/ledger.py target/ledger Accounts=orgkeeper-Accounts-1A2B3C AccountsBucket=orgkeeper-accountsbucket-4d5e6f

`template.json` has these resources of template.yaml and nothing else: an import must not make or change anything, and takes
no template that is still to be transformed. `resources.json` says which table or bucket each of them is.
"""

import argparse
import json
import sys
from pathlib import Path

import expand

ROOT = Path(__file__).resolve().parents[2]
# The property by which CloudFormation finds a resource of that type.
IDENTIFIERS = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName"}


class Unknown(Exception):
    """A name that is none of a table or bucket that is kept."""


def kept(template):
    """The resources that stay when the stack is deleted, by their logical ids, as an import takes them."""
    found = {}
    for name, resource in template["Resources"].items():
        if resource.get("UpdateReplacePolicy") != "Retain":
            continue
        # An import that fails must not delete what it was about. The next deployment decides about the protection.
        properties = {key: value for key, value in resource["Properties"].items() if key != "DeletionProtectionEnabled"}
        found[name] = {"Type": resource["Type"], "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": properties}
    return found


def files(template, names):
    """The template and the list of resources to import; `names` are logical id -> name of the table or bucket."""
    resources = kept(template)
    unknown = sorted(set(names) - set(resources))
    if unknown:
        raise Unknown(f"{', '.join(unknown)}: it has to be one of {', '.join(resources)}")
    chosen = {name: resources[name] for name in names}
    to_import = [
        {"ResourceType": resource["Type"], "LogicalResourceId": name,
         "ResourceIdentifier": {IDENTIFIERS[resource["Type"]]: names[name]}}
        for name, resource in chosen.items()]
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": chosen}, to_import


def pair(text):
    """An argument LOGICAL_ID=NAME."""
    logical_id, _, name = text.partition("=")
    if not (logical_id and name):
        raise argparse.ArgumentTypeError(f"{text}: write LOGICAL_ID=NAME")
    return logical_id, name


def main():
    """Writes the two files."""
    parser = argparse.ArgumentParser(description="Writes what an import of tables and buckets needs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", type=pair, metavar="LOGICAL_ID=NAME")
    arguments = parser.parse_args()
    try:
        template, to_import = files(
            expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8")), dict(arguments.names))
    except Unknown as fault:
        sys.exit(str(fault))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("template.json", template), ("resources.json", to_import)):
        (arguments.folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(arguments.folder / name)


if __name__ == "__main__":
    main()
