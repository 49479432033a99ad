"""Draws the README's picture, docs/speed.svg: the milliseconds of three losses in fastloss and in the peers.

The picture must be readable on light and on dark pages. It therefore has its own background, and colours for both kinds
of page. Such an SVG is simpler to write by hand than with matplotlib. Names and numbers have their own columns left of
the bars, so no label can run out of the picture. bench/report.py calls this module.
"""

from bench.goals import JOBS

FAMILIES = ("cross entropy", "Dice", "Dice + CE")
PEERS = ("fastloss", "torch", "torch.compile", "MONAI", "smp", "optax")
WIDTH, MARGIN, LINE, GAP = 720, 16, 17, 12
NAMES, NUMBERS, BARS = 28, 200, 212  # left edge of the names, right edge of the numbers, left edge of the bars
STYLE = """
    .page { fill: #ffffff; stroke: #d0d7de }
    text { fill: #1f2328; font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
    .title { font-weight: 600 }
    .note { fill: #59636e }
    .number { text-anchor: end; font-variant-numeric: tabular-nums }
    .ours { fill: #2a6f97 }
    .theirs { fill: #b3bcc5 }
    @media (prefers-color-scheme: dark) {
        .page { fill: #0d1117; stroke: #3d444d }
        text { fill: #f0f6fc }
        .note { fill: #9198a1 }
        .ours { fill: #58a6d6 }
        .theirs { fill: #56606b }
    }
"""


def milliseconds(seconds):
    """Return the milliseconds as a person writes them: 15.1, 116, 1,040."""
    ms = seconds * 1e3
    if ms < 99.95:
        return f"{ms:.1f}"
    return f"{ms:,.0f}" if ms < 999.5 else f"{round(ms, -1):,.0f}"


def groups(records):
    """Return (title, [(library, seconds), ...]) for each loss and job, from the record with the most threads."""
    for family, record in records.items():
        for job, what in JOBS.items():
            times = {p: record["seconds"][p][job] for p in PEERS if job in record["seconds"].get(p, {})}
            yield f"{family}, {what}", list(times.items())


def picture(records):
    """Return the picture as text. `records` has the record of each of FAMILIES."""
    found = list(groups(records))
    longest = max(s for _, times in found for _, s in times)
    first = next(iter(records.values()))
    y, parts = MARGIN + 12, []

    def text(x, name, words):
        parts.append(f'  <text class="{name}" x="{x}" y="{y}">{words}</text>')

    shape = " × ".join(str(n) for n in first["shape"])
    text(MARGIN, "note", f"milliseconds, less is better: {shape} float32 logits, {first['threads']} threads")
    for title, times in found:
        y += LINE + GAP
        text(MARGIN, "title", title)
        for name, seconds in times:
            y += LINE
            text(NAMES, "name", name)
            text(NUMBERS, "number", milliseconds(seconds))
            width = (WIDTH - MARGIN - BARS) * seconds / longest
            kind = "ours" if name == "fastloss" else "theirs"
            parts.append(f'  <rect class="{kind}" x="{BARS}" y="{y - 11}" width="{width:.1f}" height="13" rx="2"/>')
    height = y + MARGIN
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )
