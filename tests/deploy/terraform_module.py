"""Terraform's modules as data: resources, documents of policies, and what validations of variables say.

No test runs Terraform: the provider, which knows what a resource may have, is in no package registry. Its schema as of the version
in terraform_schema.json stands in for it, cut down to what the modules use.
"""

import functools
import json
import re

import hcl2
import yaml
from rendering import ROOT

FOLDER = ROOT / "terraform"
MODULES = ["queue", "ecs", "examples/orders"]
SCHEMA = json.loads((ROOT / "tests/deploy/terraform_schema.json").read_text())
#: What any resource may have.
META = {"count", "for_each", "depends_on", "lifecycle", "provider"}


def text(module):
    return "\n".join(path.read_text() for path in sorted((FOLDER / module).glob("*.tf")))


def plain(node):
    """Without quotes around names and texts, and without the parser's own entries. Expressions stay `${…}`."""
    if isinstance(node, list):
        return [plain(part) for part in node]
    if isinstance(node, dict):
        return {unquoted(name): plain(part) for name, part in node.items() if name not in ("__is_block__", "__comments__")}
    return unquoted(node)


def unquoted(value):
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value


@functools.cache
def read(module):
    """Everything of a module by kind: `resource` and `data` by TYPE.NAME, the others by name. Not to be changed: it is read once."""
    found = {"resource": {}, "data": {}, "variable": {}, "output": {}, "module": {}, "locals": {}}
    for path in sorted((FOLDER / module).glob("*.tf")):
        with path.open() as file:
            written = plain(hcl2.load(file))
        for kind in ("resource", "data"):
            for entry in written.get(kind, []):
                ((type_, named),) = entry.items()
                ((name, body),) = named.items()
                found[kind][f"{type_}.{name}"] = body
        for kind in ("variable", "output", "module"):
            for entry in written.get(kind, []):
                found[kind] |= entry
        for entry in written.get("locals", []):
            found["locals"] |= entry
    return found


def problems(body, arguments, place):
    """What a resource or a block of it has that the provider does not know, and what it lacks."""
    dynamic = {}
    for entry in body.get("dynamic", []):
        ((name, one),) = entry.items()
        dynamic = {**dynamic, name: [*dynamic.get(name, []), *one["content"]]}
    made = [f"{place}.{name} is missing" for name, one in arguments.items() if one["required"] and name not in body and name not in dynamic]
    for name, value in [*body.items(), *dynamic.items()]:
        if name in META or name == "dynamic":
            continue
        if name not in arguments:
            made.append(f"{place}.{name} is unknown")
        elif blocks := arguments[name].get("block"):
            made += [one for part in value if isinstance(part, dict) for one in problems(part, blocks, f"{place}.{name}")]
    return made


def statements(document):
    """Of a policy: name, effect, actions and the conditions' operators and keys, those by a choice included."""
    found = list(document.get("statement", []))
    for entry in document.get("dynamic", []):
        found += entry["statement"]["content"]
    return [
        (one.get("sid"), one["effect"], tuple(sorted(one["actions"])), conditions(one)) for one in found
    ]


def conditions(statement):
    found = list(statement.get("condition", []))
    for entry in statement.get("dynamic", []):
        found += entry["condition"]["content"]
    return tuple(sorted((one["test"], one["variable"]) for one in found))


def holds(condition, name, value):
    """Whether a variable's validation takes a value. It knows the functions the modules use, and fails on any other."""
    def matches(pattern, given):
        return given is not None and re.search(pattern.removesuffix("$") + r"\Z", given) is not None

    def has_listeners(given):
        return isinstance(read := yaml.safe_load(given), dict) and "listeners" in read

    def is_range(given):
        return re.fullmatch(r"\d+\.\d+\.\d+\.\d+/([0-9]|[12][0-9]|3[0-2])|.*:.*/\d+", given) is not None

    python = condition.removeprefix("${").removesuffix("}").replace(f"var.{name}", "given")
    patterns = re.findall(r'regex\("((?:[^"\\]|\\.)*)"', python)
    for index, pattern in enumerate(patterns):
        python = python.replace(f'can(regex("{pattern}", ', f"(matches(patterns[{index}], ", 1)
    patterns = [pattern.replace("\\\\", "\\") for pattern in patterns]
    for old, new in (
        (r"alltrue\(\[for (\w+) in given : (.*)\]\)", r"all([\2 for \1 in given])"), (r"can\(cidrhost\(given, 0\)\)", "is_range(given)"),
        (r"can\(yamldecode\(given\)\.listeners\)", "has_listeners(given)"), (r"strcontains\((\w+), (\S+)\)", r"(\2 in \1)"),
        (r"endswith\((\w+), (\S+)\)", r"\1.endswith(\2)"), (r"contains\((\[.*\]), given\)", r"(given in \1)"),
        (r"try\((.*), false\)", r"(\1)"), (r"floor\(given\)", "int(given)"), (r"\bnull\b", "None"), ("&&", " and "), (r"\|\|", " or "),
        (r"!(?!=)", " not "),
    ):
        python = re.sub(old, new, python)
    known = {"given": value, "matches": matches, "patterns": patterns, "is_range": is_range, "has_listeners": has_listeners}
    return bool(eval(python, {"__builtins__": {"all": all, "int": int}, **known}))
