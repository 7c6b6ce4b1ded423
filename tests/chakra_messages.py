"""Execution traces of Chakra, encoded by the protobuf library from a description of the messages.

The fields and types are those of the public et_def.proto; the reader of emul has no part in it.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.encoder import _VarintBytes

KINDS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "fixed64": 6,
    "fixed32": 7,
    "bool": 8,
    "string": 9,
    "message": 11,
    "uint32": 13,
    "sfixed32": 15,
    "sfixed64": 16,
    "sint32": 17,
    "sint64": 18,
}
"""FieldDescriptorProto.Type."""

VALUES = {
    "double": 3,
    "float": 5,
    "int32": 7,
    "int64": 9,
    "uint32": 11,
    "uint64": 13,
    "sint32": 15,
    "sint64": 17,
    "fixed32": 19,
    "fixed64": 21,
    "sfixed32": 23,
    "sfixed64": 25,
    "bool": 27,
    "string": 29,
}
"""The field of AttributeProto that holds a value of each type: double_val, float_val and so on."""

WHOLE = tuple(kind for kind in VALUES if kind not in ("double", "float", "bool", "string"))


def _messages():
    file = descriptor_pb2.FileDescriptorProto(
        name="et_def_of_the_tests.proto", package="ofthetests", syntax="proto3"
    )

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, key, kind, repeated in fields:
            one = made.field.add(name=key, number=number, label=3 if repeated else 1)
            one.type = KINDS.get(kind, 11)
            if kind not in KINDS:
                one.type_name = f".ofthetests.{kind}"
        return made

    message("BoolList", (1, "values", "bool", True))
    attribute = message(
        "AttributeProto",
        (1, "name", "string", False),
        *((number, f"{kind}_val", kind, False) for kind, number in VALUES.items()),
        (28, "bool_list", "BoolList", False),
    )
    attribute.oneof_decl.add(name="value")
    for field in attribute.field[1:]:
        field.oneof_index = 0
    message("GlobalMetadata", (1, "version", "string", False), (2, "attr", "AttributeProto", True))
    message(
        "Node",
        (1, "id", "uint64", False),
        (2, "name", "string", False),
        (3, "type", "int32", False),
        (4, "ctrl_deps", "uint64", True),
        (5, "data_deps", "uint64", True),
        (6, "start_time_micros", "uint64", False),
        (7, "duration_micros", "uint64", False),
        (10, "attr", "AttributeProto", True),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ofthetests.{name}"))
        for name in ("GlobalMetadata", "Node", "AttributeProto", "BoolList")
    }


MESSAGES = _messages()
COMPUTE, SEND, RECV, COLLECTIVE = 4, 5, 6, 7


def attribute(name, kind, value):
    """One attribute; ``kind`` is that of its value, or ``bool_list``."""
    if kind == "bool_list":
        return MESSAGES["AttributeProto"](name=name, bool_list=MESSAGES["BoolList"](values=value))
    return MESSAGES["AttributeProto"](name=name, **{f"{kind}_val": value})


def node(number, kind, name="", after=(), micros=0, *attributes, start=0, within=()):
    """The bytes of one node."""
    return MESSAGES["Node"](
        id=number,
        type=kind,
        name=name,
        data_deps=after,
        ctrl_deps=within,
        duration_micros=micros,
        start_time_micros=start,
        attr=attributes,
    ).SerializeToString()


def collective(number, kind, nbytes, *more, after=(), micros=0, name="nccl"):
    """The bytes of the node of a collective, with the attributes that Chakra's converter writes."""
    sizes = (attribute("comm_type", "int64", kind), attribute("comm_size", "int64", nbytes))
    return node(number, COLLECTIVE, name, after, micros, *sizes, *more)


def trace(*nodes, version="0.0.4"):
    """The bytes of a file: metadata and nodes, each behind its length."""
    metadata = MESSAGES["GlobalMetadata"](version=version).SerializeToString()
    return b"".join(_VarintBytes(len(each)) + each for each in (metadata, *nodes))
