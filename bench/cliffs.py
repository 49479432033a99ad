"""Compares arrays of every form with plain ones: layouts, dtypes, odd sizes, weights, small samples, many classes."""

import numpy as np

from bench.families import BY_NAME, TWO, Data, Variant

SHAPE = (4, 19, 256, 256)  # 20 MB of float32
COUNTS = (2, 3, 8, 150, 1000, 3000)


class Weighted:
    """A loss with a pixel weight, as a job calls it."""

    def __init__(self, loss, weight):
        self.loss, self.weight = loss, weight

    def __call__(self, x, y):
        return self.loss(x, y, pixel_weight=self.weight)

    def value_and_grad(self, x, y, out):
        return self.loss.value_and_grad(x, y, pixel_weight=self.weight, out=out)


def every_second(a):
    """The same numbers, with a gap after each."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def unaligned(a):
    """The same numbers, from an odd address on."""
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:]
    moved = memory.view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


def forms(x, y):
    """Yield the name, the logits and the labels of each form of the same picture."""
    yield "plain", x, y
    yield "Fortran order", np.asfortranarray(x), np.asfortranarray(y)
    yield "every second column", every_second(x), every_second(y)
    yield "backwards", x[..., ::-1], y[..., ::-1]
    yield "transposed pixels", np.swapaxes(np.ascontiguousarray(np.swapaxes(x, 2, 3)), 2, 3), y
    yield "unaligned", unaligned(x), unaligned(y)
    yield "other byte order", x.astype(x.dtype.newbyteorder()), y.astype(y.dtype.newbyteorder())
    yield "float16", x.astype(np.float16), y
    yield "float64", x.astype(np.float64), y
    yield "uint8 labels", x, y.astype(np.uint8)
    yield "width of 255", x[..., :255], y[..., :255]
    yield (
        "width of 7",
        x.reshape(*x.shape[:2], -1)[..., : 7 * 9362].reshape(4, 19, 9362, 7),
        y.reshape(4, -1)[..., : 7 * 9362].reshape(4, 9362, 7),
    )


def weights(y):
    rng = np.random.default_rng(3)
    yield "weights", rng.random(y.shape, np.float32)
    yield "weights by row, broadcast", np.broadcast_to(rng.random((*y.shape[:-1], 1), np.float32), y.shape)
    yield "one weight, broadcast", np.broadcast_to(np.float32(0.5), y.shape)


def samples():
    for shape in ((4096, 19, 8, 8), (65536, 19, 2, 2), (262144, 19)):
        yield f"samples of {int(np.prod(shape[2:]))} pixels", Data(shape)
    for count in COUNTS:
        yield f"{count} classes", Data((4, count, 256, max(1, 19 * 256 // count)))


def cliffs(run):
    """Time per element of arrays of every form, compared with plain arrays of 4 x 19 x 256 x 256 float32."""
    data = Data(SHAPE)
    x, y = data.logits, data.labels
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for name in TWO:
        family = BY_NAME[name]
        loss = family.ours

        def variant(row, array, target, loss=loss, family=family):
            return Variant(f"{family.name}, {row}", family.name, loss, (array, target), np.empty_like(array))

        every = [variant(row, a, b) for row, a, b in forms(x, y)]
        every.append(variant("channels last", last, y, type(loss)(axis=-1)))
        every += [variant(row, x, y, Weighted(loss, w)) for row, w in weights(y)]
        every.append(variant("ignored pixels", x, np.where(y == 3, 255, y), type(loss)(ignore_index=255)))
        every += [variant(row, d.logits, d.labels) for row, d in samples()]
        yield from run.measure("cliffs", every, max(run.threads), rounds=3)
