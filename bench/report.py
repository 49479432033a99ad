"""Makes tables of a run, and from it the documentation's pictures and figures: python -m bench.report [FILE].

FILE is what `make bench` writes, build/bench.json. This module keeps a copy as bench/results.json. From the copy, it
rewrites all figures of README.md and of the performance pages in docs/internals, between the marks <!-- bench NAME -->
and <!-- end -->. It also draws the pictures. Without FILE, it uses bench/results.json as it is.
"""

import json
import pathlib
import re
import shutil
import sys

from bench import goals, speed
from bench.goals import JOBS, Found, of_the_first, share

ROOT = pathlib.Path(__file__).parents[1]
KEPT = ROOT / "bench/results.json"
INTERNALS = ROOT / "docs/internals"
PAGES = (
    "README.md",
    *(f"docs/internals/performance{part}.md" for part in ("", "-sweeps", "-losses")),
)
RELATIVE = {
    "dtypes",
    "labels",
    "layouts",
    "levels",
    "cliffs",
}  # sections whose rows are compared with the first of their family
COLOURS = {
    "fastloss": "#2a6f97",
    "torch": "#d1495b",
    "torch.compile": "#edae49",
    "MONAI": "#66a182",
    "smp": "#8d6a9f",
    "optax": "#555555",
    "edt": "#00a6a6",
}


# ---- tables


def markdown(head, rows):
    """Return a table that also reads well as plain text. Text is aligned to the left, numbers to the right."""
    rows = [[str(c) for c in row] for row in rows]
    widths = [max(3, *(len(row[k]) for row in [head, *rows])) for k in range(len(head))]

    def line(cells):
        padded = [f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)]
        return "| " + " | ".join([f"{cells[0]:<{widths[0]}}", *padded[1:]]) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if k == 0 else ":") for k, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def duration(s):
    return f"{s * 1e6:.1f} us" if s < 1e-3 else f"{s * 1e3:.2f} ms" if s < 0.1 else f"{s * 1e3:.0f} ms"


def table(section, records):
    """Return the table of one section's records."""
    if not records:
        return "not measured"
    if section == "memory":
        return markdown(
            ["call", "extra memory", "of it the gradient"],
            [[r["row"], f"{r['extra'] / 1e6:.2f} MB", f"{r.get('gradient', 0) / 1e6:.2f} MB"] for r in records],
        )
    if section == "accuracy":
        return markdown(["what", "error"], [[r["row"], f"{r['error']:.2g}"] for r in records])
    peers = [p for p in dict.fromkeys(p for r in records for p in r["seconds"]) if p != "fastloss"]
    sized, roofs, by_rows = ("bytes" in records[0], "roof" in records[0], any("rows" in r for r in records))
    head = (
        ["", "job", "threads", "time"]
        + ["GB/s"] * sized
        + ["of memory"] * roofs
        + ["of rows"] * by_rows
        + ["of the first"] * (section in RELATIVE)
    )
    rows = []
    for r in records:
        for job, s in r["seconds"]["fastloss"].items():
            row = [r["row"], job, r["threads"], duration(s)]
            if sized:
                row.append(f"{r['bytes'][job] / s / 1e9:.2f}")
            if roofs:
                row.append(f"{share(r, job):.2f}")
            if by_rows:
                row.append(f"{share(r, job, 'rows'):.2f}" if "rows" in r else "")
            if section in RELATIVE:
                row.append(f"{of_the_first(records, r, job):.2f}")
            theirs = [r["seconds"].get(p, {}).get(job) for p in peers]
            rows.append(row + ["" if t is None else f"{t / s:.1f}x" for t in theirs])
    return markdown(head + [f"vs {p}" for p in peers], rows)


def goal_table(found):
    return markdown(
        ["what", "goal", "measured", "reached"],
        [[g.what, g.goal, g.measured, "yes" if g.reached else "**no**"] for g in found],
    )


# ---- what is written between the marks


def where(results):
    """Return the machine, the versions and the day, as one sentence."""
    m = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    level = m["config"]["level"]
    text = (
        f"{m['cpu']}, {m['cores']} cores, level {level}; {m['system']}, Python {m['python']}, {versions}; {m['date']}."
    )
    left = m["left out"]
    return text + (f" Left out, because not installed: {', '.join(left)}." if left else "")


def caption(results):
    """Return the sentences below the picture in the README."""
    found = Found(results["records"])
    row, both = _widest(found, "cross entropy"), _widest(found, "Dice + CE")
    machine = results["machine"]
    shape = " x ".join(str(n) for n in row["shape"])
    text = (
        f"{shape} float32 logits, int64 labels, {row['threads']} threads of {machine['cpu']} at level "
        f"{machine['config']['level']}; medians of one alternating run."
    )
    for r, what, job, peer, name in (
        (row, "The value of cross entropy", "forward", "torch", "torch"),
        (both, "The value and gradient of Dice + cross entropy", "value+grad", "MONAI", "monai"),
    ):
        if peer in r["seconds"]:
            ours, theirs = (f"{speed.milliseconds(r['seconds'][p][job])} ms" for p in ("fastloss", peer))
            text += f" {what}: {ours}, against {theirs} for {peer} {machine['versions'][name]}."
    return text


def _widest(found, family):
    """Return the family's record with the largest number of threads."""
    return max(found.rows("families", family), key=lambda r: r["threads"])


def blocks(results):
    """Return the text to write for each mark's name."""
    records = results["records"]
    found = goals.reached(records)
    summary = f"{sum(g.reached for g in found)} of {len(found)} are reached."
    made = {"where": where(results), "caption": caption(results), "goals": f"{summary}\n\n{goal_table(found)}"}
    for section in dict.fromkeys(r["section"] for r in records):
        pictures = [f"![{alt}]({name}.svg)\n\n" for name, (_, of, alt) in PICTURES.items() if of == section]
        made[section] = "".join(pictures) + table(section, [r for r in records if r["section"] == section])
    return made


def refreshed(page, results):
    """Return the page's text, with the figures of the run between the marks."""
    made = blocks(results)

    def fill(mark):
        return f"<!-- bench {mark[1]} -->\n\n{made.get(mark[1], 'not measured')}\n\n<!-- end -->"

    return re.sub(r"<!-- bench (\w+) -->\n.*?<!-- end -->", fill, page, flags=re.DOTALL)


# ---- pictures


def _families(records):
    found = Found(records)
    return [_widest(found, name) for name in dict.fromkeys(r["row"] for r in found.rows("families"))]


def draw_roofline(plt, records):
    """Draw each family's share of the speed of memory."""
    rows = _families(records)
    figure, axes = plt.subplots(figsize=(7.5, 0.3 * len(rows) + 0.8))
    for k, (job, name) in enumerate(JOBS.items()):
        have = [(-i, share(r, job)) for i, r in enumerate(rows) if job in r["bytes"]]
        height = [y + 0.2 - 0.4 * k for y, _ in have]
        axes.barh(height, [s for _, s in have], height=0.4, label=name, color=("#2a6f97", "#a9c9dd")[k])
        by_rows = [(-i, r["rows"][job] / r["roof"][job]) for i, r in enumerate(rows) if job in r.get("rows", {})]
        axes.plot(
            [s for _, s in by_rows],
            [y + 0.2 - 0.4 * k for y, _ in by_rows],
            "|",
            color="#d1495b",
            label="memory by rows of classes" if k == 0 else None,
        )
    axes.axvline(1, color="#555555")
    axes.set_yticks([-i for i in range(len(rows))], [r["row"] for r in rows])
    axes.set_xlabel(f"share of the speed of memory, {rows[0]['threads']} threads")
    figure.legend(loc="upper center", bbox_to_anchor=(0.5, 0.98), ncols=3)
    axes.grid(visible=False, axis="y")
    return figure


def draw_peers(plt, records):
    """Draw, for each family, how many times as fast as each peer fastloss is."""
    rows = _families(records)
    figure, panels = plt.subplots(1, 2, figsize=(7.5, 0.25 * len(rows) + 1), sharey=True, sharex=True)
    for axes, (job, name) in zip(panels, JOBS.items(), strict=True):
        for peer in [p for p in COLOURS if p != "fastloss"]:
            both = [(i, r["seconds"]["fastloss"], r["seconds"].get(peer, {})) for i, r in enumerate(rows)]
            have = [(theirs[job] / ours[job], -i) for i, ours, theirs in both if job in theirs]
            if have:
                axes.plot(*zip(*have, strict=True), "o", color=COLOURS[peer], label=peer, markersize=5, alpha=0.85)
        axes.axvline(1, color="#555555")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(name)
        axes.set_xlabel("times as fast as the peer")
    panels[0].set_yticks([-i for i in range(len(rows))], [r["row"] for r in rows])
    panels[0].set_ylim(0.5 - len(rows), 0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 1.06), ncols=len(labels))
    return figure


def draw_growth(plt, records):
    """Draw time against size, on logarithmic axes, with the line of linear growth."""
    figure, panels = plt.subplots(1, 2, figsize=(7.5, 3.2), sharey=True)
    threads = sorted({r["threads"] for r in Found(records).rows("sizes")})
    for axes, family in zip(panels, ("cross entropy", "Dice"), strict=True):
        for peer in ("fastloss", "torch", "MONAI"):
            for t in threads:
                points = goals.growth(records, family, "forward", t, peer)
                if points:
                    sizes, times = zip(*points, strict=True)
                    style = "-" if t == threads[-1] else "--"
                    label = f"{peer}, {t} thread{'s' * (t > 1)}"
                    axes.plot(sizes, times, style, marker=".", color=COLOURS[peer], label=label)
        first, last = (goals.growth(records, family, "forward", threads[0])[k] for k in (3, -1))
        axes.plot((first[0], last[0]), (last[1] * first[0] / last[0], last[1]), ":", color="#999999", label="linear")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(family)
        axes.set_xlabel("bytes of float32 logits, 19 classes")
    panels[0].set_ylabel("seconds, value")
    handles, labels = panels[1].get_legend_handles_labels()  # the panel of Dice has every peer
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=4)
    return figure


PICTURES = {  # name: (the function that draws it, the section whose table it precedes, what it shows)
    "performance-roofline": (draw_roofline, "families", "Share of the speed of memory, by family"),
    "performance-peers": (draw_peers, "families", "Times as fast as the peers, by family"),
    "performance-growth": (draw_growth, "sizes", "Time against size, with the line of linear growth"),
}


def draw_speed(records):
    """Return the README's picture as text."""
    found = Found(records)
    return speed.picture({family: _widest(found, family) for family in speed.FAMILIES})


def main():
    if len(sys.argv) > 1:
        shutil.copyfile(sys.argv[1], KEPT)
    results = json.loads(KEPT.read_text(encoding="utf-8"))
    for name in PAGES:
        page = ROOT / name
        page.write_text(refreshed(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    (ROOT / "docs/speed.svg").write_text(draw_speed(results["records"]), encoding="utf-8")
    from docs.losses.figures import STYLE, plt, save

    plt.rcParams.update(STYLE)
    for name, (draw, _, _) in PICTURES.items():
        save(name, draw(plt, results["records"]), INTERNALS)


if __name__ == "__main__":
    main()
