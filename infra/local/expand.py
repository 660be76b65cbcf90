"""Prints a template with its loops expanded, sorted, without what only people read and with each condition's
definition in place of its name, so that two versions can be compared.

    .venv/cloud/bin/python infra/local/expand.py template.yaml
    .venv/cloud/bin/python infra/local/expand.py --whole template.yaml    all of it, for tools that do not know loops
    diff <(git show HEAD:template.yaml | .venv/cloud/bin/python infra/local/expand.py /dev/stdin) \\
         <(.venv/cloud/bin/python infra/local/expand.py template.yaml)
"""

import json
import sys
from pathlib import Path

from ministack.services.cloudformation import engine, language_extensions

# What only people read: it may change without a change of the stack's behaviour.
DESCRIPTIONS = ("AlarmDescription", "Description", "Sid")


def expanded(text):
    """The template as CloudFormation takes it: the loops expanded, parameters at their defaults."""
    template = engine._parse_template(text)
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}
    return language_extensions.apply(template, defaults)


def without_descriptions(node):
    """The same without what only people read, `!GetAtt a.b` and `[a, b]` alike."""
    if isinstance(node, list):
        return [without_descriptions(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("Fn::GetAtt"), str):
        return {"Fn::GetAtt": node["Fn::GetAtt"].split(".", 1)}
    return {key: without_descriptions(value) for key, value in node.items() if key not in DESCRIPTIONS}


def with_meanings(node, conditions):
    """The same with each condition's definition in place of its name, which only the template itself reads."""
    if isinstance(node, list):
        return [with_meanings(item, conditions) for item in node]
    if not isinstance(node, dict):
        return node
    if list(node) == ["Condition"] and isinstance(node["Condition"], str):
        return meaning(node["Condition"], conditions)
    meant = {key: with_meanings(value, conditions) for key, value in node.items()}
    if isinstance(node.get("Condition"), str):
        meant["Condition"] = meaning(node["Condition"], conditions)
    if "Fn::If" in node:
        meant["Fn::If"][0] = meaning(node["Fn::If"][0], conditions)
    return meant


def meaning(condition, conditions):
    """A condition's definition, without the names of other conditions in it."""
    return with_meanings(conditions[condition], conditions)


def main():
    """Prints the template named in the last argument."""
    template = expanded(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    if "--whole" in sys.argv:
        print(json.dumps(template | {"Transform": "AWS::Serverless-2016-10-31"}, indent=1))
        return
    sections = ("Parameters", "Globals", "Resources", "Outputs")
    shown = {section: without_descriptions(template[section]) for section in sections if section in template}
    shown = with_meanings(shown, template["Conditions"])
    print(json.dumps(shown, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
