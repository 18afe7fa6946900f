# SPDX-License-Identifier: Apache-2.0
"""Starts what is measured: the echo servers and each proxy, one process and one thread each, all on
one CPU under SCHED_BATCH, so that CPU time per operation repeats. Configurations are the templates
in bench/config."""
import os
import signal
import socket
import subprocess
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
BUILD = os.environ.get("LIMPET_BUILD", os.path.join(ROOT, "build/release"))
LIMPET = os.environ.get("LIMPET_BIN", os.path.join(BUILD, "lb/limpet"))
CPU = max(os.sched_getaffinity(0))


def settle_on_one_cpu():
    os.sched_setaffinity(0, {CPU})
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError:
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with code {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args[0]} does not listen on port {port}")


class Running:
    """A process of ours, ended by its pid and nothing else."""

    def __init__(self, args, log, pinned=True, **more):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stderr=self.log,
                                        preexec_fn=settle_on_one_cpu if pinned else None, **more)
        self.pid = self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Echo(Running):
    """bench_echo with so many servers; `addresses` are theirs."""

    def __init__(self, folder, count):
        super().__init__([os.path.join(BUILD, "bench/bench_echo")] + ["127.0.0.1:0"] * count,
                         os.path.join(folder, "echo.log"), stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        if not words or words[0] != "ready":
            raise RuntimeError("bench_echo does not start")
        self.addresses = words[1:]


class Setup:
    """What a configuration is filled with."""

    def __init__(self, folder, addresses, certificate=None, routes=0):
        self.folder, self.addresses, self.certificate, self.routes = folder, addresses, certificate, routes


def make_certificate(folder):
    """An ECDSA P-256 certificate; the path of key and certificate in one file, as HAProxy wants it."""
    key, cert, both = (os.path.join(folder, name) for name in ("key.pem", "cert.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=bench.example", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    with open(both, "w") as out:
        for name in (cert, key):
            with open(name) as part:
                out.write(part.read())
    return both


def limpet_words(setup, ports):
    folder = setup.folder
    tls = (f', {{address: "127.0.0.1:{ports["TLS"]}", tls: {{certificates: '
           f'[{{cert: "{folder}/cert.pem", key: "{folder}/key.pem"}}]}}}}') if ports["TLS"] else ""
    routes = [f"{{host: h{i}.example.com, path: /p{i}/, backend: chat}}" for i in range(setup.routes)]
    return {"SERVERS": ", ".join(f'"{address}"' for address in setup.addresses), "TLS": tls,
            "ROUTES": f", routes: [{', '.join(routes)}]" if routes else ""}


def haproxy_words(setup, ports, balance="source", stick="", splice=""):
    servers = [f"    server s{i} {address} check" for i, address in enumerate(setup.addresses)]
    tls = f"    bind 127.0.0.1:{ports['TLS']} backlog 8192 ssl crt {setup.certificate}" if ports["TLS"] else ""
    return {"SERVERS": "\n".join(servers), "TLS": tls, "BALANCE": balance, "STICK": stick, "SPLICE": splice}


STICK_SID = """    stick-table type string len 32 size 1m expire 1m
    stick store-response res.cook(io)
    stick match url_param(sid)"""


def nginx_words(setup, ports, buffers=""):
    tls = (f"listen 127.0.0.1:{ports['TLS']} ssl backlog=8192; ssl_protocols TLSv1.3; ssl_certificate {setup.folder}/cert.pem; "
           f"ssl_certificate_key {setup.folder}/key.pem; ssl_session_tickets on;") if ports["TLS"] else ""
    return {"SERVERS": " ".join(f"server {address} max_fails=0;" for address in setup.addresses), "TLS": tls,
            "BUFFERS": buffers}


LARGE_BUFFERS = "proxy_buffer_size 64k; proxy_buffers 20 64k; proxy_busy_buffers_size 512k;"

# Name → template, how it is filled, how it is started.
KINDS = {
    "limpet": ("limpet.yaml", limpet_words, lambda file: [LIMPET, "run", "-f", file]),
    "haproxy": ("haproxy.cfg", haproxy_words, lambda file: ["haproxy", "-db", "-f", file]),
    "haproxy-sid": ("haproxy.cfg", lambda s, p: haproxy_words(s, p, "leastconn", STICK_SID),
                    lambda file: ["haproxy", "-db", "-f", file]),
    "haproxy-splice": ("haproxy.cfg", lambda s, p: haproxy_words(s, p, splice="    option splice-response"),
                       lambda file: ["haproxy", "-db", "-f", file]),
    "nginx": ("nginx.conf", nginx_words, lambda file: ["nginx", "-c", file]),
    "nginx-large": ("nginx.conf", lambda s, p: nginx_words(s, p, LARGE_BUFFERS), lambda file: ["nginx", "-c", file]),
}


class Proxy(Running):
    """One proxy that listens. `under`: a program that it runs in, e.g. valgrind."""

    def __init__(self, kind, setup, under=(), tls=True):
        template, words, command = KINDS[kind]
        self.kind = kind
        self.ports = {"PLAIN": free_port(), "TLS": free_port() if tls and setup.certificate else 0}
        with open(os.path.join(BENCH, "config", template)) as source:
            text = source.read()
        filled = {"FOLDER": setup.folder, "PLAIN": str(self.ports["PLAIN"]), **words(setup, self.ports)}
        for word, value in filled.items():
            text = text.replace(f"@{word}@", value)
        file = os.path.join(setup.folder, f"{kind}-{template}")
        with open(file, "w") as out:
            out.write(text)
        super().__init__([*under, *command(file)], os.path.join(setup.folder, f"{kind}.log"), pinned=not under,
                         stdout=subprocess.DEVNULL)
        try:
            wait_for_port(self.ports["PLAIN"], self.process)
        except RuntimeError:
            self.stop()
            raise
