"""Variants of a policy, each without one part."""

import copy

# What is left of a policy whose only statement is taken out.
NOTHING = {"Sid": "Nothing", "Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::nothing/nothing"}


def mutants(policy):
    """What is taken out, in words, and the policy without it: each statement, each condition key, each value of each list."""
    for at, statement in enumerate(policy["Statement"]):
        sid = statement["Sid"]
        without = copy.deepcopy(policy)
        del without["Statement"][at]
        if not without["Statement"]:
            without["Statement"] = [NOTHING | ({"Principal": "*"} if "Principal" in statement else {})]
        yield f"{sid}: the statement", without
        for operator, keys in statement.get("Condition", {}).items():
            for key, values in keys.items():
                without = copy.deepcopy(policy)
                condition = without["Statement"][at]["Condition"]
                del condition[operator][key]
                if not condition[operator]:
                    del condition[operator]
                if not condition:
                    del without["Statement"][at]["Condition"]
                yield f"{sid}: condition {operator} {key}", without
                yield from values_taken_out(policy, ["Statement", at, "Condition", operator, key], f"{sid}: {key}")
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            if element in statement:
                yield from values_taken_out(policy, ["Statement", at, element], f"{sid}: {element}")


def values_taken_out(policy, path, words):
    """A mutant for each value of a list that has several."""
    values = inside(policy, path)
    for at, value in enumerate(values if isinstance(values, list) and len(values) > 1 else []):
        without = copy.deepcopy(policy)
        del inside(without, path)[at]
        yield f"{words} {value}", without


def inside(policy, path):
    """A part of a policy."""
    for step in path:
        policy = policy[step]
    return policy
