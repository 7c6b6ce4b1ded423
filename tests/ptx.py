"""The PTX that NVRTC makes of a kernel, carried out on the CPU (kernels/ptx_machine.cpp).

It is decoded here: registers, values and labels become numbers, and every instruction a row of the
machine's table. An instruction that the machine does not have is refused by its name.
"""

import ctypes
import os
import re
from functools import cache, lru_cache
from itertools import count
from pathlib import Path

import nvrtc
import pytest
from host_device import COMPILER, library_of

from emul.ops.cuda.kernel_sources import NVRTC_OPTIONS

MACHINE = Path(__file__).parent / "kernels" / "ptx_machine.cpp"
FLAGS = ("-std=c++17", "-O1", "-fwrapv", "-ffp-contract=off", "-shared", "-fPIC")
WITHOUT = "needs NVRTC and a C++ compiler, which carry out PTX in place of a GPU"
HERE = COMPILER is not None and nvrtc.library() is not None
needed = pytest.mark.skipif(not HERE, reason=WITHOUT)

EVERY = "EMUL_EVERY_KERNEL" in os.environ
"""Whether to carry out the PTX of all kernels, as .ci/nightly asks; some of each kind otherwise."""

OPTIONS = nvrtc.as_cupy(NVRTC_OPTIONS, "compute_90")
"""Those of CuPy, without making machine code of the PTX."""

ALWAYS = ("%tid.x", "%ntid.x", "%ctaid.x", "%nctaid.x", "parameters", "local")
"""The first registers of every thread: TID to LOCAL of the machine."""

PARAMETERS, LOCAL = ALWAYS.index("parameters"), ALWAYS.index("local")
JUMP, RETURN, UNKNOWN = -1, -2, -3
MOST_REGISTERS, MOST_BYTES = 1 << 16, 1 << 12

UNSAID = ("global", "local", "param", "volatile", "L1::no_allocate")
"""Qualifiers of loads and stores that change nothing where threads run one after the other."""

TOKEN = re.compile(
    r"""\s*(?:
    (?P<scope>[{}])
    | (?P<label>\$?\w+):(?!:)
    | \.(?P<directive>\w+)\s*(?P<rest>[^;]*);
    | (?:@(?P<unless>!?)(?P<guard>[%\w]+)\s+)?(?P<name>[a-z][\w.:]*)\s*(?P<operands>[^;]*);
    )""",
    re.VERBOSE,
)
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*")
VALUE = re.compile(r"0[fFdD](?P<float>[0-9A-Fa-f]+)|(?P<whole>-?(?:0[xX][0-9A-Fa-f]+|\d+))U?")
PLACE = re.compile(r"\[\s*([%\w]+)\s*(?:\+\s*(-?\d+))?\s*\]")


class UnknownError(SyntaxError):
    """PTX that the machine cannot carry out."""


class MisalignedError(RuntimeError):
    """A load or store at a place where no GPU can carry it out."""


class Instruction(ctypes.Structure):
    _fields_ = (
        ("step", ctypes.c_int),
        ("guard", ctypes.c_int),
        ("unless", ctypes.c_int),
        ("into", ctypes.c_int * 4),
        ("source", ctypes.c_int * 4),
        ("count", ctypes.c_int),
        ("target", ctypes.c_int),
        ("offset", ctypes.c_int64),
    )


class Program(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.POINTER(Instruction)),
        ("values", ctypes.POINTER(ctypes.c_int64)),
        ("n_values", ctypes.c_int),
        ("registers", ctypes.c_int),
        ("local_bytes", ctypes.c_int),
        ("n_parameters", ctypes.c_int),
        ("parameters", ctypes.POINTER(ctypes.c_int)),
    )


@lru_cache(maxsize=1)
def machine():
    """The machine, compiled."""
    library = library_of("ptx_machine", MACHINE.read_text(), FLAGS)
    library.ptx_operation.argtypes = [ctypes.c_char_p]
    library.ptx_launch.argtypes = [
        ctypes.POINTER(Program),
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_uint64),
    ]
    return library


@cache
def operation(name):
    """The row of the machine's table that carries out ``name``; raises UnknownError."""
    row = machine().ptx_operation(name.encode())
    if row == UNKNOWN:
        raise UnknownError(f"{name}: no such instruction in {MACHINE.name}")
    return row


def several(operand):
    """The parts of a vector, or the one that it is."""
    return [each.strip() for each in operand.strip("{}").split(",")]


class Decoder:
    """Reads one entry, instruction by instruction."""

    def __init__(self, parameters, body):
        """``parameters``: the bytes of each by its name. Raises UnknownError."""
        self.scopes = [dict(zip(ALWAYS, count()))]
        self.registers = len(ALWAYS)
        self.values, self.places, self.parameters = [], {}, []
        self.code, self.lines, self.labels, self.jumps = [], [], {}, []
        self.local_bytes = at = 0
        for name, nbytes in parameters.items():
            at += -at % nbytes
            self.places[name] = PARAMETERS, at
            self.parameters += [at, nbytes]
            at += nbytes
        self._read(body)
        for made, label in self.jumps:
            made.target = self.labels[label]
        assert max(self.local_bytes, at) <= MOST_BYTES
        assert self.registers <= MOST_REGISTERS

    def _read(self, body):
        at = 0
        while body[at:].strip():
            token = TOKEN.match(body, at)
            if token is None:
                raise UnknownError(f"{body[at:].strip()[:80]!r}: not understood")
            at = token.end()
            if token["scope"] == "{":
                self.scopes.append({})
            elif token["scope"]:
                self.scopes.pop()
            elif token["label"]:
                self.labels[token["label"]] = len(self.code)
            elif token["directive"]:
                self._declare(token["directive"], token["rest"])
            else:
                self._add(token)

    def _declare(self, directive, rest):
        registers = re.fullmatch(r"\.\w+\s+(%?\w+)(?:<(\d+)>)?", rest)
        array = re.fullmatch(r"\.align (\d+) \.b8\s+(\w+)\[(\d+)\]", rest)
        if directive == "reg" and registers:
            name, number = registers.groups()
            for each in [name] if number is None else [f"{name}{k}" for k in range(int(number))]:
                self.scopes[-1][each] = self._new()
        elif directive == "local" and array and not self.local_bytes and int(array[1]) <= 16:
            self.places[array[2]] = LOCAL, 0
            self.local_bytes = int(array[3])
        elif directive != "pragma":
            raise UnknownError(f".{directive} {rest}: not understood")

    def _new(self):
        self.registers += 1
        return self.registers - 1

    def _register(self, operand):
        """The number of a register, or of one that has the value and is never written."""
        for scope in reversed(self.scopes):
            if operand in scope:
                return scope[operand]
        if operand in self.places and self.places[operand][1] == 0:
            return self.places[operand][0]
        value = VALUE.fullmatch(operand)
        if value is None:
            raise UnknownError(f"{operand}: not understood")
        whole = int(value["float"], 16) if value["float"] else int(value["whole"], 0)
        number = self._new()
        self.values += [number, ctypes.c_int64(whole).value]
        return number

    def _add(self, token):
        name, operands = token["name"], OPERAND.findall(token["operands"])
        made = Instruction(guard=-1, unless=token["unless"] != "!", count=1)
        if token["guard"]:
            made.guard = self._register(token["guard"])
            made.unless = token["unless"] != ""
        if name in ("bra", "bra.uni"):
            made.step = JUMP
            self.jumps.append((made, operands[0].strip()))
        elif name == "ret":
            made.step = RETURN
        elif name.startswith(("ld.", "st.")):
            self._move_memory(made, name, operands)
        else:
            self._compute(made, name, [each.strip() for each in operands])
        self.code.append(made)
        self.lines.append(" ".join(token[0].split()))

    def _move_memory(self, made, name, operands):
        """Several registers from a place or to it; ``into`` are the registers of both."""
        place, registers = operands if name.startswith("st.") else reversed(operands)
        pieces = [self._register(each) for each in several(registers.strip())]
        parts = [each for each in name.split(".") if each not in UNSAID]
        if len(pieces) > 1:
            parts.remove(f"v{len(pieces)}")
        made.step = operation(".".join(parts))
        made.count = len(pieces)
        made.into[: len(pieces)] = pieces
        base, offset = PLACE.fullmatch(place.strip()).groups()
        number, begin = self.places.get(base) or (self._register(base), 0)
        made.source[0], made.offset = number, begin + int(offset or 0)

    def _compute(self, made, name, operands):
        into, sources = several(operands[0]), operands[1:]
        vector = max(len(into), *(len(several(each)) for each in sources), 1) if sources else 1
        if vector > 1:
            made.count = vector
            width = int(re.fullmatch(r"mov\.[bus](\d+)", name)[1]) // vector
            name = f"{'unpack' if len(into) > 1 else 'pack'}.b{width}"
            sources = several(sources[0])
        if sources == ["%globaltimer"]:
            name, sources = "mov.globaltimer", []
        if name == "nanosleep.u32":
            into = []
        made.step = operation(name)
        for k, each in enumerate(into):
            made.into[k] = self._register(each)
        for k, each in enumerate(sources):
            made.source[k] = self._register(each)


class InPtx:
    """A kernel as NVRTC has it for a GPU, carried out instruction by instruction."""

    def __init__(self, ptx, entry):
        """Decode ``entry``; raises UnknownError for what the machine cannot carry out."""
        ptx = re.sub(r"//[^\n]*", "", ptx)
        found = re.search(rf"\.entry {entry}\((.*?)\)[^{{]*\{{(.*)\}}", ptx, re.DOTALL)
        parameters = {
            name: int(bits) // 8 for bits, name in re.findall(r"\.param \.\w(\d+) (\w+)", found[1])
        }
        decoded = Decoder(parameters, found[2])
        self.lines = decoded.lines
        self.reads_clock = "%globaltimer" in ptx
        self.program = Program(
            (Instruction * len(decoded.code))(*decoded.code),
            (ctypes.c_int64 * len(decoded.values))(*decoded.values),
            len(decoded.values) // 2,
            decoded.registers,
            decoded.local_bytes,
            len(parameters),
            (ctypes.c_int * len(decoded.parameters))(*decoded.parameters),
        )

    def launch(self, order, grid, block, arguments, clock):
        """Run all threads, as InCpp does; raises MisalignedError."""
        address = ctypes.c_uint64()
        clock = ctypes.cast(clock, ctypes.c_void_p) if self.reads_clock else None
        at = machine().ptx_launch(
            self.program, order, grid, block, arguments, clock, ctypes.byref(address)
        )
        if at >= 0:
            raise MisalignedError(f"{self.lines[at]} at {address.value:#x}")


decoded = cache(InPtx)


def in_ptx(text, entry, options=OPTIONS):
    """The kernel ``entry`` of ``text`` under ``options``: the same where the PTX is the same."""
    return decoded(nvrtc.compiled(text, options).ptx, entry)


BUILDS = {"C++": None, "PTX": in_ptx}
"""The ``build`` of a HostDevice by its name."""


def in_each(cases, some):
    """Parameters: a name of BUILDS before every case for C++, before ``some`` or EVERY for PTX."""
    carried_out = cases if EVERY else some
    as_ptx = [pytest.param("PTX", *case, marks=needed) for case in carried_out]
    return [pytest.param("C++", *case) for case in cases] + as_ptx
