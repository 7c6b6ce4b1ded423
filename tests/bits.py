"""Data on which rounding, NaN and zeros show, and what it means that two results are the same."""

import numpy as np

PARTNERS = {
    # zeros, least and largest subnormals, least normals, 1 and its neighbours, halves of an ulp,
    # the largest, infinities, quiet and signalling NaN
    "float16": [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x8400, 0x1000, 0x13FF, 0x3BFF,
                0x3C00, 0x3C01, 0xBC00, 0x5BFF, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E01, 0xFC03],
    "bfloat16": [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x0080, 0x8080, 0x3B80, 0x3BFF, 0x3F7F,
                 0x3F80, 0x3F81, 0xBF80, 0x437F, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC1, 0xFF83],
}  # fmt: skip
"""Values of each short type that rounding is hard on, or that are special."""

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0)


def drawn(dtype, shape, seed):
    """Numbers of like size, any bits at all, and what is special, mixed."""
    generator = np.random.default_rng(seed)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    numbers = generator.normal(size=shape).astype(dtype)
    anything = generator.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8)
    anything = anything.view(dtype)[..., 0]
    special = np.array(SPECIAL, dtype)[generator.integers(0, len(SPECIAL), shape)]
    kind = generator.random(shape)
    chosen = numbers.copy()
    chosen[kind > 0.6] = anything[kind > 0.6]
    chosen[kind > 0.8] = special[kind > 0.8]
    return chosen


def same(got, expected, reduction):
    """Whether two outputs have the same bits.

    Of sums and products, NumPy's own loops differ in which NaN comes of two (one element and three
    do, for example), so there any NaN is as good as another.
    """
    if (got.shape, got.dtype) != (expected.shape, expected.dtype):
        return False
    if expected.dtype.kind in "iu" or reduction in ("min", "max", None):
        return got.tobytes() == expected.tobytes()
    nan = np.isnan(expected)
    return bool((np.isnan(got) == nan).all()) and got[~nan].tobytes() == expected[~nan].tobytes()
