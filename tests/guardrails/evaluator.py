"""Whether policies of ours deny a request, or allow it: the part of IAM that these policies use, and nothing else.

It answers where iam-simulate is not at hand, and for the mutants, of which there are many. Where iam-simulate is at hand, both have to
give the same answers. What a policy uses beyond this part is an error, not a guess.
"""

import re
from functools import lru_cache

VARIABLE = re.compile(r"\$\{([\w:]+)\}")


def denies(policy, request):
    """Whether a statement of the policy denies the request of model.py."""
    context = {key.lower(): value for key, value in request["context"].items()}
    return any(applies(statement, request, context) for statement in policy["Statement"])


def allows(policies, request):
    """Whether a statement of the policies allows the request of people.py, and none denies it."""
    context = {key.lower(): value for key, value in request["context"].items()}
    effects = {one["Effect"] for policy in policies for one in policy["Statement"] if applies(one, request, context)}
    return effects == {"Allow"}


def is_from(principal, caller):
    """Whether a caller is one of a statement's principals: everybody, or those of an account."""
    if principal == "*":
        return True
    return any(root.split(":")[4] == caller.split(":")[4] and root.endswith(":root") for root in listed(principal["AWS"]))


def applies(statement, request, context):
    """Whether a statement is about the request."""
    return (
        is_from(statement.get("Principal", "*"), request["principal"])
        and (covers_all(statement) or covers(statement, "Resource", request["resource"], str))
        and covers(statement, "Action", request["action"].lower(), str.lower)
        and all(
            holds(operator, context.get(key.lower()), [replaced(value, context) for value in listed(values)])
            for operator, keys in statement.get("Condition", {}).items() for key, values in keys.items()
        )
    )


def covers_all(statement):
    """Whether a statement has no resource, as one of a trust policy: it is about the role."""
    return "Resource" not in statement and "NotResource" not in statement


def covers(statement, element, asked, form):
    """Whether an action or resource is in the element, or is not in the one that begins with Not."""
    name = element if element in statement else f"Not{element}"
    return any(fits(form(pattern), asked) for pattern in listed(statement[name])) == (name == element)


def holds(operator, found, wanted):
    """Whether a condition is true for the value of its key, which is None if the request does not have the key."""
    quantifier, _, operator = operator.rpartition(":")
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    if operator.endswith("IfExists"):
        operator = operator.removesuffix("IfExists")
        if found is None:
            return True
    negated, compare = OPERATORS[operator]
    each = [any(compare(value, one) for value in wanted) != negated for one in listed(found)] if found is not None else []
    if quantifier:
        return {"ForAllValues": all, "ForAnyValue": any}[quantifier](each)
    return each[0] if each else negated


def arn_fits(pattern, arn):
    """ARNs are compared part by part: an asterisk does not reach over the next colon, but in the last part."""
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    return len(patterns) == len(parts) and all(fits(one, part) for one, part in zip(patterns, parts))


@lru_cache(maxsize=None)
def expression(pattern):
    """A pattern with `*` and `?` as a regular expression."""
    return re.compile("".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


@lru_cache(maxsize=None)
def fits(pattern, text):
    """Whether a text fits a pattern."""
    return expression(pattern).fullmatch(text) is not None


def less(wanted, found):
    """Whether a number is less than that of the policy."""
    return float(found) < float(wanted)


def equal(wanted, found):
    """Whether a value is the one of the policy."""
    return wanted == found


def later(wanted, found):
    """Whether a time is after the one of the policy; both are in UTC, and so their texts are in the order of time."""
    return found > wanted


def earlier(wanted, found):
    """Whether a time is before the one of the policy."""
    return found < wanted


# Whether the operator is negated, and how it compares a value of the policy with one of the request.
OPERATORS = {
    "ArnLike": (False, arn_fits),
    "ArnNotLike": (True, arn_fits),
    "Bool": (False, equal),
    "DateGreaterThan": (False, later),
    "DateLessThan": (False, earlier),
    "NumericLessThan": (False, less),
    "StringEquals": (False, equal),
    "StringNotEquals": (True, equal),
    "StringNotLike": (True, fits),
}


def replaced(value, context):
    """A value of a policy with the variables of IAM in it."""
    return VARIABLE.sub(lambda found: context[found[1].lower()], value) if "${" in value else value


def listed(value):
    """A list, also of one."""
    return value if isinstance(value, list) else [value]
