# SPDX-License-Identifier: Apache-2.0
"""The rows of the table, and how one cell of each kind is measured."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from proxies import BUILD, Proxy, settle_on_one_cpu

# Key, title, arguments of bench_load, over TLS?, who else beside limpet, haproxy and nginx,
# (operations of the short and the long run whose difference counts calls and instructions).
ROWS = [
    ("http", "HTTP keep-alive request", ["http", "--connections", "16"], False, [], (500, 2500)),
    ("poll", "Engine.IO poll (sid in the query, no cookies)", ["poll", "--connections", "16"], False, ["haproxy-sid"], (500, 2500)),
    ("new", "new TCP connection + request", ["new", "--connections", "16"], False, [], (200, 1000)),
    ("ws", "WebSocket round trip", ["websocket", "--connections", "16"], False, [], (500, 2500)),
    ("ws-1000", "same, 1,000 busy sockets", ["websocket", "--connections", "1000"], False, [], None),
    ("ws-open", "same, 4,000/s open loop", ["websocket", "--connections", "100", "--rate", "4000"], False, [], None),
    ("body-64k", "64 KiB body", ["http", "--connections", "8", "--size", "65536"], False, ["haproxy-splice", "nginx-large"], (50, 250)),
    ("body-1m", "1 MiB body", ["http", "--connections", "4", "--size", "1048576"], False, ["haproxy-splice", "nginx-large"], (20, 80)),
    ("wss", "WebSocket over TLS round trip", ["websocket", "--connections", "16", "--tls", "full"], True, [], (200, 1200)),
    ("tls-full", "TLS 1.3 full handshake + request", ["new", "--connections", "8", "--tls", "full"], True, [], (20, 100)),
    ("tls-resumed", "TLS 1.3 resumed + request", ["new", "--connections", "8", "--tls", "resumed"], True, [], (20, 100)),
]
# Key, title, arguments of bench_load, and of another one that runs beside it.
LATENCY = [
    ("latency-http", "HTTP request at 1,000/s", ["http", "--connections", "32", "--rate", "1000"], None),
    ("latency-ws", "WebSocket round trip at 2,000/s", ["websocket", "--connections", "100", "--rate", "2000"], None),
    ("latency-beside", "same at 500/s, beside 200 endless downloads", ["websocket", "--connections", "100", "--rate", "500"],
     ["http", "--connections", "200", "--size", "1048576"]),
]
MEMORY = [
    ("idle-ws", "idle proxied WebSocket", "idle-websocket", False),
    ("idle-poll", "hanging long poll", "idle-poll", False),
    ("idle-wss", "idle proxied WebSocket over TLS", "idle-websocket", True),
]
WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")


LOAD = os.path.join(BUILD, "bench/bench_load")


def load(address, arguments, proxy=None, pinned=True):
    """Runs bench_load; its report. Errors are part of it."""
    command = [LOAD, *arguments, address]
    if proxy:
        command += ["--pid", str(proxy.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                          preexec_fn=settle_on_one_cpu if pinned else None)
    if not done.stdout.strip():
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or 'no report'}")
    report = json.loads(done.stdout)
    report["said"] = done.stderr.strip()
    return report


@contextlib.contextmanager
def beside(address, arguments):
    """Load that goes on meanwhile, on whatever CPU; nobody asks what comes of it."""
    if not arguments:
        yield
        return
    process = subprocess.Popen([LOAD, *arguments, "--seconds", "60", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def pss(proxy):
    with open(f"/proc/{proxy.pid}/smaps_rollup") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def address_of(proxy, over_tls):
    return f"127.0.0.1:{proxy.ports['TLS' if over_tls else 'PLAIN']}"


def one_by_one(arguments):
    """The same row on one connection without a clock: how calls and instructions are counted."""
    out = list(arguments)
    out[out.index("--connections") + 1] = "1"
    return out


def counted_calls(proxy, arguments, over_tls, operations):
    """System calls by name while so many operations run, by strace; and the load's errors."""
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as summary:
        tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", summary.name, "-p", str(proxy.pid)],
                                  stderr=subprocess.PIPE, text=True)
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.wait()
            raise RuntimeError(f"strace: {line.strip()}")
        report = load(address_of(proxy, over_tls), [*one_by_one(arguments), "--operations", str(operations)])
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        calls = {}
        for row in summary.read().splitlines():
            match = re.fullmatch(r"\s*(\d+)\s+(\w+)\s*", row)
            if match and match.group(2) != "total":
                calls[match.group(2)] = int(match.group(1))
        return calls, report["errors"]


def calls_per_operation(proxy, row):
    """(all but waiting, waiting, by name) per operation; the difference of a long and a short run."""
    _, _, arguments, over_tls, _, (short, long) = row
    few, errors = counted_calls(proxy, arguments, over_tls, short)
    many, more_errors = counted_calls(proxy, arguments, over_tls, long)
    names = {name: (many.get(name, 0) - few.get(name, 0)) / (long - short) for name in {*few, *many}}
    waits = sum(count for name, count in names.items() if name in WAITS)
    return {"data": sum(names.values()) - waits, "waits": waits, "errors": errors + more_errors,
            "names": {name: round(count, 2) for name, count in sorted(names.items()) if abs(count) >= 0.01}}


class Counting:
    """A proxy inside callgrind. Each phase's instructions are dumped and the counter starts anew."""

    def __init__(self, kind, setup, tls):
        self.folder = tempfile.mkdtemp(dir=setup.folder)
        self.out = os.path.join(self.folder, "out")
        self.dumps = 0
        self.proxy = Proxy(kind, setup, tls=tls, under=["valgrind", "--tool=callgrind", "-q",
                                                        f"--callgrind-out-file={self.out}"])

    def dump(self):
        """User instructions since the last dump."""
        subprocess.run(["callgrind_control", "-d", "phase", str(self.proxy.pid)], check=True, capture_output=True)
        self.dumps += 1
        with open(f"{self.out}.{self.dumps}") as dump:
            return sum(int(line.split()[1]) for line in dump if line.startswith("totals:"))

    def per_operation(self, row):
        _, _, arguments, over_tls, _, (short, long) = row
        results, errors = [], 0
        load(address_of(self.proxy, over_tls), [*one_by_one(arguments), "--operations", "20"])
        for operations in (short, long):
            self.dump()
            report = load(address_of(self.proxy, over_tls), [*one_by_one(arguments), "--operations", str(operations)])
            errors += report["errors"]
            results.append(self.dump())
        return (results[1] - results[0]) / (long - short), errors

    def stop(self):
        self.proxy.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
