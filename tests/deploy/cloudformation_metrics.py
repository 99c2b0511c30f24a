"""What CloudWatch makes of data points: the metric math of these templates, and the state of an alarm.

A series is a list with one value for each period, oldest first, and `None` where there is no data. It knows the functions these
templates use, and fails on any other.
"""

import ast
import operator

OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Gt: operator.gt,
    ast.Lt: operator.lt, ast.Eq: operator.eq,
}


def series(expression, given):
    """The values of an expression, by the series that its names stand for."""
    length = len(next(iter(given.values())))
    return evaluated(ast.parse(expression.replace(" AND ", " and "), mode="eval").body, given, length)


def evaluated(node, given, length):
    def of(part):
        return evaluated(part, given, length)

    if isinstance(node, ast.Constant):
        return [node.value] * length
    if isinstance(node, ast.Name):
        return given[node.id]
    if isinstance(node, ast.BinOp):
        return each(OPERATORS[type(node.op)], of(node.left), of(node.right))
    if isinstance(node, ast.Compare):
        (compared,), (right,) = node.ops, node.comparators
        return each(lambda one, other: int(OPERATORS[type(compared)](one, other)), of(node.left), of(right))
    if isinstance(node, ast.BoolOp):
        return each(lambda *parts: int(all(parts)), *map(of, node.values))
    if isinstance(node, ast.Call) and node.func.id == "IF":
        return each(lambda condition, one, other: one if condition else other, *map(of, node.args))
    if isinstance(node, ast.Call) and node.func.id == "FILL":
        return filled(of(node.args[0]), node.args[1])
    raise AssertionError(ast.dump(node))


def each(function, *columns):
    """Point by point; without one of its values a point has none."""
    return [None if None in points else function(*points) for points in zip(*columns, strict=True)]


def filled(values, by):
    """`FILL` with a number, or with REPEAT. Before the first value there is nothing to repeat."""
    repeat, last, made = isinstance(by, ast.Name) and by.id == "REPEAT", None, []
    for value in values:
        last = value if value is not None else last
        made.append(value if value is not None else last if repeat else by.value)
    return made


def breaches(alarm, value):
    """Whether one point breaches; `None` when there is none and nothing is said about that."""
    if value is None:
        return {"breaching": True, "notBreaching": False}.get(alarm["TreatMissingData"])
    return {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def state(alarm, given):
    """`OK`, `ALARM` or `INSUFFICIENT_DATA` after these points. A metric without an expression is the only series."""
    expressions = [metric["Expression"] for metric in alarm.get("Metrics", []) if metric.get("ReturnData") and "Expression" in metric]
    values = series(expressions[0], given) if expressions else next(iter(given.values()))
    periods = alarm["EvaluationPeriods"]
    points = [breaches(alarm, value) for value in values[-periods:]]
    if all(point is None for point in points):
        return "INSUFFICIENT_DATA"
    return "ALARM" if sum(point is True for point in points) >= alarm.get("DatapointsToAlarm", periods) else "OK"
