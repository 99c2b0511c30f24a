#!/usr/bin/env python3
"""Writes the figures of docs/scaling.md.

    python3 deploy/scaling.py measure     runs the benchmark, writes its constants, and what follows from them
    python3 deploy/scaling.py             computes again what follows from the constants that stand there
    python3 deploy/scaling.py plan MESSAGES_PER_S SECONDS KIB WORKERS     for a load of yours

`measure` takes `--queuepost FILE` for the binary to measure (the static one of the image, as it is shipped) and `--bench FILE`
for a benchmark that is built already; without it cargo builds one. Only the standard library is needed.
"""

import argparse
import math
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/scaling.md"

#: Dollars for a million requests of up to 64 KiB, us-east-1, before free tier and discounts.
PRICE = {"standard": 0.40, "FIFO": 0.50}
CHUNK_KIB = 64
#: Most messages in a receive or a batch (`ReceiveMessage`, `DeleteMessageBatch`).
BATCH = 10
#: Calls for a message when every receive and every delete is full.
CALLS_MIN = 2 / BATCH
#: Most payload in one answer or batch, in KiB (SQS, 1 MiB).
BATCH_KIB = 1024
#: Threads of a pod (`runtimeThreads` of the chart), and the part of them that is planned with.
THREADS = 2
BUSY = 0.7
#: The part of the workers that is planned with (`keda.workersInUsePercent`).
IN_USE = 0.75
#: At least so many pods, so that one may go.
PODS_MIN = 2
#: In flight per queue, parked messages included.
IN_FLIGHT_MAX = 120_000

#: The runs: workers and KiB of each body.
SMALL, LARGE, WIDE = (64, 1), (64, 64), (512, 1)
CONSTANTS = {
    "cpu_busy": "CPU of a message of 1 KiB, µs, queue full and endpoint instant",
    "cpu_waiting": "CPU of a message of 1 KiB, µs, endpoint 20 ms and SQS 5–10 ms",
    "cpu_per_kib": "more CPU for each further KiB, µs",
    "memory_base": "memory of a pod, MiB",
    "memory_per_worker": "more memory for each worker, KiB",
    "memory_per_kib": "more memory for each worker and KiB of payload, KiB",
    "calls": "SQS calls for a message while there is a backlog",
}
EXAMPLES = [
    (10, 0.2, 1, 16), (100, 1.0, 4, 32), (1000, 0.5, 1, 64), (5000, 0.1, 1, 128), (1, 60.0, 64, 16), (200, 2.0, 256, 64),
]


def parse(markdown):
    """Of each setting of the benchmark's Markdown: CPU µs, calls and peak MiB (medians)."""
    found = {}
    for part in markdown.split("\n### ")[1:]:
        row = next(line for line in part.splitlines() if line.startswith("| queuepost |"))
        names = next(line for line in part.splitlines() if line.startswith("| |"))
        names, cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in (names, row))
        of = dict(zip(names, cells, strict=True))
        if not of["exactly once"].startswith("yes"):
            raise SystemExit(f"not every message arrived once: {of['exactly once']}")
        measured = ("CPU µs/message", "SQS calls/message", "peak MiB")
        cpu, calls, peak = (float(re.match(r"[0-9.]+", of[name])[0]) for name in measured)
        found["instant" if part.startswith("endpoint 0 ms") else "waiting"] = (cpu, calls, peak)
    return found


def fit(runs):
    """The constants, from the parsed runs by workers and KiB."""
    cpu = {run: found["waiting"][0] for run, found in runs.items()}
    peak = {run: found["waiting"][2] for run, found in runs.items()}
    per_worker = max(0.0, (peak[WIDE] - peak[SMALL]) * 1024 / (WIDE[0] - SMALL[0]))
    further = LARGE[1] - SMALL[1]
    return {
        "cpu_busy": runs[SMALL]["instant"][0],
        "cpu_waiting": cpu[SMALL],
        "cpu_per_kib": max(0.0, (cpu[LARGE] - cpu[SMALL]) / further),
        "memory_base": peak[SMALL] - SMALL[0] * per_worker / 1024,
        "memory_per_worker": per_worker,
        "memory_per_kib": max(0.0, (peak[LARGE] - peak[SMALL]) * 1024 / (LARGE[0] * further)),
        "calls": runs[SMALL]["waiting"][1],
    }


def plan(constants, rate, seconds, kib, workers):
    """What a load needs."""
    cpu = constants["cpu_waiting"] + constants["cpu_per_kib"] * max(0, kib - 1)
    cores = rate * cpu / 1e6
    pods = max(PODS_MIN, math.ceil(rate * seconds / (workers * IN_USE)), math.ceil(cores / (THREADS * BUSY)))
    per_worker = constants["memory_per_worker"] + constants["memory_per_kib"] * max(0, kib - 1)
    full = min(BATCH, max(1, BATCH_KIB // kib))
    return {
        "pods": pods,
        "in flight": rate * seconds,
        "cores": cores,
        "MiB of a pod": constants["memory_base"] + workers * per_worker / 1024,
        "requests per message, backlog": (math.ceil(full * kib / CHUNK_KIB) + full / BATCH) / full * constants["calls"] / CALLS_MIN,
        "requests per message, one by one": math.ceil(kib / CHUNK_KIB) + 1,
        "most 429s a second": (IN_FLIGHT_MAX - rate * seconds) / 300,
    }


def constants_table(constants, machine):
    lines = ["| constant | | value |", "|---|---|---:|"]
    lines += [f"| `{name}` | {what} | {constants[name]:.2f} |" for name, what in CONSTANTS.items()]
    return "\n".join([*lines, "", machine])


def examples_table(constants):
    lines = [
        "| messages/s | endpoint | payload | workers | pods | CPU in all | memory of a pod | $ per million, backlog | one by one |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for rate, seconds, kib, workers in EXAMPLES:
        needs = plan(constants, rate, seconds, kib, workers)
        price = PRICE["standard"]
        lines.append(
            f"| {rate:,} | {seconds:g} s | {kib} KiB | {workers} | {needs['pods']} | {needs['cores']:.2f} cores | "
            f"{needs['MiB of a pod']:.0f} MiB | {needs['requests per message, backlog'] * price:.2f} | {needs['requests per message, one by one'] * price:.2f} |"
        )
    return "\n".join(lines)


def block(page, name):
    """What stands between two markers: before, inside, after."""
    before, rest = page.split(f"<!-- {name}: written by deploy/scaling.py -->\n")
    inside, after = rest.split(f"\n<!-- end of {name} -->")
    return before, inside, after


def replaced(page, name, inside):
    before, _, after = block(page, name)
    return f"{before}<!-- {name}: written by deploy/scaling.py -->\n{inside}\n<!-- end of {name} -->{after}"


def constants_of(page):
    """The constants that stand in the page."""
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([0-9.]+) \|$", block(page, "constants")[1], re.MULTILINE))
    if rows.keys() != CONSTANTS.keys():
        raise SystemExit(f"{PAGE.name}: the constants are {', '.join(rows)}, not {', '.join(CONSTANTS)}")
    return {name: float(value) for name, value in rows.items()}


def rendered(page):
    """The page, with what follows from its constants."""
    return replaced(page, "examples", examples_table(constants_of(page)))


def measure(options):
    command = [options.bench] if options.bench else ["cargo", "bench", "--locked", "--bench", "throughput", "--"]
    command += ["--markdown", "--only", "queuepost", "--messages", str(options.messages), "--runs", str(options.runs)]
    command += ["--queuepost", options.queuepost] if options.queuepost else []
    runs, machine = {}, ""
    for workers, kib in (SMALL, LARGE, WIDE):
        more = ["--workers", str(workers), "--body", str(kib * 1024)]
        said = subprocess.run([*command, *more], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        runs[workers, kib] = parse(said)
        # The kernel's own name says nothing that helps to compare.
        machine = machine or re.sub(r"^(\w+) [^,]*", r"\1", said.splitlines()[0].strip())
    note = f"Measured on {machine}; median of {options.runs}, {options.messages:,} messages each."
    return replaced(PAGE.read_text(), "constants", constants_table(fit(runs), note))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    measuring = commands.add_parser("measure")
    measuring.add_argument("--queuepost")
    measuring.add_argument("--bench")
    measuring.add_argument("--messages", type=int, default=20_000)
    measuring.add_argument("--runs", type=int, default=3)
    planning = commands.add_parser("plan")
    for name, kind in (("rate", float), ("seconds", float), ("kib", int), ("workers", int)):
        planning.add_argument(name, type=kind)
    options = parser.parse_args()
    if options.command == "plan":
        needs = plan(constants_of(PAGE.read_text()), options.rate, options.seconds, options.kib, options.workers)
        for name, value in needs.items():
            print(f"{name}: {value:,.2f}")
        return
    PAGE.write_text(rendered(measure(options) if options.command == "measure" else PAGE.read_text()))


if __name__ == "__main__":
    main()
