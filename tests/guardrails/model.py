"""The organization of organization.toml, and requests in it as the judge takes them."""

import json
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "infra" / "local"))

import organization_policies as source  # noqa: E402

_FILE = tomllib.loads((HERE / "organization.toml").read_text(encoding="utf-8"))
PARAMETERS = _FILE["parameters"]
ACCOUNTS = _FILE["account"]
ORGANIZATION = PARAMETERS["OrganizationId"]
TYPES = {name: kind for name, _, kind, _ in source.POLICIES}
HOME = "eu-west-1"


def policies():
    """Every policy with the parameters of this organization, by name."""
    return {name: source.rendered(source.source(name), PARAMETERS) for name in TYPES}


def is_member(account):
    """Whether policies of the organization bind the account."""
    return account != "management" and ACCOUNTS[account].get("path", "").startswith(ORGANIZATION)


def side(prefix, account):
    """Keys about the account of a principal, a resource or a source."""
    one, keys = ACCOUNTS[account], {f"aws:{prefix}Account": ACCOUNTS[account]["id"]}
    if "path" in one:
        keys[f"aws:{prefix}OrgID"] = one["path"].split("/")[0]
        keys[f"aws:{prefix}OrgPaths"] = [one["path"]]
    return keys


def attached(account, kind, only):
    """Names of the policies of a type that bind an account: all that it has, or those of a row; none binds outside."""
    if not is_member(account):
        return None
    return [name for name in (ACCOUNTS[account]["policies"] if only is None else only) if TYPES[name] == kind]


def request(row):
    """A row as the judge takes it.

    `principal` is `account:role/Name`, `account:user/name`, `account:root`, a service, or `anonymous`. `owner` is the account of
    the resource; `unknown` where a request says nothing about it. `policies` bind both accounts; without it those of the accounts.
    `unknown_arn` says that the service authorization reference does not have the resource's ARN.
    """
    principal, owner, only = row["principal"], row.get("owner", ""), row.get("policies")
    account, colon, name = principal.partition(":")
    service = principal.endswith(".amazonaws.com")
    context = {"aws:RequestedRegion": row.get("region", HOME), "aws:PrincipalIsAWSService": json.dumps(service)}
    if colon:
        owner = owner or account
        principal = f"arn:aws:iam::{ACCOUNTS[account]['id']}:{name}"
        context |= {"aws:PrincipalArn": principal, **side("Principal", account)}
        context |= {f"aws:PrincipalTag/{key}": value for key, value in row.get("tags", {}).items()}
    if "source" in row:
        context |= side("Source", row["source"])
    if owner != "unknown":
        context |= side("Resource", owner)
    unknown_arn = row.get("unknown_arn", False)
    whose = account if owner == "unknown" else owner
    # The judge asks the resource's own policy about another account's resource, and cannot for an ARN that it does not know.
    decides = account if unknown_arn else whose
    return {
        "principal": principal,
        "action": row["action"],
        "resource": row["resource"].replace("{owner}", ACCOUNTS[whose]["id"]),
        "owner": ACCOUNTS[decides]["id"],
        "context": context | row.get("context", {}),
        "scps": attached(account, source.SCP, only) if colon else None,
        "rcps": attached(whose, source.RCP, only),
        "unknown_arn": unknown_arn,
    }
