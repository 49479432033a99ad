"""Draw the times that `python -m bench --json FILE` kept: python bench/picture.py FILE docs/speed.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

OURS, PEERS = "#2a6f97", "#b8b8b8"


def main(source, target):
    with open(source) as file:
        seconds = json.load(file)["seconds"]
    groups = [  # title, our job, the peers'
        ("cross entropy", "cross_entropy", {"torch": "torch cross_entropy"}),
        ("Dice", "dice", {"MONAI": "monai dice"}),
        ("Dice + CE", "dice+ce", {"MONAI": "monai dice+ce"}),
    ]
    bars = []
    for title, ours, peers in groups:
        for kind, label in (("forward", "value"), ("value+grad", "value and gradient")):
            bars.append((f"{title}, {label}", "fastloss", seconds[f"{ours} {kind}"], OURS))
            bars += [("", name, seconds[f"{peer} {kind}"], PEERS) for name, peer in peers.items()]
    plt.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "fastloss"})
    figure, axes = plt.subplots(figsize=(7.5, 0.28 * len(bars) + 0.9))
    for row, (_, name, s, colour) in enumerate(bars):
        axes.barh(-row, s * 1e3, color=colour, height=0.8)
        axes.text(s * 1e3, -row, f" {s * 1e3:.0f} ms {name}", va="center")
    labels = {-row: title for row, (title, *_) in enumerate(bars) if title}
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set_xlabel("milliseconds: 16 x 19 x 512 x 512 float32 logits, int64 labels, 2 threads")
    axes.set_xlim(0, 1.25 * 1e3 * max(s for _, _, s, _ in bars))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, bbox_inches="tight", metadata={"Date": None})
    if target.endswith(".svg"):
        with open(target) as file:
            text = "\n".join(line.rstrip() for line in file)
        with open(target, "w") as file:
            file.write(text)


main(*sys.argv[1:])
