# SPDX-License-Identifier: Apache-2.0
"""How limpet's cost grows: instructions of a poll on one connection, and CPU time where only that can
tell. Each curve changes one thing; everything else is as in the table."""
import contextlib
import json
import os
import time

import rows


def instructions(bench, setup, key):
    counting = rows.Counting("limpet", setup, False)
    try:
        return counting.per_operation(next(row for row in rows.ROWS if row[0] == key))[0]
    finally:
        counting.stop()


def by_routes(Bench, count):
    with contextlib.closing(Bench()) as bench:
        bench.setup.routes = count
        return instructions(bench, bench.setup, "poll")


def by_servers(Bench, count):
    with contextlib.closing(Bench(servers=count)) as bench:
        return instructions(bench, bench.setup, "http")


def by_connections(Bench, count):
    """CPU of a WebSocket round trip, 2,000 per second over so many sockets; the median of five."""
    with contextlib.closing(Bench()) as bench:
        limpet = bench.proxy("limpet")
        arguments = ["websocket", "--connections", str(count), "--rate", "2000", "--seconds", "1"]
        samples = [rows.load(rows.address_of(limpet, False), arguments, limpet)["cpu_us"] for _ in range(5)]
        return sorted(samples)[2]


def by_sids(Bench, count):
    """CPU of a poll with so many sids in the table; they stay from handshakes before."""
    with contextlib.closing(Bench()) as bench:
        limpet = bench.proxy("limpet")
        time.sleep(2)  # Sweeps of the empty table give it pages; the first has run then.
        before = rows.pss(limpet)
        rows.load(rows.address_of(limpet, False), ["handshake", "--connections", "16", "--operations", str(count)], limpet)
        grown = rows.pss(limpet) - before
        arguments = ["poll", "--connections", "16", "--seconds", "1"]
        samples = [rows.load(rows.address_of(limpet, False), arguments, limpet)["cpu_us"] for _ in range(5)]
        return sorted(samples)[2], grown / count


CURVES = [
    ("routes", "user instructions per poll", by_routes, (10, 100, 1000)),
    ("servers", "user instructions per HTTP request", by_servers, (3, 30, 300)),
    ("connections", "µs of CPU per WebSocket round trip, 2,000/s", by_connections, (100, 1000, 9000)),
    ("sids", "µs of CPU per poll, and bytes per sid", by_sids, (1000, 30000, 900000)),
]


def run(Bench, results):
    found = {}
    for name, unit, measure, counts in CURVES:
        found[name] = {"unit": unit, "at": {count: measure(Bench, count) for count in counts}}
        print(f"{name}: {unit}")
        for count, value in found[name]["at"].items():
            shown = value if isinstance(value, tuple) else (value,)
            print(f"  {count:>9,}  " + "  ".join(f"{part:,.1f}" for part in shown))
    with open(os.path.join(results, "growth.json"), "w") as out:
        out.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return True
