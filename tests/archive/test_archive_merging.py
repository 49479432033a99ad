"""Tests that the ledgers of several machines are merged into the report of one run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
from ledgers import archive, evaluate, later, records, results
from record_changes import changed

import fastloss as fl


def machines(folder, count, groups):
    """Copy an archive to several machines, with some of the images each, and return (all, machines)."""
    p, m = archive(folder, count)
    own = []
    for k, chosen in enumerate(groups):
        for source in (p, m):
            target = folder / f"machine-{k}" / source.name
            target.mkdir(parents=True)
            for path in sorted(source.iterdir()):
                if int(path.stem) in chosen:
                    shutil.copy2(path, target / path.name)
        own.append(folder / f"machine-{k}")
    return (p, m), own


def test_ledgers_of_several_machines(tmp_path):
    """The merged report has the bits of one run. An image that two machines evaluated counts once."""
    (p, m), own = machines(tmp_path, 9, [{1, 3, 5, 8}, {0, 2, 8}, {4, 6, 7}])
    for machine in own:
        evaluate(machine / "p", machine / "m", state=machine / "s")
    ledgers = [machine / "s" for machine in own]
    merged = fl.merge_ledgers(ledgers)
    whole = evaluate(p, m)
    assert merged.images == whole.images
    assert results(merged, tmp_path)[1:] == results(whole, tmp_path)[1:]
    assert {k: v.tobytes() for k, v in merged.per_image.items()} == {k: v.tobytes() for k, v in whole.per_image.items()}
    assert merged.pairs[0].prediction == own[1] / "p" / "0000.npy"
    assert results(fl.merge_ledgers(ledgers[::-1]), tmp_path)[1:] == results(whole, tmp_path)[1:]
    assert fl.merge_ledgers(ledgers[:1]).images == ("0001", "0003", "0005", "0008")

    output = tmp_path / "merged.json"
    done = subprocess.run(
        [sys.executable, "-m", "fastloss.cli", "merge", *ledgers, "--output", output],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "9 images of 3 ledgers" in done.stderr
    merged.write(tmp_path / "r.json")
    assert output.read_bytes() == (tmp_path / "r.json").read_bytes()


def test_ledgers_that_do_not_go_together(tmp_path):
    _, own = machines(tmp_path, 3, [{0, 1}, {1, 2}])
    for machine in own:
        evaluate(machine / "p", machine / "m", state=machine / "s")
    later(own[1] / "p" / "0001.npy")
    evaluate(own[1] / "p", own[1] / "m", state=own[1] / "s", resume=True)
    with pytest.raises(fl.FileError, match="expected the same files of 0001 as in"):
        fl.merge_ledgers([machine / "s" for machine in own])
    evaluate(own[1] / "p", own[1] / "m", state=tmp_path / "other", axis=0)
    with pytest.raises(fl.FileError, match="got another `axis=`"):
        fl.merge_ledgers([own[0] / "s", tmp_path / "other"])
    with pytest.raises(fl.FileError, match="expected at least one ledger"):
        fl.merge_ledgers([])
    with pytest.raises(fl.FileError, match=r"ledger\.json: cannot be read"):
        fl.merge_ledgers([tmp_path])


def test_a_ledger_in_use_can_be_merged(tmp_path):
    p, m = archive(tmp_path, 3)
    evaluate(p, m, state=tmp_path / "s")
    path = tmp_path / "s" / "records.txt"
    path.write_bytes(path.read_bytes()[:-10])
    merged = fl.merge_ledgers([tmp_path / "s"])
    assert merged.images == ("0000", "0001")
    assert any("the last record is torn" in note for note in merged.notes)
    path.unlink()
    with pytest.raises(fl.FileError, match="expected the record of at least one image"):
        fl.merge_ledgers([tmp_path / "s"])


HOSTILE = {
    "image": (changed("image", to=7), "image: expected a text"),
    "other-image": (changed("image", to="x"), "images: expected 'x'"),
    "key": (changed("key", to=[]), "key: expected an object"),
    "zero-byte": (changed("target", to="a\0b"), "path: expected a path"),
    "result": (changed("result", to=None), "result: expected an object"),
    "losses": (changed("result", "report", "losses", 0, 0, to="other"), "expected the same losses"),
    "classes": (changed("result", "report", "classes", to=4), "numbers: expected the sums"),
    "kind": (changed("result", "kind", "dense", to=True), "expected scores of unknown kind and label maps"),
    "notes": (changed("result", "notes", to=["a"]), "notes: expected pairs"),
    "spacing": (changed("result", "spacing", to=[[]]), "spacing: expected a number"),
    "nbytes": (changed("result", "nbytes", to=-1), "nbytes: expected an integer from 0"),
    "case": (changed("result", "case", to={"counts": [[1, 2]]}), "counts: expected a label"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_refused(name, tmp_path):
    """Change a record, with the right checksum."""
    p, m = archive(tmp_path, 3)
    evaluate(p, m, state=tmp_path / "s")
    change, message = HOSTILE[name]
    lines = records(tmp_path / "s")
    record = json.loads(lines[1][65:])
    change(record)
    body = json.dumps(record).encode() + b"\n"
    lines[1] = hashlib.sha256(body).hexdigest().encode() + b" " + body
    (tmp_path / "s" / "records.txt").write_bytes(b"".join(lines))
    with pytest.raises(fl.FileError, match=message):
        fl.merge_ledgers([tmp_path / "s"])


def test_counts_for_nnunet_are_kept(tmp_path):
    p, m = archive(tmp_path, 4)
    whole = evaluate(p, m, nnunet_summary=True)
    evaluate(p, m, nnunet_summary=True, state=tmp_path / "s")
    for k, report in enumerate(
        (
            whole,
            evaluate(p, m, nnunet_summary=True, state=tmp_path / "s", resume=True),
            fl.merge_ledgers([tmp_path / "s"]),
        )
    ):
        report.write_nnunet_summary(tmp_path / f"{k}.json")
        assert (tmp_path / f"{k}.json").read_bytes() == (tmp_path / "0.json").read_bytes()
