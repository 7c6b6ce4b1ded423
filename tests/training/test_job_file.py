"""The file of a job: what it says becomes a job, and every mistake is named with file and key."""

import pytest

from emul.errors import EmulError, TrainingError
from emul.training import DDP, FSDP, HSDP, LocalSteps
from emul.training.job_file import read_job
from emul.training.money import Prices
from emul.training.specification import method_name

WHOLE = """
topology = "places.toml"
stack = "gloo"
seed = 3
start_s = 2.5

[model]
parameters = 405e9
layers = 126
active = 40e9
hidden = 16384

[batch]
tokens = 48e6

[hardware]
name = "h100"
mfu = 0.4
precision = "float16"

[mesh]
shard = 4
replicate = 3

[[method]]
name = "ddp"
buckets = 7

[[method]]
name = "local"
every = 50
fragments = 10

[cost]
gpu_hour = 2
trunk_month = 500.5
currency = "EUR"
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "job.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_says_a_whole_job(written, tmp_path):
    job = read_job(written(WHOLE))
    model = job.arguments["model"]
    assert (model.parameters, model.active, model.hidden) == (405 * 10**9, 40 * 10**9, 16384)
    assert len(model.layers) == 126
    rest = {key: value for key, value in job.arguments.items() if key != "model"}
    assert rest == {
        "tokens": 48e6, "hardware": "h100", "mfu": 0.4, "precision": "float16",
        "mesh": {"shard": 4, "replicate": 3}, "seed": 3, "start_s": 2.5,
    }  # fmt: skip
    assert list(rest["mesh"]) == ["shard", "replicate"]  # outermost first, as written
    assert job.topology == str(tmp_path / "places.toml")
    assert job.stack == "gloo"
    assert job.methods == (DDP(buckets=7), LocalSteps(50, fragments=10))
    assert job.prices == Prices(2, 500.5, "EUR")


def test_a_file_may_say_little(written):
    job = read_job(written(""))
    assert (job.arguments, job.topology, job.stack) == ({}, None, None)
    assert (job.methods, job.prices) == ((), None)


@pytest.mark.parametrize(
    ("table", "parameters", "layers"),
    [
        ('name = "llama-3.1-8b"', 8030261248, 34),
        ('config = "own/config.json"', 4 * 8 * 2 + 8 + 8 * 4 * 8 + 3 * 8 * 16 + 16, 3),
        ("tensors = [5, 7]", 12, 2),
    ],
)
def test_a_model_comes_from_one_source(written, tmp_path, table, parameters, layers):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text(
        '{"model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "vocab_size": 4, '
        '"num_hidden_layers": 1, "num_attention_heads": 2}'
    )
    model = read_job(written(f"[model]\n{table}\n")).arguments["model"]
    assert (model.parameters, len(model.layers)) == (parameters, layers)


def test_one_method_may_stand_in_a_table(written):
    assert read_job(written('[method]\nname = "hsdp"\n')).methods == (HSDP(),)


def test_outer_makes_local_steps_around_each_method(written):
    outer = "[outer]\nevery = 20\nwire = 'fp4'\n"
    (alone,) = read_job(written(outer)).methods
    assert alone == LocalSteps(20, wire="fp4")
    (around,) = read_job(written(f'{outer}[method]\nname = "fsdp"\nprefetch = 2\n')).methods
    assert around == LocalSteps(20, wire="fp4", inner=FSDP(prefetch=2, axis="shard"))


def test_a_method_may_be_a_function_beside_the_file(written, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def mine(seat):\n    yield seat.forward()\n\n\nmine.period = 4\n"
    )
    (method,) = read_job(written('[method]\nname = "mine.py:mine"\n')).methods
    assert method_name(method) == f"{tmp_path}/mine.py:mine"
    assert (method.period, method.carries, method.keeps_shards) == (4, False, True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("topologi = 'a'", "unknown key 'topologi'"),
        ("[model]\n", "model has no source: needed one of name, config, tensors, parameters"),
        ("[model]\nname = 'gpt2'\nlayers = 3", "unknown key 'model.layers': needed one of name"),
        ("[model]\nname = 'gpt2'\nconfig = 'x'", "model has name and config: needed one of"),
        ("[model]\nname = 'gpt9'", "unknown model 'gpt9'"),
        ("[model]\nparameters = 1e9", "model has no 'layers'"),
        ("[model]\nparameters = 1\nlayers = 2\nactive = 3", "active 3: needed at most the 1"),
        ("[model]\ntensors = 5", "model.tensors"),
        ("[batch]\ntokens = 0", "batch.tokens"),
        ("[hardware]\nmfu = 1.5", "hardware.mfu"),
        ("[hardware]\nmfu = 0.5\ncompute_s = 1", "hardware has mfu and compute_s"),
        ("[mesh]\nreplica = 3", "unknown key 'mesh.replica'"),
        ("[mesh]\nshard = 2.5", "mesh.shard"),
        ("[method]\nbuckets = 3", "method has no 'name'"),
        ("[method]\nname = 'ddq'", "unknown method 'ddq'"),
        ("[method]\nname = 'ddp'\nbucket = 3", "unknown field of method ddp 'bucket'"),
        ("[[method]]\nname = 'ddp'\n[[method]]\nname = 'ddp'\nbuckets = 0", "method[1]"),
        ("[method]\nname = 'mine.py:f'\nbuckets = 1", "unknown key 'method.buckets'"),
        ("[method]\nname = 'local'", "method local: needed 'every'"),
        ("[outer]\nfragments = 2", "outer has no 'every'"),
        ("[outer]\nevery = 2\nfragments = 3", "outer: fragments 3"),
        ("[outer]\nevery = 2\n[method]\nname = 'ddp'", "method.name"),
        ("[cost]\ngpu_hour = -1", "cost.gpu_hour"),
        ("[cost]\ngpu_month = 1", "unknown key 'cost.gpu_month'"),
        ("seed = -1", "seed"),
        ("model = 3", "model"),
        ("[model", "not TOML"),
    ],
)
def test_mistakes_are_named_with_file_and_key(written, text, complaint):
    path = written(text)
    with pytest.raises(EmulError) as caught:
        read_job(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"gone\.toml"):
        read_job(tmp_path / "gone.toml")
