"""Workloads in text as AICB writes them: columns, groups, sizes, and the place of every fault."""

import random

import pytest

from emul.errors import EmulError, TrainingError
from emul.training.readers import Communication, WorkLayer, read_workload

HEADER = (
    "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 4 ep: 2 pp: 3 vpp: 6 ga: 5 "
    "all_gpus: 48 checkpoints: 2 0 1 checkpoint_initiates: 1 2 pp_comm: 4096.0"
)
ROWS = (
    "grad_gather\t-1\t1\tNONE\t0\t1\tNONE\t0\t1\tALLGATHER\t2000\t100",
    "moe_grad\t-1\t1\tNONE\t0\t1\tNONE\t0\t1\tREDUCESCATTER_DP_EP\t4000\t100",
    "attention_column -1 375000 ALLGATHER 512 375000 REDUCESCATTER 0 400000 NONE 0 100",
    "mlp_moelayer -1 7000 ALLTOALL_EP 64 9000 ALLTOALL_EP 32 1 ALLREDUCE_EP 16 0",
    "norm -1 0 BROADCAST 8 1 ALLREDUCE_TP 24 1 NONE 0 100",
)
TEXT = "\n".join((HEADER, str(len(ROWS)), *ROWS)) + "\n"


def read(tmp_path, text):
    path = tmp_path / "workload.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_workload(path)


def test_times_are_nanoseconds_and_groups_follow_pass_and_suffix(tmp_path):
    """SimAI's Workload.cc: no suffix is tensor-parallel, of the weights' gradient data-parallel."""
    found = read(tmp_path, TEXT)
    assert found.layers == (
        WorkLayer("grad_gather", 1e-9, (), 1e-9, (), 1e-9,
                  (Communication("all_gather", 2000, "data"),), 1e-7),
        WorkLayer("moe_grad", 1e-9, (), 1e-9, (), 1e-9,
                  (Communication("reduce_scatter", 4000, "expert_data"),), 1e-7),
        WorkLayer("attention_column", 375e-6, (Communication("all_gather", 512, "tensor"),),
                  375e-6, (Communication("reduce_scatter", 0, "tensor"),), 400e-6, (), 1e-7),
        WorkLayer("mlp_moelayer", 7e-6, (Communication("all_to_all", 64, "expert"),),
                  9e-6, (Communication("all_to_all", 32, "expert"),), 1e-9,
                  (Communication("all_reduce", 16, "expert"),), 0.0),
        WorkLayer("norm", 0.0, (Communication("broadcast", 8, "tensor"),), 1e-9,
                  (Communication("all_reduce", 24, "tensor"),), 1e-9, (), 1e-7),
    )  # fmt: skip
    assert found.nbytes == {"data": 2000, "expert_data": 4000, "tensor": 544, "expert": 112}
    assert found.compute_s == pytest.approx(375e-6 * 2 + 400e-6 + 16e-6 + 9e-9, rel=1e-12)


def test_the_first_line_has_the_sizes(tmp_path):
    found = read(tmp_path, TEXT)
    sizes = (found.tensor, found.expert, found.pipeline, found.virtual_stages)
    assert sizes == (4, 2, 3, 6)
    assert (found.micro_batches, found.ranks, found.pipeline_bytes) == (5, 48, 4096)
    assert (found.checkpoints, found.recomputing) == ((0, 1), (2,))
    assert (found.kind, found.notes) == ("HYBRID_TRANSFORMER_FWD_IN_BCKWD", ())


def test_other_loops_and_older_first_lines(tmp_path):
    micro = read(tmp_path, "MICRO\n1\nmicro_test -1 1 NONE 0 1 NONE 0 1 ALLREDUCE 1024 100\n\n")
    assert (micro.kind, micro.tensor, micro.ranks) == ("MICRO", 1, 0)
    assert micro.layers[0].weight_grad == (Communication("all_reduce", 1024, "data"),)
    older = "HYBRID_TRANSFORMER\tmodel_parallel_NPU_group: 8 expert_parallel_npu_group: 2\r\n0\r\n"
    assert (read(tmp_path, older).tensor, read(tmp_path, older).expert) == (8, 2)
    row = f"{ROWS[0]} DATA"
    assert read(tmp_path, f"HYBRID_CUSTOMIZED pp_comm 7\n1\n{row}").pipeline_bytes == 7


def test_a_word_of_the_first_line_that_is_not_known_is_told(tmp_path):
    found = read(tmp_path, "MICRO new_key: 3\n0\n")
    assert [note.split("line 1: ")[1] for note in found.notes] == [
        "'new_key' of the first line is not read",
        "'3' of the first line is not read",
    ]


def test_a_name_is_data(tmp_path):
    name = "[bold]\x1b[31m</td><script>"
    assert read(tmp_path, TEXT.replace("grad_gather", name)).layers[0].name == name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (HEADER, "TRANSFORMER", "line 1: 'TRANSFORMER': needed a workload of AICB, which begins"),
        ("ep: 2", "ep: x", "line 1: ep = 'x': needed a whole number of ranks from 1"),
        ("ep: 2", "ep: 0", "line 1: ep = '0': needed a whole number of ranks from 1"),
        ("4096.0", "", "line 1: pp_comm = '': needed a whole number of bytes"),
        ("checkpoints: 2", "checkpoints: -2", "checkpoints = '-2': needed a whole number"),
        ("\n5\n", "\nfive\n", "line 2: 'five': needed a whole number of layers"),
        ("\n5\n", "\n5 6\n", "line 2: '5 6': needed the number of layers alone"),
        ("\n5\n", "\n6\n", "line 2: '6': needed the number of the layers that follow, which are 5"),
        ("\n5\n", "\n4\n", "line 7: more than the 4 layers that line 2 says"),
        ("512", "512.5", "line 5, column 5: '512.5': needed a whole number of bytes"),
        ("512", "-1", "line 5, column 5: '-1': needed a whole number of bytes from 0"),
        ("400000", "4e99", "line 5, column 9: '4e99': needed a time, a number from 0"),
        ("400000", "nan", "line 5, column 9: 'nan': needed a time"),
        (" ALLREDUCE_EP", " ALLREDUCE_XY", "line 6, column 10: 'ALLREDUCE_XY': needed ALLREDUCE"),
        (" ALLREDUCE_EP", " ALLREDUCE_", "line 6, column 10: 'ALLREDUCE_': needed ALLREDUCE"),
        (" ALLREDUCE_EP", " ALLREDUCEALLTOALL", "line 6, column 10: 'ALLREDUCEALLTOALL': needed"),
        ("norm -1 0", "norm 0", "line 7: 11 columns: needed 12"),
    ],
)
def test_a_broken_workload_says_line_and_column(tmp_path, old, new, message):
    assert TEXT.count(old) == 1
    with pytest.raises(TrainingError, match=message) as caught:
        read(tmp_path, TEXT.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "content", ["", "\n\n", "MICRO", b"\xff\xfe\x00", "MICRO\n1\n" + "x" * 70000]
)
def test_a_file_that_is_no_workload_is_refused(tmp_path, content):
    with pytest.raises(TrainingError):
        read(tmp_path, content)


def test_mangled_workloads_are_layers_or_one_error(tmp_path):
    draws, refused = random.Random(20261202), 0
    for _ in range(400):
        mangled = bytearray(TEXT.encode())
        for _ in range(draws.randint(1, 3)):
            at = draws.randrange(len(mangled))
            kind = draws.randrange(3)
            if kind == 0:
                mangled[at] = draws.randrange(256)
            elif kind == 1:
                del mangled[at : at + draws.randint(1, 30)]
            else:
                mangled[at:at] = draws.choice([b"\t", b"\n", b"9" * 50, b"_", b"1e9", b"\x00"])
        try:
            said = repr(read(tmp_path, bytes(mangled)))
        except EmulError as error:
            refused, said = refused + 1, str(error)
        assert len(said.splitlines()) == 1
    assert 0 < refused < 400
