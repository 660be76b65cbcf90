#!/usr/bin/env python3
"""Writes the policies of infra/policies/ into infra/organization-policies.yaml, which has everything else by hand.

    python3 infra/local/organization_policies.py            # writes
    python3 infra/local/organization_policies.py --check    # exit code 1 if the template is not what would be written

A policy is JSON with placeholders: `${OrganizationId}` is a parameter of the template, `${aws:PrincipalAccount}` a variable of IAM. A
parameter in LISTS has several values, separated by commas: the string in the policy that names it is repeated for each value.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "infra" / "policies"
TEMPLATE = ROOT / "infra" / "organization-policies.yaml"
BEGIN = "# Generated from infra/policies/ by infra/local/organization_policies.py."

SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
# Characters of a policy, as the documentation of 2023 to 2025 has it; later copies allow more for service control policies.
MAXIMUM = 5120
# File, logical name in the template, type, what it is for.
POLICIES = [
    ("guard", "Guard", SCP, "The audit trail, detection, exempt roles and what orgkeeper has in an account stay; no root user; no account leaves"),
    ("perimeter-organization", "PerimeterOrganization", SCP, "Only resources of the organization, of AWS and of trusted accounts"),
    ("perimeter-unit", "PerimeterUnit", SCP, "Only resources of the account itself, of the listed units with all below them, of AWS and of trusted accounts"),
    ("perimeter-account", "PerimeterAccount", SCP, "Only resources of the account itself, of the listed accounts, of AWS and of trusted accounts"),
    ("perimeter-identity", "PerimeterIdentity", RCP, "Only principals of the organization and of trusted accounts, and services that act for these"),
    ("regions", "Regions", SCP, "Only the listed Regions, and global services"),
    ("active", "Active", SCP, "The baseline of an account is not undone"),
    ("restricted", "Restricted", SCP, "Only the listed Regions; nothing lasting, nothing shared; the baseline of an account is not undone"),
    ("inactive", "Inactive", SCP, "Nothing runs"),
]
LISTS = {
    "AllowedRegions",
    "AwsBucketNames",
    "ExemptPermissionSets",
    "ExemptRoleNames",
    "LogBucketNames",
    "PerimeterAccountIds",
    "PerimeterUnitPaths",
    "RestrictedRegions",
    "SecurityAccountIds",
    "TrustedPrincipalAccountIds",
    "TrustedResourceAccountIds",
}
# A variable of IAM has a colon, a parameter has none.
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def source(name):
    """A policy of infra/policies/ as it is there."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def minified(value):
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def rendered(node, parameters):
    """A policy, or a part of it, with the parameters in place of their placeholders; each is a string as in the template."""
    if isinstance(node, dict):
        return {key: rendered(value, parameters) for key, value in node.items()}
    if isinstance(node, list):
        return [one for item in node for one in (repeated(item, parameters) if isinstance(item, str) else [rendered(item, parameters)])]
    if isinstance(node, str):
        values = repeated(node, parameters)
        return values[0] if len(values) == 1 else values
    return node


def repeated(text, parameters):
    """A string of a policy, once for each value of the list that it names."""
    found = PLACEHOLDER.search(text)
    if not found:
        return [text]
    name = found[1]
    values = parameters[name].split(",") if name in LISTS else [parameters[name]]
    return [one for value in values for one in repeated(text[:found.start()] + value + text[found.end():], parameters)]


def content(name):
    """The property `Content` in the template: a line of JSON for each statement, and the variables of `Fn::Sub`."""
    policy, variables = source(name), {}

    def as_variable(found):
        """A string with a list becomes a variable that joins the values by what is around them."""
        text = json.loads(found[0])
        inside = PLACEHOLDER.search(text)
        if not inside or inside[1] not in LISTS:
            return found[0]
        before, after = text[:inside.start()], text[inside.end():]
        delimiter = f'{after}","{before}'
        same = [key for key, value in variables.items() if value == (inside[1], delimiter)]
        key = same[0] if same else f"{inside[1]}{sum(value[0] == inside[1] for value in variables.values()) + 1}"
        variables[key] = (inside[1], delimiter)
        return f'"{before}${{{key}}}{after}"'

    def line(statement):
        text = re.sub(r'"[^"]*"', as_variable, minified(statement))
        return re.sub(r"\$\{(?=\w+:)", "${!", text)

    statements = [line(statement) for statement in policy["Statement"]]
    head = minified({key: value for key, value in policy.items() if key != "Statement"})
    lines = [head[:-1] + ',"Statement":[', *(text + "," for text in statements[:-1]), statements[-1], "]}"]
    return lines, variables


def resource(name, logical, kind, purpose):
    """A policy as a resource of the template."""
    lines, variables = content(name)
    yield from (
        f"  {logical}Policy:",
        "    Type: AWS::Organizations::Policy",
        f"    Condition: {logical}",
        "    Properties:",
        f"      Name: orgkeeper-{name}",
        f'      Description: "orgkeeper - {purpose}"',
        f"      Type: {kind}",
        f'      TargetIds: !Split [",", !Ref {logical}Targets]',
        *(["      Content: !Sub", "        - >-"] if variables else ["      Content: >-"]),
        *(f"{' ' * (10 if variables else 8)}{line}" for line in lines),
    )
    joined = [f"""!Join ['{delimiter}', !Split [",", !Ref {parameter}]]""" for parameter, delimiter in variables.values()]
    values = [f"{key}: {value}" for key, value in zip(variables, joined)]
    yield from (f"        {' ' if at else '-'} {value}" for at, value in enumerate(values))


def template():
    """The template as it has to be."""
    by_hand = TEMPLATE.read_text(encoding="utf-8").split(BEGIN)[0]
    resources = ["\n".join(resource(*policy)) for policy in POLICIES]
    return f"{by_hand}{BEGIN}\nResources:\n" + "\n\n".join(resources) + "\n"


def main():
    wanted = template()
    if "--check" in sys.argv:
        if TEMPLATE.read_text(encoding="utf-8") != wanted:
            print(f"{TEMPLATE.relative_to(ROOT)} is not what its policies make: run python3 infra/local/organization_policies.py", file=sys.stderr)
            return 1
        return 0
    TEMPLATE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
