"""Measuring: rounds that rotate the subjects, medians and ratios."""

import json
import statistics
import subprocess
import sys
import time

from .machine import BIN, LOAD_CORE, cpu_seconds, memory_mb, pinned
from .subjects import FPS


def measure(subject, seconds, viewers, frame):
    """One subject over one round: CPU-s/GB, the share that was delivered, and what the load says."""
    before = memory_mb(subject.pid)
    load = pinned(LOAD_CORE, BIN / "load", *subject.load(seconds), stdout=subprocess.PIPE, text=True)
    assert load.stdout.readline().strip() == "ready", "the load did not get ready"
    began_with, began = cpu_seconds(subject.pid), time.monotonic()
    memory = memory_mb(subject.pid) - before
    time.sleep(seconds)
    used, passed = cpu_seconds(subject.pid) - began_with, time.monotonic() - began
    result = json.loads(load.stdout.readline())
    load.wait(30)
    result["memory_kib_per_viewer"] = memory * 1024 / viewers
    delivered = result["bytes"] / (viewers * FPS * frame * seconds)
    per_gb = used / (result["bytes"] * passed / seconds / 1e9)
    return per_gb, delivered, result


def rounds(subjects, options, viewers, frame):
    """All subjects in turn, several times; the valid rounds of each."""
    results = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(options.rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            subject = subjects[name]()
            per_gb, delivered, result = measure(subject, options.seconds, viewers, frame)
            subject.stop()
            valid = delivered >= 0.985
            print(f"round {number + 1}: {name}: {per_gb:.3f} CPU-s/GB, {delivered:.1%} delivered"
                  f"{'' if valid else ' (void)'}", file=sys.stderr)
            if valid:
                results[name].append({"cpu_s_per_gb": per_gb, **result})
    return results


def table(results):
    """Prints medians and ratios to the first subject, the limit; the same for the report."""
    medians = {name: statistics.median(r["cpu_s_per_gb"] for r in rows) for name, rows in results.items() if rows}
    limit = medians.get(next(iter(results)))
    print("| subject | CPU-s/GB | × limit | spread |\n|---|---|---|---|")
    summary = {}
    for name, rows in results.items():
        if not rows or not limit:
            print(f"| {name} | void | | |")
            continue
        values = [row["cpu_s_per_gb"] for row in rows]
        median = medians[name]
        summary[name] = {"cpu_s_per_gb": median, "ratio": median / limit, "rounds": rows}
        print(f"| {name} | {median:.2f} | {median / limit:.2f} | {min(values):.2f}–{max(values):.2f} |")
    return summary


def tries(gateway, command, count=60):
    """What `load` says of one viewer after another; ends the gateway."""
    ran = subprocess.run(["taskset", "-c", LOAD_CORE, BIN / "load", command, *map(str, gateway.target()),
                          "--count", str(count)], check=True, capture_output=True, text=True)
    gateway.stop()
    return json.loads(ran.stdout)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def quantiles(times):
    return f"p50 {times['p50_ms']:.2f} ms, p99 {times['p99_ms']:.2f} ms"
