"""Templates as data: read, checked against parameters, and resolved as CloudFormation would.

`resolve` works out parameters, conditions and string functions. What only a made stack knows stays as it is: the reference to
a resource, its attributes, and imports. It knows the functions these templates use, and fails on any other.
"""

import functools
import re

import yaml
from cloudformation_values import ACCOUNT, NEEDED
from rendering import ROOT

FOLDER = ROOT / "cloudformation"
TEMPLATES = sorted(path.name for path in FOLDER.glob("*.yaml"))
PSEUDO = {
    "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::StackName": "orders",
    "AWS::URLSuffix": "amazonaws.com",
}
#: What `AWS::NoValue` becomes, until it is dropped.
NOTHING = object()


class Refused(Exception):
    """The parameters do not fit the template."""


class Loader(yaml.SafeLoader):
    """YAML with the short forms of functions, and without dates: a policy's version is text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def function(loader, suffix, node):
    """`!Name argument` as `{"Fn::Name": argument}`."""
    if isinstance(node, yaml.ScalarNode):
        argument = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        argument = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(argument, str):
        argument = argument.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": argument}


Loader.add_multi_constructor("!", function)


@functools.cache
def load(name):
    """A template, with functions in their long form. Not to be changed: it is read once."""
    return yaml.load((FOLDER / name).read_text(), Loader)


def check(template, given):
    """The values of all parameters; fails as CloudFormation does before it makes anything."""
    definitions = template["Parameters"]
    if unknown := given.keys() - definitions.keys():
        raise Refused(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = {}
    for name, definition in definitions.items():
        value = given.get(name, definition.get("Default"))
        if value is None:
            raise Refused(f"Parameters: [{name}] must have values")
        kind = definition["Type"]
        if not fits(definition, value):
            raise Refused(f"Parameter {name} {definition.get('ConstraintDescription', 'has a value that is not allowed')}")
        if kind.startswith(("CommaDelimitedList", "List<")):
            value = [part.strip() for part in value.split(",")]
        values[name] = int(value) if kind == "Number" else value
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" in rule and not truth(rule["RuleCondition"], template, values):
            continue
        for assertion in rule["Assertions"]:
            if not truth(assertion["Assert"], template, values):
                raise Refused(assertion["AssertDescription"])
    return values


def fits(definition, value):
    """Whether one value keeps what its parameter demands. A pattern has to match the whole; in a list, each member."""
    allowed = [str(option) for option in definition.get("AllowedValues", [])]
    if allowed and str(value) not in allowed:
        return False
    if definition["Type"] == "Number":
        number = float(value)
        return definition.get("MinValue", number) <= number <= definition.get("MaxValue", number)
    parts = [part.strip() for part in value.split(",")] if definition["Type"] == "CommaDelimitedList" else [value]
    pattern = definition.get("AllowedPattern")
    return pattern is None or all(re.fullmatch(pattern, part) for part in parts)


def truth(expression, template, values):
    """A condition's or an assertion's value."""
    (name, argument), = expression.items()
    if name == "Condition":
        return truth(template["Conditions"][argument], template, values)
    if name == "Fn::Equals":
        left, right = (reduced(part, template, values) for part in argument)
        return str(left) == str(right)
    if name == "Fn::Not":
        return not truth(argument[0], template, values)
    if name == "Fn::And":
        return all(truth(part, template, values) for part in argument)
    if name == "Fn::Or":
        return any(truth(part, template, values) for part in argument)
    if name == "Fn::Contains":
        return str(reduced(argument[1], template, values)) in argument[0]
    raise AssertionError(f"{name} in a condition")


def reduced(node, template, values):
    """A part of the template with everything worked out that the parameters decide."""
    if isinstance(node, list):
        parts = (reduced(part, template, values) for part in node)
        return [part for part in parts if part is not NOTHING]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        (name, argument), = node.items()
        if name == "Ref":
            if argument == "AWS::NoValue":
                return NOTHING
            return values.get(argument, PSEUDO.get(argument, node))
        if name == "Fn::If":
            chosen = argument[1] if truth({"Condition": argument[0]}, template, values) else argument[2]
            return reduced(chosen, template, values)
        if name == "Fn::FindInMap":
            place, first, second = argument
            return template["Mappings"][place][str(reduced(first, template, values))][second]
        if name.startswith("Fn::"):
            return FUNCTIONS[name](reduced(argument, template, values), values)
    parts = {name: reduced(part, template, values) for name, part in node.items()}
    return {name: part for name, part in parts.items() if part is not NOTHING}


def joined(argument, _):
    if all(isinstance(part, str) for part in argument[1]):
        return argument[0].join(argument[1])
    return {"Fn::Join": argument}


def split(argument, _):
    """The parts of a text. Of a list joined by the same separator, the list, with what only a made stack knows."""
    separator, source = argument
    if isinstance(source, str):
        return source.split(separator)
    between, parts = source["Fn::Join"]
    assert between == separator, source
    return [piece for part in parts for piece in (part.split(separator) if isinstance(part, str) else [part])]


def substituted(argument, values):
    """The text with its names replaced; of those, the ones that stand beside it come first."""
    text, own = argument if isinstance(argument, list) else (argument, {})
    known = values | PSEUDO | own
    return re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: str(known.get(found[1], found[0])), text)


FUNCTIONS = {
    "Fn::Join": joined,
    "Fn::Split": split,
    "Fn::Select": lambda argument, _: argument[1][argument[0]],
    "Fn::Sub": substituted,
    "Fn::GetAtt": lambda argument, _: {"Fn::GetAtt": argument},
    "Fn::ImportValue": lambda argument, _: {"Fn::ImportValue": argument},
}


def resolve(template, given):
    """The template as a stack with these parameters is made from it: resources and outputs whose condition holds."""
    values = check(template, given)
    made = {"AWSTemplateFormatVersion": "2010-09-09"}
    for section in ("Resources", "Outputs"):
        made[section] = {
            name: reduced({key: part for key, part in entry.items() if key != "Condition"}, template, values)
            for name, entry in template[section].items()
            if "Condition" not in entry or truth({"Condition": entry["Condition"]}, template, values)
        }
    return made


def properties(name, resource, **given):
    """Of one resource, made with what the template needs and with these parameters."""
    return resolve(load(name), {**NEEDED[name], **given})["Resources"][resource]["Properties"]
