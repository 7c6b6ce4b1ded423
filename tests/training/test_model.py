"""Models: counts against those of published files of weights, and models that people write."""

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import ArgumentError, EmulError, TrainingError
from emul.training import Layer, Model
from emul.training.architectures import ARCHITECTURES
from emul.training.model import model_names

OF_PRESETS = {
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-235b-a22b": 235_093_634_560,
    "deepseek-v3": 671_026_419_200,
    "gpt2": 124_439_808,
}
"""The elements of the published files of weights, as huggingface.co counts them in each."""

LLAMA = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
}
BLOCK = 2 * 8 + 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8 + 3 * 8 * 12
"""Two norms, queries, keys, values, output, three matrices of the gated layer."""


def heads(number, kv, width=None):
    keys = {"num_attention_heads": number, "num_key_value_heads": kv}
    return keys | ({"head_dim": width} if width else {})


OTHERS = {
    "mistral-7b-v0.1": (
        7_241_732_096,
        {
            "model_type": "mistral",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "vocab_size": 32000,
            **heads(32, 8),
        },
    ),
    "qwen3-8b": (
        8_190_735_360,
        {
            "model_type": "qwen3",
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "vocab_size": 151936,
            **heads(32, 8, 128),
        },
    ),
    "qwen1.5-moe-a2.7b": (
        14_315_784_192,
        {
            "model_type": "qwen2_moe",
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "moe_intermediate_size": 1408,
            "shared_expert_intermediate_size": 5632,
            "num_experts": 60,
            "num_experts_per_tok": 4,
            "num_hidden_layers": 24,
            "vocab_size": 151936,
            **heads(16, 16),
        },
    ),
    "gemma-2b": (
        2_506_172_416,
        {
            "model_type": "gemma",
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "num_hidden_layers": 18,
            "vocab_size": 256000,
            **heads(8, 1, 256),
        },
    ),
    "gemma-2-2b": (
        2_614_341_888,
        {
            "model_type": "gemma2",
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "vocab_size": 256000,
            **heads(8, 4, 256),
        },
    ),
    "gemma-3-1b": (
        999_885_952,
        {
            "model_type": "gemma3_text",
            "hidden_size": 1152,
            "intermediate_size": 6912,
            "num_hidden_layers": 26,
            "vocab_size": 262144,
            **heads(4, 1, 256),
        },
    ),
    "deepseek-v2-lite": (
        15_706_484_224,
        {
            "model_type": "deepseek_v2",
            "hidden_size": 2048,
            "intermediate_size": 10944,
            "moe_intermediate_size": 1408,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "q_lora_rank": None,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 1,
            "vocab_size": 102400,
        },
    ),
}
"""Published counts of weights, and the keys of the config.json beside them."""


@pytest.mark.parametrize("name", OF_PRESETS)
def test_a_preset_has_the_parameters_of_its_published_weights(name):
    assert Model.preset(name).parameters == OF_PRESETS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_a_config_has_the_parameters_of_its_published_weights(name):
    published, config = OTHERS[name]
    assert Model.of_config(config).parameters == published


def test_gpt_3_has_the_size_that_its_paper_says():
    assert round(Model.preset("gpt-3-175b").parameters / 1e8) == 1746  # "174,600M"; table D.1
    assert set(model_names()) == {*OF_PRESETS, "gpt-3-175b"}


def test_a_token_meets_some_experts_and_all_of_the_rest():
    """DeepSeek-V3: README_WEIGHTS.md of its weights says 36.6e9 without the embedding."""
    model = Model.preset("deepseek-v3")
    assert round(model.active / 1e8) == 376
    assert round((model.active - model.layers[0].parameters) / 1e8) == 366
    assert sum(layer.expert_parameters for layer in model.layers) == 58 * 256 * 3 * 7168 * 2048
    sparse = model.layers[4]
    assert (sparse.experts, sparse.top_k, sparse.kv_width) == (256, 8, 512 + 64)
    assert [layer.experts for layer in model.layers[:5]] == [0, 0, 0, 0, 256]
    mixtral = Model.preset("mixtral-8x7b")
    unmet = 6 * 32 * 3 * 4096 * 14336  # 6 of 8 experts, in 32 blocks
    assert mixtral.active == mixtral.parameters - unmet


def test_embedding_blocks_and_head_of_a_config_by_hand():
    model = Model.of_config(LLAMA, name="tiny")
    embedding, block, _, head = model.layers
    assert (embedding.name, head.name, model.blocks, model.name) == ("embedding", "head", 2, "tiny")
    assert (embedding.parameters, head.parameters) == (80, 8 + 80)
    assert block.parameters == block.active == BLOCK
    assert block.tensors == (8, 8, 64, 32, 32, 64, 96, 96, 96)
    assert (block.kv_width, block.hidden, model.hidden) == (2 * 2 * 2, 8, 8)
    assert model.active == model.parameters == 80 + 2 * BLOCK + 88


def test_a_tied_table_is_counted_once_and_active_in_the_head():
    model = Model.of_config({**LLAMA, "tie_word_embeddings": True})
    embedding, _, _, head = model.layers
    assert (embedding.parameters, embedding.active) == (80, 0)
    assert (head.parameters, head.active) == (8, 88)
    assert model.active == model.parameters == 80 + 2 * BLOCK + 8
    positions = Model.preset("gpt2").layers[0]
    assert positions.active == 1024 * 768


@pytest.mark.parametrize(
    ("keys", "more"),
    [
        ({"attention_bias": True}, 8 + 4 + 4 + 8),
        ({"mlp_bias": True}, 12 + 12 + 8),
        ({"head_dim": 3}, 8 * (12 - 8) * 2 + 8 * (6 - 4) * 2),
        ({"model_type": "qwen2"}, 8 + 4 + 4),
        ({"model_type": "gemma2", "head_dim": 2}, 2 * 8),
        ({"model_type": "qwen3", "head_dim": 2}, 2 * 2),
        ({"num_key_value_heads": None}, 2 * 8 * 4),
    ],
)
def test_a_key_adds_tensors_to_each_block(keys, more):
    assert Model.of_config({**LLAMA, **keys}).layers[1].parameters == BLOCK + more


def test_blocks_with_experts_are_those_that_the_keys_say():
    qwen = {
        **LLAMA,
        "model_type": "qwen3_moe",
        "num_hidden_layers": 6,
        "head_dim": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 5,
        "decoder_sparse_step": 2,
        "mlp_only_layers": [3],
    }
    blocks = Model.of_config(qwen).layers[1:-1]
    assert [layer.experts for layer in blocks] == [0, 4, 0, 0, 0, 4]
    assert blocks[1].expert_parameters == 4 * 3 * 8 * 5
    assert blocks[1].parameters - blocks[1].active == 2 * 3 * 8 * 5


def test_presets_and_tensors_add_up():
    for name in model_names():
        for layer in Model.preset(name).layers:
            assert sum(layer.tensors) == layer.parameters


@given(st.integers(1, 10**15), st.integers(1, 300), st.data())
def test_equal_layers_have_the_exact_sum(parameters, layers, data):
    active = data.draw(st.integers(1, parameters))
    model = Model(parameters, layers, hidden=7, active=active, name="mine")
    assert (model.parameters, model.active, model.blocks) == (parameters, active, layers)
    sizes = [layer.parameters for layer in model.layers]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert all(layer.active <= layer.parameters for layer in model.layers)


def test_a_tensor_is_a_layer():
    model = Model.of_tensors([6, 4e1, 5], name="three")
    assert [(each.name, each.parameters, each.tensors) for each in model.layers] == [
        ("tensor 0", 6, (6,)),
        ("tensor 1", 40, (40,)),
        ("tensor 2", 5, (5,)),
    ]
    assert model.blocks == 3


def test_models_are_equal_by_their_layers_pickle_and_do_not_change():
    model = Model(405e9, 126)
    assert model == Model(405_000_000_000, 126)
    assert model != Model(405e9, 127)
    assert len({model, pickle.loads(pickle.dumps(model))}) == 1
    assert repr(model) == "<Model of 4.05e+11 parameters in 126 layers>"
    with pytest.raises(AttributeError):
        model.name = "other"


def test_a_model_comes_from_a_name_a_file_or_a_folder(tmp_path):
    folder = tmp_path / "tiny-llama"
    folder.mkdir()
    path = folder / "config.json"
    path.write_text(json.dumps(LLAMA))
    tiny = Model.of_config(LLAMA, name="tiny-llama")
    assert Model.of(str(path)) == Model.of(path) == Model.of(str(folder)) == tiny
    assert Model.of(tiny) is tiny
    assert Model.of("gpt2").name == "gpt2"
    other = tmp_path / "mine.json"
    other.write_text(json.dumps(LLAMA))
    assert Model.of(other).name == "mine"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Model.preset("llama-3.1-8"),
            "unknown model 'llama-3.1-8'.*did you mean llama-3.1-8b",
        ),
        (lambda: Model.of("nobody"), "unknown model 'nobody'.*the path of a config.json"),
        (lambda: Model.of("a\0b"), "unknown model"),
        (lambda: Model.of("gpt.txt"), "model 'gpt.txt': needed a model; a workload says times"),
        (lambda: Model.of(Path("a.0.et")), "model 'a.0.et': needed a model; a workload says"),
        (lambda: Model.of(7), "model 7: needed a Model, a name or a path"),
        (lambda: Model(0, 3), "parameters 0: needed a whole number from 1"),
        (lambda: Model(1.5, 3), "parameters 1.5: needed a whole number"),
        (lambda: Model(1e30, 3), "parameters .*: needed a whole number from 1 to"),
        (lambda: Model(10, 0), "layers 0: needed a whole number from 1"),
        (lambda: Model(10, 2, active=11), "active 11: needed at most the 10 parameters"),
        (lambda: Model(10, 2, name="n" * 201), "needed a text of at most 200"),
        (lambda: Model.of_layers([]), "a model without parameters"),
        (lambda: Model.of_layers([7]), "7: needed a Layer"),
        (lambda: Model.of_tensors([3, -1]), "tensor 1 -1: needed a whole number"),
        (lambda: Layer("a", -1, 0, 0), "layer 'a': parameters -1: needed"),
        (lambda: Layer("a", 5, 5, 0, tensors=(1, 2)), "tensors of 3 elements .* needed the 5"),
        (lambda: Layer("a", 5, 5, 0, experts=2, top_k=3), "top_k 3: needed at most the 2"),
        (lambda: Layer("a", 5, 5, 0, expert_parameters=3), "3 of 0 experts: needed experts"),
    ],
)
def test_arguments_that_are_no_model_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_type": None}, "the file has no 'model_type': needed one of llama, "),
        ({"model_type": "bert"}, "model_type = 'bert': needed one of llama, "),
        ({"hidden_size": None}, "the file has no 'hidden_size': needed a whole number"),
        ({"hidden_size": 0}, "hidden_size = 0: needed a whole number from 1"),
        ({"hidden_size": 1e3}, "hidden_size = 1000.0: needed a whole number"),
        ({"num_attention_heads": 3}, "num_attention_heads = 3: needed a divisor of the width 8"),
        ({"model_type": "qwen2", "num_key_value_heads": None}, "has no 'num_key_value_heads'"),
        ({"model_type": "gemma"}, "the file has no 'head_dim'"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000: needed"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings = 1: needed true or false"),
        (
            {"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3},
            "num_experts_per_tok = 3: needed a whole number from 1 to 2 experts",
        ),
    ],
)
def test_a_config_that_cannot_be_used_names_file_and_key(keys, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA, **keys}))
    with pytest.raises(TrainingError, match=message) as caught:
        Model.of_config(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type":\n "llama",,}', "line 2, column 10: not JSON"),
        ("[1, 2]", "list: needed one object"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ("", "line 1, column 1: not JSON"),
    ],
)
def test_a_file_that_is_no_config_says_where(text, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        Model.of(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        Model.of(tmp_path / "missing.json")


@given(st.sampled_from(sorted(ARCHITECTURES)), st.integers(0, 2**32 - 1))
def test_a_mangled_config_is_a_model_or_one_error(kind, seed):
    values = [None, -1, 0, 1, 3, 8, 10**30, 1.5, "x", [], [3, "y"], {}, True]
    keys = {key for _, config in OTHERS.values() for key in config} | {"n_embd", "n_layer"}
    keys |= {"n_positions", "num_local_experts", "decoder_sparse_step", "mlp_only_layers"}
    base = {**LLAMA, "n_embd": 8, "n_layer": 2, "n_positions": 4, "n_routed_experts": 4}
    drawn = {key: values[(seed >> i) % len(values)] for i, key in enumerate(sorted(keys))}
    config = {**base, **{k: v for i, (k, v) in enumerate(drawn.items()) if seed >> i & 1}}
    config["model_type"] = kind
    try:
        said = repr(Model.of_config(config))
    except EmulError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_the_data_of_presets_have_sources():
    text = Path(__file__).parents[2].joinpath("emul/training/presets/models.toml").read_text()
    assert text.count("source = ") == len(model_names())
