"""What a policy decides about one request, for the few forms of statement these templates use.

The same order as IAM: a Deny that matches wins, then an Allow, else nothing is said (`None`). A condition key that the request
does not have matches negated operators and those with IfExists, and no others.
"""

import fnmatch


def listed(value):
    return value if isinstance(value, list) else [value]


def plain(value, made):
    """Texts; references to resources as the made stack would have them."""
    if isinstance(value, dict):
        (name, argument), = value.items()
        return made[".".join(argument) if name == "Fn::GetAtt" else argument]
    return value


def condition_holds(operator, key, wanted, context, made):
    wanted = [plain(value, made) for value in listed(wanted)]
    base = operator.removesuffix("IfExists")
    actual = context.get(key)
    if actual is None:
        return operator.endswith("IfExists") or base == "ArnNotEquals"
    if base in ("StringEquals", "Bool", "ArnEquals"):
        return actual in wanted
    if base == "ArnNotEquals":
        return actual not in wanted
    if base == "ArnLike":
        return any(fnmatch.fnmatchcase(actual, pattern) for pattern in wanted)
    raise AssertionError(f"condition operator {operator}")


def applies(statement, action, context, made):
    if not any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(statement["Action"])):
        return False
    principal = statement.get("Principal", "*")
    if principal != "*":
        (kind, names), = principal.items()
        caller = context.get("aws:PrincipalArn") if kind == "AWS" else context.get("service")
        account = (caller or "").split(":")[4:5]
        roots = [f"arn:aws:iam::{number}:root" for number in account]
        if not {caller, *roots} & {plain(name, made) for name in listed(names)}:
            return False
    return all(
        condition_holds(operator, key, wanted, context, made)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def decision(document, action, context, made=None):
    """`Deny`, `Allow` or `None`."""
    found = {statement["Effect"] for statement in document["Statement"] if applies(statement, action, context, made or {})}
    return "Deny" if "Deny" in found else "Allow" if "Allow" in found else None
