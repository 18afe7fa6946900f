# SPDX-License-Identifier: Apache-2.0
"""From samples to one table: text for people, JSON for later, SVG for the README."""
import html
import os
import platform
import statistics
import subprocess


def middle(values):
    return statistics.median(values) if values else None


def spread(values):
    """Half of the distance between the quartiles, in percent of the median."""
    if len(values) < 3 or not middle(values):
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return 50 * (high - low) / abs(middle(values))


def ratio(table, row, kind, base):
    """The median of the ratios within each round; None when either was not measured."""
    mine, theirs = table["rows"][row]["samples"].get(kind), table["rows"][row]["samples"].get(base)
    if not mine or not theirs:
        return None
    return middle([a / b for a, b in zip(mine, theirs) if b > 0])


def version(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()


def machine(limpet):
    with open("/proc/cpuinfo") as info:
        cpu = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "cpus": os.cpu_count(), "kernel": platform.release(), "limpet": version([limpet, "--version"]),
            "haproxy": version(["haproxy", "-v"]), "nginx": version(["nginx", "-v"]),
            "load_average": round(os.getloadavg()[0], 2)}


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def text(table):
    """The table as Markdown, one part per unit."""
    kinds = table["kinds"]
    lines, unit = [], None
    units = list(dict.fromkeys(row["unit"] for row in table["rows"].values()))
    for key, row in sorted(table["rows"].items(), key=lambda entry: units.index(entry[1]["unit"])):
        if row["unit"] != unit:
            unit = row["unit"]
            lines += ["", f"**{unit}**", "", "| | " + " | ".join(kinds) + " | limpet ÷ haproxy | limpet ÷ nginx |",
                      "|---|" + "---|" * (len(kinds) + 2)]
        cells = []
        for kind in kinds:
            values = row["samples"].get(kind)
            noted = f" ±{spread(values):.0f} %" if values and len(values) > 2 else ""
            cells.append((number(middle(values)) if values else "") + noted)
        ratios = [ratio(table, key, "limpet", base) for base in ("haproxy", "nginx")]
        lines.append(f"| {row['title']} | " + " | ".join(cells) + " | "
                     + " | ".join("" if value is None or row["no_ratio"] else f"{value:.2f}" for value in ratios) + " |")
    errors = sum(row["errors"] for row in table["rows"].values())
    note = table["machine"]
    lines += ["", f"Errors: {errors}. Medians of {table['rounds']} interleaved rounds, ± half the distance between the quartiles; "
              "ratios are medians of each round's ratio. One process with one thread each, all on one CPU.",
              f"{note['limpet']} · {note['haproxy']} · {note['nginx']}", f"{note['cpu']}, {note['cpus']} CPUs, Linux {note['kernel']}, "
              f"load {note['load_average']} at the start"]
    if "note" in note:
        lines.append(note["note"])
    return "\n".join(lines[1:]) + "\n"


STYLE = ("text{font:13px system-ui,sans-serif;fill:#24292f}.u{font-weight:600}.s{fill:#57606a;font-size:11px}"
         ".limpet{fill:#1a7f6b}.haproxy{fill:#8c959f}.nginx{fill:#c4cad0}"
         "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.haproxy{fill:#6e7681}.nginx{fill:#484f58}}")


def svg(table):
    """CPU and memory rows as bars, haproxy = 100 %; for everything else see the table."""
    left, width, bar = 300, 360, 9
    shown = [(key, row) for key, row in table["rows"].items()
             if row["picture"] and row["samples"].get("limpet") and row["samples"].get("haproxy")]
    out, y = [], 46
    for key, row in shown:
        out.append(f'<text x="{left - 10}" y="{y + 19}" text-anchor="end">{html.escape(row["title"])}</text>')
        for kind in ("limpet", "haproxy", "nginx"):
            values = row["samples"].get(kind)
            if values:
                part = middle(values) / middle(row["samples"]["haproxy"])
                length = min(part, 1.6) * width / 1.6
                out.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{length:.0f}" height="{bar}" rx="1"/>'
                           f'<text class="s" x="{left + length + 5:.0f}" y="{y + 9}">{number(middle(values))}</text>')
            y += bar + 1
        y += 10
    legend = "".join(f'<rect class="{kind}" x="{left + i * 90}" y="26" width="10" height="10"/>'
                     f'<text x="{left + i * 90 + 15}" y="35">{kind}</text>' for i, kind in enumerate(("limpet", "haproxy", "nginx")))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {y + 6}" role="img" '
            f'aria-label="What a proxy costs, side by side"><style>{STYLE}</style>'
            f'<text class="u" x="10" y="18">Lower is better: µs of the proxy\'s CPU per operation; bytes per connection</text>{legend}'
            + "\n".join(out) + "</svg>\n")
