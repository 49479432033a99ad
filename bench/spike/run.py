"""The spike: every variant of kernels.c against memory speed and torch, alternating in one run.

    python bench/spike/run.py [--quick]

Prints, per shape and thread count, GB/s of the arrays' bytes (forward: logits read; gradient: read + written) as the median of the rounds.
"""
import ctypes, itertools, pathlib, statistics, subprocess, sys, tempfile, time
import numpy as np

HERE = pathlib.Path(__file__).parent
FLAGS = "-O3 -std=c11 -fPIC -shared -fopenmp -pthread -fno-math-errno -fno-trapping-math -ffp-contract=off -Wall -D_GNU_SOURCE".split()
LEVEL = {"base": ["-march=x86-64"], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
         "v4/256": ["-march=x86-64-v4", "-mprefer-vector-width=256"]}
BEST = dict(TILE=256, PACK=2, COLS=64, PREFETCH=3, NT=1, KEEP=1, PICK=2, USE_FMA=1, DEG=4)
QUESTIONS = dict(TILE=(64, 128, 512), PACK=(0, 1), COLS=(16, 32), PREFETCH=(0, 1), NT=(0,), KEEP=(0,), PICK=(0, 1, 3), USE_FMA=(0,), DEG=(3,))
VARIANTS = [("v4", {})] + [("v4", {k: v, **({"PREFETCH": 1} if k == "PACK" else {})}) for k, vs in QUESTIONS.items() for v in vs]
VARIANTS += [("v4/256", {}), ("v3", {}), ("v3", {"USE_FMA": 0}), ("v3", {"COLS": 16}), ("base", {}), ("base", {"COLS": 16}), ("base", {"PACK": 0, "PREFETCH": 1})]
VARIANTS += [("clang v4", {}), ("clang v3", {}), ("clang base", {})]

def build(level, opts, tmp):
    cc, lv = ("clang-14", level[6:]) if level.startswith("clang ") else ("gcc", level)
    name = f"{level}-{'-'.join(f'{k}{v}' for k, v in opts.items())}".replace("/", "_").replace(" ", "_")
    so = pathlib.Path(tmp) / f"{name}.so"
    flags = FLAGS
    subprocess.run([cc, *flags, *LEVEL[lv], *[f"-D{k}={v}" for k, v in {**BEST, **opts}.items()], str(HERE / "kernels.c"), "-o", str(so)], check=True)
    lib = ctypes.CDLL(str(so))
    lib.ce_forward.restype = lib.ce_grad.restype = lib.mem_read.restype = ctypes.c_double
    return lib

def aligned_like(x):
    raw = np.empty(x.nbytes + 64, np.uint8); off = -raw.ctypes.data % 64
    g = raw[off:off + x.nbytes].view(x.dtype).reshape(x.shape); g.fill(0)
    return g

def main():
    quick = "--quick" in sys.argv
    shapes = [(16, 19, 512 * 512), (64, 2, 512 * 1024), (4, 150, 256 * 512)]
    with tempfile.TemporaryDirectory() as tmp:
        libs = {(lv, tuple(o.items())): build(lv, o, tmp) for lv, o in VARIANTS}
        for (N, C, P), threads in itertools.product(shapes[:1] if quick else shapes, (2, 1)):
            rng = np.random.default_rng(0)
            x = rng.standard_normal((N, C, P), dtype=np.float32) * 3
            y = rng.integers(0, C, (N, P)); g = aligned_like(x)
            p = lambda a: a.ctypes.data_as(ctypes.c_void_p)
            d = [ctypes.c_ssize_t(v) for v in (N, C, P)]; th = ctypes.c_int(threads); nx = ctypes.c_ssize_t(x.size)
            first = libs[("v4", ())]
            jobs = {"memory read": (1, lambda: first.mem_read(p(x), nx, th)), "memory copy": (2, lambda: first.mem_copy(p(g), p(x), nx, th))}
            for (lv, o), lib in libs.items():
                tag = f"{lv:9s} {' '.join(f'{k}={v}' for k, v in o) or '(chosen defaults)'}"
                jobs["fwd  " + tag] = (1, lambda lib=lib: lib.ce_forward(p(x), p(y), *d, th))
                jobs["grad " + tag] = (2, lambda lib=lib: lib.ce_grad(p(x), p(y), p(g), *d, th))
            try:
                import torch, torch.nn.functional as F
                torch.set_num_threads(threads)
                tx, ty = torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)
                def tfwd():
                    with torch.no_grad(): return float(F.cross_entropy(tx, ty))
                def tgrad():
                    tx.grad = None; F.cross_entropy(tx, ty).backward()
                jobs["fwd  torch"] = (1, tfwd); jobs["grad torch"] = (2, tgrad)
            except ImportError: pass
            took = {k: [] for k in jobs}
            for r in range(5):
                for k, (_, f) in jobs.items():
                    if "torch" in k and r > 1: continue
                    t = time.perf_counter(); f(); took[k].append(time.perf_counter() - t)
            print(f"\n{N}x{C}x{P} float32, {threads} threads")
            for k, (b, _) in jobs.items(): print(f"  {k:45s} {x.nbytes * b / statistics.median(took[k]) / 1e9:7.2f} GB/s")
            sys.stdout.flush()

main()
