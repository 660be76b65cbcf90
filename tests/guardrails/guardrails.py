#!/usr/bin/env python3
"""Judges the organization's policies: their form, what each allows and denies, and whether a test notices each part.

    .venv/judges/bin/python tests/guardrails/guardrails.py [--seed 1] [--count 2000] [--mutants] [guard regions …]

Their form is read here and by parliament. What they do is evaluated by iam-simulate, where npm is at hand: for the rows of
requests.toml, for generated requests (oracle.py says what they have to be answered), and for what the roles of
infra/member-account.yaml may do, which no policy is to hinder. With `--mutants` each part of each policy is taken out in turn: a row
or a generated request has to be answered otherwise.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter

import parliament
import yaml
from model import ACCOUNTS, HERE, ROOT, TYPES, policies, request, source
from mutants import mutants
from oracle import cases, every

sys.path.insert(0, str(ROOT / "tests"))
from policies import Loader  # noqa: E402
from policies import policies as policies_of_roles  # noqa: E402

NPM = ROOT / ".venv" / "npm"
MEMBER = ROOT / "infra" / "member-account.yaml"
# Accounts in which orgkeeper's roles work.
WORKED_IN = ["payroll", "films", "lab", "ledger"]
# What parliament finds, and a word in it: why it is accepted.
ACCEPTED = {
    ("INVALID_ARN", "Account expected"): "what AWS owns has `aws` in place of an account",
    ("UNKNOWN_CONDITION_FOR_ACTION", "aws:SourceOrgID"): "a global key that is newer than parliament's data",
}


def faults_of_form():
    """What is wrong with the policies as text."""
    if source.template() != source.TEMPLATE.read_text(encoding="utf-8"):
        yield "infra/organization-policies.yaml is not what its policies make: run python3 infra/local/organization_policies.py"
    template = yaml.load(source.TEMPLATE.read_text(encoding="utf-8"), Loader)
    unused = set(ACCEPTED)
    for name, logical, kind, _ in source.POLICIES:
        policy = policies()[name]
        sent = substituted(template["Resources"][f"{logical}Policy"]["Properties"]["Content"])
        if json.loads(sent) != policy:
            yield f"{name}: the template's text is another policy"
        if len(sent) > source.MAXIMUM:
            yield f"{name}: {len(sent)} characters are more than {source.MAXIMUM}"
        for statement in policy["Statement"]:
            yield from (f"{name}: {fault}" for fault in faults_of_statement(statement, kind))
            alone = {key: value for key, value in statement.items() if key != "Principal"}
            for finding in parliament.analyze_policy_string(json.dumps({"Version": policy["Version"], "Statement": [alone]})).findings:
                accepted = [row for row in ACCEPTED if row[0] == finding.issue and row[1] in str(finding.detail)]
                unused -= set(accepted)
                if not accepted:
                    yield f"{name}: {statement['Sid']}: parliament: {finding.issue} {finding.detail} {finding.location}"
    yield from (f"nothing needs the accepted {' '.join(row)}" for row in sorted(unused))


def faults_of_statement(statement, kind):
    """What AWS would refuse, and what a policy of ours never has."""
    sid, actions = statement["Sid"], statement.get("Action", [])
    if statement["Effect"] != "Deny":
        yield f"{sid} allows"
    if kind == source.RCP and (statement.get("Principal") != "*" or not actions or "*" in actions):
        yield f"{sid}: a resource control policy has Principal * and names services"
    if any("*" in action[:-1] for action in listed(actions) + listed(statement.get("NotAction", []))):
        yield f"{sid}: an asterisk in the middle of an action, which earlier service control policies do not take"
    if kind == source.SCP and "Principal" in statement:
        yield f"{sid}: a service control policy has no Principal"


def substituted(value):
    """What `Fn::Sub` gives, with the parameters of organization.toml."""
    from model import PARAMETERS

    if isinstance(value, str):
        return value
    text, variables = value["Fn::Sub"]
    known = dict(PARAMETERS)
    for key, joined in variables.items():
        delimiter, split = joined["Fn::Join"]
        known[key] = delimiter.join(PARAMETERS[split["Fn::Split"][1]["Ref"]].split(split["Fn::Split"][0]))
    return re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], text).replace("${!", "${")


def installed():
    """Whether the judge is there; it is installed if npm is."""
    wanted = [HERE / "package.json", HERE / "package-lock.json"]
    stamp = NPM / "installed"
    if not shutil.which("node") or not shutil.which("npm"):
        return "npm is not at hand"
    if stamp.exists() and all(stamp.stat().st_mtime >= file.stat().st_mtime for file in wanted):
        return None
    print("Installing iam-simulate into .venv/npm (seconds) ...", file=sys.stderr)
    NPM.mkdir(parents=True, exist_ok=True)
    for file in wanted:
        shutil.copy(file, NPM)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NPM, capture_output=True, text=True)
    if done.returncode:
        return "npm could not install iam-simulate: " + " ".join(done.stderr.split())[:200]
    stamp.touch()
    return None


class Judge:
    """iam-simulate, in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen(["node", str(HERE / "judge.mjs"), str(NPM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answers(self, documents, requests, quick=False):
        """What each request is answered under these policies."""
        self.process.stdin.write(json.dumps({"policies": documents, "requests": requests, "quick": quick}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the judge ended: see above")
        return json.loads(line)

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def rows():
    """The rows of requests.toml."""
    return tomllib.loads((HERE / "requests.toml").read_text(encoding="utf-8"))["row"]


def work_of_orgkeeper():
    """What the roles of infra/member-account.yaml are allowed, as rows: every action on a resource like that of its policy, far away."""
    template = yaml.load(MEMBER.read_text(encoding="utf-8"), Loader)
    names = {logical: one["Properties"].get("RoleName") for logical, one in template["Resources"].items() if one["Type"] == "AWS::IAM::Role"}
    keepers = {"OrgkeeperAudit", "OrgkeeperBaseline", "OrgkeeperRemediation"}
    for logical, document in policies_of_roles(template):
        name = names.get(logical)
        for statement in document["Statement"] if name in keepers else []:
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    for account in WORKED_IN:
                        whose = resource.replace("111122223333", "{owner}")
                        owner = "aws" if ":iam::aws:" in resource else account
                        yield {"says": f"{name} does its work", "principal": f"{account}:role/{name}", "action": action, "owner": owner,
                               "resource": whose if whose == "*" else whose.replace("*", "us-west-2"), "region": "us-west-2",
                               "unknown_arn": True, "answer": "allowed"}


def listed(value):
    """A list, also of one."""
    return value if isinstance(value, list) else [value]


def wrong(judge, documents, asked):
    """Requests with another answer than expected, as words."""
    found = judge.answers(documents, [request(row) for row, _, _ in asked])
    return [
        f"{says}: {row['principal']} {row['action']} on {row['resource']} of {row.get('owner', 'its account')} in {row.get('region', 'eu-west-1')}: "
        f"{answer}, not {expected}"
        for (row, expected, says), answer in zip(asked, found) if answer != expected
    ]


def survivors(judge, documents, asked, names):
    """Judges every mutant, prints a table, and returns those that nothing notices."""
    requests = [request(row) for row, _, _ in asked]
    alone = {name: answers_of_one(judge, documents, requests, name) for name in documents}
    if ["denied" if "denied" in answers else "allowed" for answers in zip(*alone.values())] != [answer for _, answer, _ in asked]:
        raise SystemExit("the policies answer otherwise one by one")
    alive, table = [], []
    for name in names:
        # What another policy denies stays denied, whatever this one says.
        others = list(zip(*(answers for other, answers in alone.items() if other != name)))
        decided = [at for at, one in enumerate(requests) if is_bound(one, name) and "denied" not in others[at]]
        concerned, answers = [only(requests[at], name) for at in decided], [alone[name][at] for at in decided]
        count, noticed = 0, 0
        for words, value, mutant in mutants(documents[name]):
            count += 1
            if is_noticed(judge, {name: mutant}, likely_first(concerned, answers, value)):
                noticed += 1
            else:
                alive.append(f"{name}: {words}")
        table.append((name, len(documents[name]["Statement"]), count, noticed, len(concerned)))
        print("  {:22} {:3} statements {:4} mutants {:4} noticed, by {:4} requests".format(*table[-1]), flush=True)
    print("  {:22} {:3} statements {:4} mutants {:4} noticed".format("all", *(sum(row[at] for row in table) for at in (1, 2, 3))))
    return alive


def is_bound(one, name):
    """Whether a policy is asked about a request."""
    return name in (one["scps"] or []) + (one["rcps"] or [])


def only(one, name):
    """A request that is bound by one policy."""
    return one | {kind: one[kind] and [each for each in one[kind] if each == name] for kind in ("scps", "rcps")}


def answers_of_one(judge, documents, requests, name):
    """What one policy alone answers; it allows what it does not bind."""
    bound = [only(one, name) for one in requests if is_bound(one, name)]
    answers = iter(judge.answers(documents, bound, quick=True))
    return [next(answers) if is_bound(one, name) else "allowed" for one in requests]


def likely_first(requests, answers, value):
    """Requests with their answers, those first that a value of a policy is about."""
    stem = value.split("/")[-1].rstrip("*")
    return sorted(zip(requests, answers), key=lambda one: not (stem and stem in f"{one[0]['principal']} {one[0]['action']} {one[0]['resource']}"))


def is_noticed(judge, documents, expected):
    """Whether a request has another answer under a mutant."""
    size, at = 20, 0
    while at < len(expected):
        part = expected[at:at + size]
        if judge.answers(documents, [one for one, _ in part], quick=True) != [answer for _, answer in part]:
            return True
        at, size = at + size, 200
    return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("only", nargs="*", choices=[[], *TYPES], metavar="policy")
    given = parser.parse_args()
    documents = policies()
    faults = list(faults_of_form())
    print("\n".join(faults) or f"{len(documents)} policies, the largest with {max(len(source.minified(one)) for one in documents.values())} "
          "characters: nothing to say about their form")
    missing = installed()
    if missing:
        print(f"{missing}: what the policies allow and deny is not evaluated")
        return 1 if faults else 0
    judge = Judge()
    by_hand = [(row, row["answer"], row["says"]) for row in rows()]
    generated, systematic = (
        [(case.row, case.answer(), "; ".join(case.denials()) or "nothing denies it") for case in made] for made in (cases(given.seed, given.count), every())
    )
    own = [(row, row["answer"], row["says"]) for row in work_of_orgkeeper()]
    for words, asked in (("rows of requests.toml", by_hand), (f"generated requests, seed {given.seed}", generated), ("calls of orgkeeper's roles", own)):
        found = wrong(judge, documents, asked)
        faults += found
        count = Counter(answer for _, answer, _ in asked)
        print(f"{len(asked)} {words}: {count['allowed']} to be allowed, {count['denied']} to be denied, {len(found)} wrong")
        print("".join(f"  {one}\n" for one in found[:20]), end="")
    if given.mutants and not faults:
        alive = survivors(judge, documents, by_hand + systematic + generated[:1000], given.only or list(TYPES))
        print("".join(f"  nothing notices {one}\n" for one in alive), end="")
        faults += alive
    judge.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
