"""The machine that carries out PTX: instructions with results worked out by hand, and refusals."""

import re
from itertools import product

import numpy as np
import nvrtc
import pytest
from host_device import ORDERS
from paced_device import Clock
from ptx import EVERY, OPTIONS, InPtx, MisalignedError, UnknownError, in_ptx, needed

from emul.ops import DTYPES
from emul.ops.cuda import NVRTC_OPTIONS, KernelSource
from emul.ops.cuda.gpu_ops import SLOTS
from emul.ops.cuda.kernel_sources import OPERATORS, SHARED

pytestmark = needed

KERNEL = """
.visible .entry emul_try(.param .u64 emul_try_param_0)
{{
    .reg .b64 %rd<10>;
    .reg .pred %p<10>;
    .local .align 16 .b8 __local_depot0[32];
    ld.param.u64 %rd9, [emul_try_param_0];
    {body}
}}
"""
"""``body`` stores its results behind %rd9; registers of 64 bits do for every type."""


def run(body, values=(), *, grid=1, block=1, order="forwards", clock=None):
    """The sixteen words at %rd9 after ``body``; before it, the first of them are ``values``."""
    words = np.zeros(18, np.uint64)
    first = words.ctypes.data // 8 % 2
    words = words[first : first + 16]
    words[: len(values)] = values
    address = np.array([words.ctypes.data], np.uint64)
    pointers = np.array([address.ctypes.data], np.uint64)
    kernel = InPtx(KERNEL.format(body=body), "emul_try")
    kernel.launch(ORDERS.index(order), grid, block, pointers.ctypes.data, clock)
    return words.tolist()


def result(name, *operands):
    """The bits that the instruction ``name`` makes of others."""
    loads = "".join(f"ld.u64 %rd{k}, [%rd9+{8 * k}]; " for k in range(len(operands)))
    given = ", ".join(f"%rd{k}" for k in range(len(operands)))
    return run(f"{loads} {name} %rd8, {given}; st.u64 [%rd9], %rd8; ret;", operands)[0]


def f(number):
    """The bits of a float32."""
    return int(np.float32(number).view(np.uint32))


def d(number):
    """The bits of a float64."""
    return int(np.float64(number).view(np.uint64))


M32, M64 = (1 << 32) - 1, (1 << 64) - 1
NAN, TINY, LEAST = 0x7FFFFFFF, 1, 0x00800000  # a float32: subnormal, and the least that is not
QUIET = 0xFFC12345

WHOLE = [
    ("add.s32", (M32, 3), 2),
    ("add.u64", (M64, 3), 2),
    ("add.s16", (0x7FFF, 1), 0x8000),
    ("sub.s32", (1, 3), M32 - 1),
    ("mul.lo.s32", (0x10001, 0x10001), 0x20001),
    ("mul.lo.s64", (1 << 40, 1 << 25), 0),
    ("mul.wide.s32", (M32, 5), M64 - 4),
    ("mul.wide.u32", (M32, 5), 5 * M32),
    ("mad.lo.s32", (3, 5, M32), 14),
    ("mad.wide.s32", (M32, 5, 7), 2),
    ("div.s32", (-7 & M32, 2), -3 & M32),
    ("div.u32", (-7 & M32, 2), 0x7FFFFFFC),
    ("div.s64", (-7 & M64, 2), -3 & M64),
    ("div.s32", (1 << 31, M32), 1 << 31),
    ("rem.s32", (-7 & M32, 2), M32),
    ("neg.s64", (5,), M64 - 4),
    ("min.s32", (M32, 1), M32),
    ("min.u32", (M32, 1), 1),
    ("max.s16", (0x8000, 1), 1),
    ("shl.b32", (3, 31), 1 << 31),
    ("shl.b32", (3, 32), 0),
    ("shr.s32", (1 << 31, 40), M32),
    ("shr.u32", (1 << 31, 40), 0),
    ("shr.s16", (0x8000, 1 << 16), 0xFFFF),
    ("and.b32", (0b1100, 0b1010), 0b1000),
    ("or.b64", (1 << 63, 1), 1 << 63 | 1),
    ("xor.b32", (0b1100, 0b1010), 0b0110),
    ("not.b16", (0xFF,), 0xFF00),
    ("and.pred", (1, 0), 0),
    ("not.pred", (0,), 1),
    ("selp.b32", (7, 8, 1), 7),
    ("selp.f32", (7, 8, 0), 8),
    ("setp.lt.s32", (M32, 0), 1),
    ("setp.lt.u32", (M32, 0), 0),
    ("setp.ge.s64", (1 << 32, 1), 1),
    ("setp.ne.b16", (1 << 16 | 5, 5), 0),
    ("cvt.s32.s8", (0x180,), -128 & M32),
    ("cvt.u32.u8", (0x180,), 0x80),
    ("cvt.u16.u32", (0x12345,), 0x2345),
    ("cvt.s64.s32", (M32,), M64),
    ("cvt.u64.u32", (M32,), M32),
    ("prmt.b32", (0x33221100, 0x77665544, 0x7531), 0x77553311),
    ("prmt.b32", (0x00008000, 0, 0x9999), M32),
]
"""Name, operands and result."""

FLOATS = [
    ("add.rn.f32", (f(1), f(2**-24)), f(1)),
    ("add.rn.f32", (f(1), f(2**-23)), f(1 + 2**-23)),
    ("add.rn.f32", (TINY, TINY), 2),
    ("add.rn.f32", (QUIET, f(1)), NAN),
    ("sub.rn.f32", (f(np.inf), f(np.inf)), NAN),
    ("mul.rn.f32", (LEAST, f(0.5)), LEAST >> 1),
    ("div.rn.f32", (f(1), f(3)), 0x3EAAAAAB),
    ("fma.rn.f32", (f(1 + 2**-12), f(1 + 2**-12), f(-1 - 2**-11)), f(2**-24)),
    ("add.rn.f64", (d(1), d(2**-53)), d(1)),
    ("div.rn.f64", (d(1), d(3)), d(1 / 3)),
    ("setp.lt.f32", (0, TINY), 1),
    ("setp.lt.f32", (QUIET, f(1)), 0),
    ("setp.le.f32", (f(0.0), f(-0.0)), 1),
    ("setp.geu.f64", (d(np.nan), d(1)), 1),
    ("setp.ne.f32", (QUIET, QUIET), 0),
    ("setp.neu.f32", (QUIET, QUIET), 1),
    ("setp.nan.f32", (f(1), QUIET), 1),
    ("setp.num.f64", (d(1), d(np.nan)), 0),
    ("cvt.rn.f32.s64", (2**24 + 1,), f(2**24)),
    ("cvt.rn.f64.s64", (M64,), d(-1)),
]

FLUSHED = [
    ("add.rn.ftz.f32", (TINY, TINY), 0),
    ("add.rn.ftz.f32", (LEAST, LEAST), 2 * LEAST),
    ("add.rn.ftz.f32", (0x80000001, f(-0.0)), f(-0.0)),
    ("mul.rn.ftz.f32", (LEAST, f(0.5)), 0),
    ("mul.rn.ftz.f32", (LEAST, f(-0.5)), f(-0.0)),
    ("mul.rn.ftz.f32", (TINY, f(np.inf)), NAN),
    ("div.rn.ftz.f32", (f(1), TINY), f(np.inf)),
    ("setp.lt.ftz.f32", (0, TINY), 0),
    ("setp.le.ftz.f32", (TINY, 0), 1),
    ("setp.nan.ftz.f32", (TINY, TINY), 0),
]

SHORT = [
    ("cvt.f32.f16", (0x0001,), f(2**-24)),
    ("cvt.f32.f16", (0xFBFF,), f(-65504)),
    ("cvt.f32.f16", (0xFC00,), f(-np.inf)),
    ("cvt.rn.f16.f32", (f(1 + 2**-11),), 0x3C00),  # ties to even
    ("cvt.rn.f16.f32", (f(1 + 3 * 2**-11),), 0x3C02),
    ("cvt.rn.f16.f32", (f(65519.99),), 0x7BFF),
    ("cvt.rn.f16.f32", (f(-65520),), 0xFC00),
    ("cvt.rn.f16.f32", (f(2**-25),), 0),
    ("cvt.rn.f16.f32", (f(2**-25 + 2**-40),), 1),
    ("cvt.rn.f16.f32", (f(-0.0),), 0x8000),
    ("cvt.rn.f16.f32", (QUIET,), 0x7FFF),
    ("cvt.rn.bf16.f32", (0x3F808000,), 0x3F80),
    ("cvt.rn.bf16.f32", (0x3F818000,), 0x3F82),
    ("cvt.rn.bf16.f32", (0x7F7FFFFF,), 0x7F80),
    ("cvt.rn.bf16.f32", (0x00008001,), 0x0001),
    ("add.rn.f16x2", (0x3C000001, 0x10008001), 0x3C000000),  # 1 + 2**-11, least - least
    ("mul.rn.f16x2", (0x00010400, 0x3800BC00), 0x00008400),  # half of the least is even 0
    ("add.rn.f16x2", (0x7C007BFF, 0xFC007BFF), 0x7FFF7C00),
    ("fma.rn.bf16x2", (0x3F803F81, 0x3F803F81, 0x3F80BF82), 0x40003880),  # 2; 2**-14
    # 7 * 37 is half way between 258 and 260, and 2**-60 decides.
    ("fma.rn.bf16x2", (0x40E040E0, 0x42144214, 0xA1802180), 0x43814382),
]


def whole_bits(name):
    """How many bits the result of an instruction has."""
    if name.startswith("setp") or name.endswith("pred"):
        return 64
    if "16x2" in name:
        return 32
    types = re.findall(r"\.b?[busf](8|16|32|64)\b", name)
    return int(types[0]) << (".wide" in name)


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    WHOLE + FLOATS + FLUSHED + SHORT,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_instruction_has_the_result_worked_out_by_hand(name, operands, expected):
    assert result(name, *operands) % (1 << whole_bits(name)) == expected


def test_operands_are_read_from_the_lowest_bits_of_a_register():
    assert result("cvt.u64.u32", 5 << 32 | 7) == 7
    assert result("setp.eq.s32", 5 << 32 | 7, 7) == 1


def test_memory_is_read_and_written_as_the_type_has_it():
    body = """
        ld.global.s8 %rd0, [%rd9+1];
        st.global.u64 [%rd9+8], %rd0;
        ld.global.L1::no_allocate.v4.u32 {%rd1, %rd2, %rd3, %rd4}, [%rd9];
        st.global.v2.u32 [%rd9+16], {%rd2, %rd1};
        ld.global.u16 %rd5, [%rd9];
        st.volatile.global.u8 [%rd9+24], %rd5;
        mov.b64 %rd6, {%rd5, %rd1};
        st.global.u64 [%rd9+32], %rd6;
        mov.b64 {%rd7, %rd8}, %rd6;
        st.global.u32 [%rd9+40], %rd8;
        ret;"""
    words = run(body, [0x1122334455668877])
    low, high = 0x55668877, 0x11223344
    minus = -0x78 & M64
    assert words[1] == minus  # s8 of 0x88
    assert words[2] == low << 32 | high
    assert words[3] == 0x77
    assert words[4] == low << 32 | 0x8877
    assert words[5] == low


def test_threads_have_memory_and_registers_of_their_own_in_any_order():
    body = """
        mov.u32 %rd0, %tid.x; mov.u32 %rd1, %ctaid.x; mov.u32 %rd2, %ntid.x;
        mad.lo.s32 %rd3, %rd1, %rd2, %rd0;
        mov.u64 %rd4, __local_depot0;
        ld.local.u8 %rd5, [%rd4];
        st.local.u8 [%rd4], 1;
        mul.wide.u32 %rd6, %rd3, 8;
        add.s64 %rd6, %rd9, %rd6;
        st.global.u64 [%rd6], %rd5;
        mov.u32 %rd7, %nctaid.x;
        st.global.u32 [%rd6+4], %rd7;
        ld.global.u32 %rd8, [%rd9+120];
        add.s32 %rd8, %rd8, 1;
        st.global.u32 [%rd9+120], %rd8;
        ret;"""
    for order in ORDERS:
        words = run(body, grid=3, block=5, order=order)
        assert words == [3 << 32 | 0xA5] * 15 + [15]


def test_a_jump_is_taken_where_its_predicate_says_so():
    body = """
        mov.u64 %rd0, 0;
        mov.u64 %rd1, 0;
    $L__BB0_1:
        .pragma "nounroll";
        add.s64 %rd1, %rd1, %rd0;
        add.s64 %rd0, %rd0, 1;
        setp.lt.s64 %p1, %rd0, 10;
        @%p1 bra $L__BB0_1;
        @!%p1 st.u64 [%rd9], %rd1;
        { .reg .pred %p1; setp.eq.s64 %p1, %rd0, 10; @!%p1 bra $L__BB0_1; }
        @%p1 st.u64 [%rd9], 0;
        bra.uni $L__BB0_2;
        st.u64 [%rd9], 0;
    $L__BB0_2:
        ret;"""
    assert run(body)[0] == 45


def test_the_clock_is_the_one_that_is_given():
    assert (
        run("mov.u64 %rd0, %globaltimer; st.u64 [%rd9], %rd0; ret;", clock=Clock(lambda: 77))[0]
        == 77
    )


@pytest.mark.parametrize(
    ("access", "off"),
    [("ld.global.v4.u32", 8), ("st.local.v2.f64", 8), ("ld.u64", 4), ("st.u16", 1)],
)
def test_a_place_where_no_gpu_can_load_is_refused(access, off):
    pieces = ["%rd0", "%rd1", "%rd2", "%rd3"][: int("".join(re.findall(r"v(\d)", access)) or 1)]
    register = f"{{{', '.join(pieces)}}}" if len(pieces) > 1 else pieces[0]
    place = f"[%rd9+{off}]"
    order = (register, place) if access.startswith("ld") else (place, register)
    with pytest.raises(MisalignedError, match=re.escape(f"{access} {order[0]}, {order[1]}; at 0x")):
        run(f"{access} {order[0]}, {order[1]}; ret;")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("add.f32 %rd0, %rd1, %rd2;", "add.f32: no such instruction"),  # may be contracted
        ("add.rz.f32 %rd0, %rd1, %rd2;", "add.rz.f32: no such"),
        ("tanh.approx.f32 %rd0, %rd1;", "tanh.approx.f32"),
        ("bar.sync 0;", "bar.sync"),
        ("ld.global.v8.u32 %rd0, [%rd1];", "ld.v8.u32"),
        ("mov.u32 %rd0, %laneid;", "%laneid: not understood"),
        (".shared .align 4 .b8 s[4];", "shared"),
        ("?;", "not understood"),
    ],
)
def test_what_the_machine_does_not_have_is_refused_by_its_name(body, named):
    with pytest.raises(UnknownError, match=re.escape(named)):
        run(f"{body} ret;")


# ---- the kernels ------------------------------------------------------------------------------

OWN = (*NVRTC_OPTIONS, "-arch=compute_90")
FLOAT_TYPES = [name for name in DTYPES if name not in ("int8", "int32", "int64", "uint8")]

FEW = [KernelSource("reduce", *each) for each in product(FLOAT_TYPES, ("sum", "prod", "min"))]
FEW += [KernelSource("copy", dtype, "avg") for dtype in FLOAT_TYPES]
FEW += [KernelSource("fused", "float32", "sum", spilled=4)]
FEW += [KernelSource(name) for name, shared in SHARED.items() if "element.cuh" not in shared]


def every_kernel():
    for each in product(DTYPES, OPERATORS):
        yield from (KernelSource("fused", *each, spilled=spilled) for spilled in SLOTS)
        yield from (KernelSource(name, *each) for name in ("copy", "reduce", "recv_reduce_copy"))
    yield from (
        KernelSource(name) for name, shared in SHARED.items() if "element.cuh" not in shared
    )


@pytest.mark.parametrize(
    "source",
    every_kernel() if EVERY else FEW,
    ids=lambda each: f"{each.kernel}-{each.dtype}-{each.reduction}-{each.spilled}",
)
def test_no_option_of_cupy_changes_an_instruction(source):
    own, of_cupy = (nvrtc.compiled(source.text, each).ptx for each in (OWN, OPTIONS))
    assert of_cupy == own
    assert ".ftz" not in of_cupy
    InPtx(of_cupy, source.entry)


def test_an_option_that_counts_is_seen():
    """The comparison above would fail for a plain +, which is flushed under CuPy's options."""
    text = KernelSource("reduce").text
    plain = text.replace("emul_sum(emul_widen(stood), emul_widen(sent))", "stood + sent")
    assert plain != text
    own, of_cupy = (nvrtc.compiled(plain, each).ptx for each in (OWN, OPTIONS))
    assert "add.rn.f32" in own
    assert "add.rn.ftz.f32" in of_cupy


def test_a_kernel_is_decoded_once_for_each_ptx():
    source = KernelSource("tick")
    assert in_ptx(source.text, source.entry) is in_ptx(source.text, source.entry, OWN)


def test_ptx_is_the_same_with_machine_code_and_without():
    source = KernelSource("tick")
    machine = nvrtc.compiled(source.text, nvrtc.as_cupy(NVRTC_OPTIONS))
    assert machine.ptx == nvrtc.compiled(source.text, OPTIONS).ptx
    assert machine.code[:4] == b"\x7fELF"
