#!/usr/bin/env python3
"""Judges the organization's policies: their form, what each allows and denies, and whether a test notices each part.

    .venv/judges/bin/python tests/guardrails/guardrails.py [--seed 1] [--count 2000]

Their form is read here and by parliament. What they do is evaluated by evaluator.py, and by iam-simulate, which others wrote, where npm
is at hand: for the rows of requests.toml, for generated requests (oracle.py says what they have to be answered), and for what the roles
of infra/member-account.yaml may do, which no policy is to hinder; and for the roles of that template, who may assume them and what
those for people can do (people.py). Then each part of each policy is taken out in turn: a row or a generated request has to be
answered otherwise.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter

import parliament
import rehearsals
import yaml
import people
from evaluator import allows, denies, listed
from model import HERE, PARAMETERS, ROOT, policies, request, source
from mutants import mutants
from oracle import cases, every

sys.path.insert(0, str(ROOT / "tests"))
from policies import Loader  # noqa: E402
from policies import policies as policies_of_roles  # noqa: E402

NPM = ROOT / ".venv" / "npm"
VERSION = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]["@cloud-copilot/iam-simulate"]
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

    def answers(self, documents, requests):
        """What each request is answered under these policies."""
        answered, _ = self.process.communicate(json.dumps({"policies": documents, "requests": requests}))
        if self.process.returncode:
            raise SystemExit("iam-simulate ended: see above")
        return json.loads(answered)


def answers_here(documents, requests):
    """The same by evaluator.py."""
    return ["denied" if any(denies(documents[name], one) for name in bound_by(one)) else "allowed" for one in requests]


def bound_by(one):
    """The policies that are asked about a request."""
    return [*(one["scps"] or []), *(one["rcps"] or [])]


def rows():
    """The rows of requests.toml."""
    return tomllib.loads((HERE / "requests.toml").read_text(encoding="utf-8"))["row"]


def work_of_orgkeeper():
    """What the roles of infra/member-account.yaml are allowed, as rows: every action on a resource like that of its policy, far away."""
    template = yaml.load(MEMBER.read_text(encoding="utf-8"), Loader)
    resources = template["Resources"]
    names = {logical: one["Properties"].get("RoleName") for logical, one in resources.items() if one["Type"] == "AWS::IAM::Role"}
    # A policy of its own is that of the role that has it, or that it names.
    names |= {one["Ref"]: names[logical] for logical in [*names] for one in resources[logical]["Properties"].get("ManagedPolicyArns", []) if "Ref" in one}
    names |= {logical: names[one["Properties"]["Roles"][0]["Ref"]] for logical, one in resources.items() if "Roles" in one["Properties"]}
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


def wrong(asked, answered):
    """Requests with another answer than expected, as words."""
    return [
        f"{says}: {row['principal']} {row['action']} on {row['resource']} of {row.get('owner', 'its account')} in {row.get('region', 'eu-west-1')}: "
        f"{answer}, not {expected}"
        for (row, expected, says), answer in zip(asked, answered) if answer != expected
    ]


def faults_of_roles(judges):
    """Asks who may assume the roles of infra/member-account.yaml, and what those for people can do; yields wrong answers, and parts
    of their policies that no request needs."""
    documents, requests = people.documents(), list(people.cases())
    for judge, answers in judges.items():
        answered = answers(documents, requests)
        found = [f"{one['says']}: {answer}, not {one['answer']}" for one, answer in zip(requests, answered) if answer != one["answer"]]
        count = Counter(one["answer"] for one in requests)
        print(f"{judge}: {len(requests)} requests about roles: {count['allowed']} to be allowed, {count['denied']} to be denied, {len(found)} wrong")
        print("".join(f"  {one}\n" for one in found[:20]), end="")
        yield from found
    before, made = answers_of_roles(documents, requests), 0
    for name in sorted(set(documents) - set(people.MANAGED)):
        for words, mutant in mutants(with_names(documents[name])):
            made += 1
            if answers_of_roles({**documents, name: mutant}, requests) == before:
                print(f"  nothing notices {name}: {words}")
                yield f"nothing notices {name}: {words}"
    print(f"{made} parts of the policies of roles taken out in turn")


def answers_of_roles(documents, requests):
    """What evaluator.py answers to the requests of people.py."""
    return people.answers_here(documents, requests, allows)


def with_names(policy):
    """A policy whose statements have names, as mutants.py needs."""
    return {**policy, "Statement": [{"Sid": f"Statement{at}", **one} for at, one in enumerate(policy["Statement"])]}


def survivors(documents, requests):
    """Judges every mutant, prints a table, and returns those that nothing notices."""
    denied_by = {name: [name in bound_by(one) and denies(policy, one) for one in requests] for name, policy in documents.items()}
    alive, table = [], []
    for name, policy in documents.items():
        # What another policy denies stays denied, whatever this one says.
        concerned = [
            (one, denied_by[name][at]) for at, one in enumerate(requests)
            if name in bound_by(one) and not any(denied[at] for other, denied in denied_by.items() if other != name)
        ]
        unnoticed, count = [], 0
        for words, mutant in mutants(policy):
            count += 1
            if all(denies(mutant, one) == before for one, before in concerned):
                unnoticed.append(f"{name}: {words}")
        alive += unnoticed
        table.append((len(policy["Statement"]), count, count - len(unnoticed), len(concerned)))
        print("  {:22} {:3} statements {:4} mutants {:4} noticed by {:4} requests".format(name, *table[-1]))
    print("  {:22} {:3} statements {:4} mutants {:4} noticed".format("all", *(sum(row[at] for row in table) for at in range(3))))
    return alive


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()
    documents = policies()
    faults = list(faults_of_form())
    print("\n".join(faults) or f"{len(documents)} policies, the largest with {max(len(source.minified(one)) for one in documents.values())} "
          "characters: nothing to say about their form")

    groups = {
        "rows of requests.toml": [(row, row["answer"], row["says"]) for row in rows()],
        f"generated requests, seed {given.seed}": expected(cases(given.seed, given.count)),
        "calls of orgkeeper's roles": [(row, row["answer"], row["says"]) for row in work_of_orgkeeper()],
    }
    systematic = {"requests for each action and each principal": expected(every())}
    missing = installed()
    if missing:
        print(f"{missing}: what the policies allow and deny is evaluated by evaluator.py alone")
    for judge, answers in judges(missing).items():
        # The systematic ones are for the mutants: iam-simulate would take a minute for them.
        asked = groups | (systematic if judge == "evaluator.py" else {})
        answered = iter(answers(documents, [request(row) for group in asked.values() for row, _, _ in group]))
        for words, group in asked.items():
            found = wrong(group, [next(answered) for _ in group])
            faults += found
            count = Counter(answer for _, answer, _ in group)
            print(f"{judge}: {len(group)} {words}: {count['allowed']} to be allowed, {count['denied']} to be denied, {len(found)} wrong")
            print("".join(f"  {one}\n" for one in found[:20]), end="")

    of_roles = {"evaluator.py": answers_of_roles} | again(missing)
    faults += list(faults_of_roles(of_roles))

    outages = [(row, row["answer"], row["says"]) for row in rehearsals.rows()]
    asked = [rehearsals.requested(row) for row, _, _ in outages]
    for judge, answers in judges(missing).items():
        found = wrong(outages, answers(rehearsals.documents(), asked))
        faults += found
        print(f"{judge}: {len(outages)} requests about rehearsed outages: {len(found)} wrong")
        print("".join(f"  {one}\n" for one in found[:20]), end="")

    print("Each statement, condition and value taken out in turn:")
    alive = survivors(documents, [request(row) for group in (groups | systematic).values() for row, _, _ in group])
    alive += survivors(conditions_only(rehearsals.documents()), asked)
    print("".join(f"  nothing notices {one}\n" for one in alive), end="")
    return 1 if faults or alive else 0


def again(missing):
    """The judge once more: each process answers once."""
    return {} if missing else {f"iam-simulate {VERSION}": Judge().answers}


def judges(missing):
    """Who answers: a process of iam-simulate answers once."""
    return {"evaluator.py": answers_here} | again(missing)


def conditions_only(documents):
    """Without the list of global services: that it is the one of regions.json a unit test says."""
    return {name: policy for name, policy in documents.items() if "NotAction" not in policy["Statement"][0]}


def expected(made):
    """Cases as rows, with what they have to be answered and why."""
    return [(case.row, case.answer(), "; ".join(case.denials()) or "nothing denies it") for case in made]


if __name__ == "__main__":
    sys.exit(main())
