"""Lists mutants that no test can notice, by file and function: a piece of the changed line, and why it changes nothing.

An empty piece stands for the whole function. An entry that matches no mutant of its file is reported. The code has then
changed, so delete or update the entry.
"""

from __future__ import annotations

FETCHES = "it decides only what is fetched ahead"

EQUIVALENT: dict[tuple[str, str], dict[str, str]] = {
    ("ahead.h", "way_ahead"): {"": FETCHES},
    ("ahead.h", "plan_ahead"): {"": FETCHES},
    ("ahead.h", "look_ahead"): {"": FETCHES},
    ("ahead.h", "fetch_row"): {"": FETCHES},
    ("ahead.h", "fetch_pixels"): {"": FETCHES},
    ("ahead.h", "fetch_in_place"): {"": FETCHES},
    ("ahead.h", "fetches_in_place"): {"": FETCHES},
    ("ahead.h", "fetch_class"): {"": FETCHES},
    ("ahead.h", "fetch_on"): {"": FETCHES},
    ("load.h", "tile_start"): {"fetch_row(": FETCHES},
    ("load.h", "load_direct_labels"): {
        "(inside & skip)": "load_labels then does the same for any labels",
        "inside & (skip | 1)": "an ignored pixel has weight 0, whatever its label",
    },
    ("regions.h", "region_bytes"): {"most(": "it takes more memory than it needs"},
    ("regions.h", "region_forward"): {"| FL_FORWARD": "the sums are computed, and not used"},
    ("tile.h", "prefetch"): {"": FETCHES},
    ("tile.h", "load_rows"): {"int fetched": FETCHES, "int far": "the rows are loaded in steps, or at once"},
    ("softmax.h", "column_exps"): {"fetch_row(": FETCHES},
    ("softmax.h", "column_stats"): {"fetch_pixels(": FETCHES},
    ("softmax.h", "column_rest"): {"fetch_row(": FETCHES},
    ("softmax.h", "column_exps_by_label"): {"fetch_class(": FETCHES},
    ("bins.h", "bucket_of"): {
        "u > 0 ? u : 1": "a bucket only shortens the search; its first edge is still at 0",
    },
    ("bins.h", "bins_begin"): {
        "if (!(!finite++))": "buckets from another edge on only lengthen the search",
    },
    ("bins.h", "block_tops"): {
        "i, c0, 1)": "the sums of exps are computed, and not used",
    },
    ("half.h", "real_from_f16"): {
        "a <= 0x400": "0x400 is 2^-14, and so 0 is added",
        "a < 0x401": "0x400 is 2^-14, and so 0 is added",
    },
    ("half.h", "f16_from_real"): {
        "a > 0x477ff000u": "the largest rounds up to infinity by itself",
        "+ 0x3f000000u": "the result has the low 16 bits of the difference",
        "a >= 0x477ff001u": "the largest rounds up to infinity by itself",
    },
    ("stream.h", "stream_bytes"): {
        "i + FL_LINE < n": "a whole line is held, and written by the next call or the flush",
    },
    ("distance.c", "envelope"): {
        "if (h == INFINITY) ;": "a parabola at infinity is never the least",
    },
}
