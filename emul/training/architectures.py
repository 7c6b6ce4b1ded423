"""Layers of the transformers that a ``config.json`` of Hugging Face describes, with exact counts.

The keys are those of the library transformers, and the tensors those of its models of the same
``model_type`` (modeling_llama.py, modeling_qwen3_moe.py, modeling_deepseek_v3.py and so on), which
are those of the published files of weights. Layers of multi-token prediction
(``num_nextn_predict_layers``) are not counted, as in the published 671e9 of DeepSeek-V3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emul.errors import TrainingError
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range
from emul.training.layer import EMBEDDING, HEAD, Layer

__all__ = ["ARCHITECTURES", "layers_of"]

WIDTH = Range(1, 1 << 24, "elements")
LAYERS = Range(1, 10_000, "layers")
HEADS = Range(1, 1 << 20, "heads")
EXPERTS = Range(1, 4096, "experts")
PLACES = Range(0, 10_000, "layers")
SHARED = Range(0, 4096, "experts")

Tensors = tuple[int, ...]
"""The elements of each tensor, in forward order."""


@dataclass(frozen=True, slots=True)
class Attention:
    """The tensors of attention in one block, and the elements of keys and values of a token."""

    tensors: Tensors
    kv_width: int


@dataclass(frozen=True, slots=True)
class FeedForward:
    """The tensors of a block behind attention: those that every token meets, and routed experts.

    ``expert``: the tensors of one of the ``experts``, of which a token meets ``top_k``.
    """

    every: Tensors
    experts: int = 0
    top_k: int = 0
    expert: Tensors = ()


@dataclass(frozen=True, slots=True)
class Architecture:
    """One kind of decoder: how its file says attention, and the part behind it of every block.

    ``norms``: those of a block. ``tied``: whether the head is the table of the embedding, where
    the file does not say it.
    """

    attention: Callable[[TomlTable, int], Attention]
    feed_forward: Callable[[TomlTable, int, int], list[FeedForward]]
    norms: int = 2
    tied: bool = False

    def layers(self, table: TomlTable) -> Iterator[Layer]:
        """Yield embedding, blocks and head; raises TrainingError."""
        hidden = table.integer("hidden_size", WIDTH)
        blocks = table.integer("num_hidden_layers", LAYERS)
        words = table.integer("vocab_size", WIDTH) * hidden
        attention = self.attention(table, hidden)
        tied = _truth(table, "tie_word_embeddings", self.tied)
        yield _embedding((words,), tied, hidden)
        for number, behind in enumerate(self.feed_forward(table, hidden, blocks)):
            yield _block(number, hidden, (hidden,) * self.norms, attention, behind)
        yield _head((hidden,), words, tied, hidden)


def layers_of(config: Mapping[str, object], where: str) -> tuple[Layer, ...]:
    """Return embedding, blocks and head of the model that ``config`` describes.

    ``where`` names its source in errors. Raises TrainingError for a kind of model that is not
    known, a key that is missing and a value out of range.
    """
    said = {key: value for key, value in config.items() if value is not None}
    table = TomlTable(said, where, "", TrainingError)
    if "model_type" not in said:
        raise table.missing("model_type", f"one of {', '.join(ARCHITECTURES)}")
    return tuple(ARCHITECTURES[table.choice("model_type", ARCHITECTURES, "")](table))


def _embedding(tensors: Tensors, tied: bool, hidden: int) -> Layer:
    """Return the tables of the embedding, of which the first is active in a head that is tied."""
    total = sum(tensors)
    active = total - tensors[0] if tied else total
    return Layer(EMBEDDING, total, active, hidden, tensors=tensors)


def _head(norm: Tensors, words: int, tied: bool, hidden: int) -> Layer:
    """Return the last norm and the head, which has no tensor of its own where it is tied."""
    tensors = norm if tied else (*norm, words)
    return Layer(HEAD, sum(tensors), sum(norm) + words, hidden, tensors=tensors)


def _block(
    number: int, hidden: int, norms: Tensors, attention: Attention, behind: FeedForward
) -> Layer:
    every = (*norms, *attention.tensors, *behind.every)
    expert = sum(behind.expert)
    return Layer(
        f"block {number}",
        parameters=sum(every) + behind.experts * expert,
        active=sum(every) + behind.top_k * expert,
        hidden=hidden,
        experts=behind.experts,
        top_k=behind.top_k,
        expert_parameters=behind.experts * expert,
        kv_width=attention.kv_width,
        tensors=every + behind.experts * behind.expert,
    )


def _grouped(table: TomlTable, hidden: int) -> Attention:
    """Return grouped-query attention, with biases where ``attention_bias`` says so."""
    biased = _truth(table, "attention_bias", False)
    return _queries_and_keys(table, hidden, inner_bias=biased, outer_bias=biased)


def _of_own_width(table: TomlTable, hidden: int) -> Attention:
    """Return grouped-query attention whose heads need not share out the width of the model."""
    table.integer("head_dim", WIDTH)
    return _grouped(table, hidden)


def _plain(table: TomlTable, hidden: int) -> Attention:
    return _queries_and_keys(table, hidden)


def _inner_biased(table: TomlTable, hidden: int) -> Attention:
    return _queries_and_keys(table, hidden, inner_bias=_truth(table, "qkv_bias", True))


def _normed(table: TomlTable, hidden: int) -> Attention:
    """Return grouped-query attention whose queries and keys have norms, one for all heads."""
    biased = _truth(table, "attention_bias", False)
    width = table.integer("head_dim", WIDTH)
    found = _queries_and_keys(table, hidden, inner_bias=biased, outer_bias=biased)
    return Attention((*found.tensors, width, width), found.kv_width)


def _queries_and_keys(
    table: TomlTable, hidden: int, *, inner_bias: bool = False, outer_bias: bool = False
) -> Attention:
    heads = table.integer("num_attention_heads", HEADS)
    width = table.integer("head_dim", WIDTH, 0) or _head_width(table, hidden, heads)
    usual = heads if table.content["model_type"] == "llama" else None
    keys = table.integer("num_key_value_heads", HEADS, usual) * width
    wide = (heads * width, keys, keys)
    inner = [
        size
        for each in wide
        for size in ((hidden * each, each) if inner_bias else (hidden * each,))
    ]
    outer = (heads * width * hidden, hidden) if outer_bias else (heads * width * hidden,)
    return Attention((*inner, *outer), 2 * keys)


def _head_width(table: TomlTable, hidden: int, heads: int) -> int:
    if hidden % heads:
        raise table.refusal(
            "num_attention_heads", heads, f"a divisor of the width {hidden}, or head_dim"
        )
    return hidden // heads


def _latent(table: TomlTable, hidden: int) -> Attention:
    """Return latent attention (MLA; DeepSeek-V2, arXiv 2405.04434, section 2.1)."""
    heads = table.integer("num_attention_heads", HEADS)
    rotary = table.integer("qk_rope_head_dim", WIDTH)
    query = heads * (table.integer("qk_nope_head_dim", WIDTH) + rotary)
    value = heads * table.integer("v_head_dim", WIDTH)
    latent = table.integer("kv_lora_rank", WIDTH)
    keys = query - heads * rotary
    queries: Tensors = (hidden * query,)
    if "q_lora_rank" in table.content:
        rank = table.integer("q_lora_rank", WIDTH)
        queries = (hidden * rank, rank, rank * query)
    compressed = (hidden * (latent + rotary), latent, latent * (keys + value))
    return Attention((*queries, *compressed, value * hidden), latent + rotary)


def _gated(hidden: int, width: int, bias: bool = False) -> Tensors:
    """Return the three matrices of a gated layer (SwiGLU, GeGLU)."""
    matrix = hidden * width
    return (matrix, width, matrix, width, matrix, hidden) if bias else (matrix,) * 3


def _dense(table: TomlTable, hidden: int, blocks: int) -> list[FeedForward]:
    width = table.integer("intermediate_size", WIDTH)
    return [FeedForward(_gated(hidden, width, _truth(table, "mlp_bias", False)))] * blocks


def _mixtral(table: TomlTable, hidden: int, blocks: int) -> list[FeedForward]:
    width = table.integer("intermediate_size", WIDTH)
    experts, top_k = _experts(table, "num_local_experts")
    return [FeedForward((hidden * experts,), experts, top_k, _gated(hidden, width))] * blocks


def _qwen_experts(table: TomlTable, hidden: int, blocks: int) -> list[FeedForward]:
    """Return blocks of which some are dense.

    Those of qwen2_moe have an expert that every token meets, with a gate.
    """
    experts, top_k = _experts(table, "num_experts")
    width = table.integer("moe_intermediate_size", WIDTH)
    shared = table.integer("shared_expert_intermediate_size", WIDTH, 0)
    every = (
        hidden * experts,
        *(_gated(hidden, shared) if shared else ()),
        *(hidden,) * bool(shared),
    )
    sparse = FeedForward(every, experts, top_k, _gated(hidden, width))
    dense = _dense(table, hidden, 1)[0]
    step = table.integer("decoder_sparse_step", LAYERS, 1)
    alone = table.content.get("mlp_only_layers", [])
    if not isinstance(alone, list):
        raise table.refusal("mlp_only_layers", alone, "a list of layers")
    return [dense if number in alone or (number + 1) % step else sparse for number in range(blocks)]


def _deepseek_v2(table: TomlTable, hidden: int, blocks: int) -> list[FeedForward]:
    return _deepseek(table, hidden, blocks, corrected=False)


def _deepseek_v3(table: TomlTable, hidden: int, blocks: int) -> list[FeedForward]:
    """Return blocks whose gates have one bias for each expert, which balances their load."""
    return _deepseek(table, hidden, blocks, corrected=True)


def _deepseek(table: TomlTable, hidden: int, blocks: int, *, corrected: bool) -> list[FeedForward]:
    dense = _dense(table, hidden, 1)[0]
    if "n_routed_experts" not in table.content:
        return [dense] * blocks
    experts, top_k = _experts(table, "n_routed_experts")
    width = table.integer("moe_intermediate_size", WIDTH)
    shared = table.integer("n_shared_experts", SHARED, 0)
    gate = (hidden * experts, experts) if corrected else (hidden * experts,)
    every = (*gate, *(_gated(hidden, shared * width) if shared else ()))
    sparse = FeedForward(every, experts, top_k, _gated(hidden, width))
    first = table.integer("first_k_dense_replace", PLACES, 0)
    step = table.integer("moe_layer_freq", LAYERS, 1)
    return [sparse if number >= first and number % step == 0 else dense for number in range(blocks)]


def _experts(table: TomlTable, key: str) -> tuple[int, int]:
    """Return the routed experts of a block, and how many of them a token meets."""
    experts = table.integer(key, EXPERTS)
    return experts, table.integer("num_experts_per_tok", Range(1, experts, "experts"))


def _gpt2(table: TomlTable) -> Iterator[Layer]:
    """Yield the layers of GPT-2, whose matrices and norms all have biases."""
    hidden = table.integer("n_embd", WIDTH)
    words = table.integer("vocab_size", WIDTH) * hidden
    width = table.integer("n_inner", WIDTH, 4 * hidden)
    tied = _truth(table, "tie_word_embeddings", True)
    yield _embedding((words, table.integer("n_positions", WIDTH) * hidden), tied, hidden)
    attention = Attention((3 * hidden * hidden, 3 * hidden, hidden * hidden, hidden), 2 * hidden)
    behind = FeedForward((hidden * width, width, width * hidden, hidden))
    for number in range(table.integer("n_layer", LAYERS)):
        yield _block(number, hidden, (hidden,) * 4, attention, behind)
    yield _head((hidden, hidden), words, tied, hidden)


def _truth(table: TomlTable, key: str, default: bool) -> bool:
    return table.flag(key) if key in table.content else default


ARCHITECTURES: Mapping[str, Callable[[TomlTable], Iterator[Layer]]] = MappingProxyType(
    {
        "llama": Architecture(_grouped, _dense).layers,
        "mistral": Architecture(_plain, _dense).layers,
        "mixtral": Architecture(_plain, _mixtral).layers,
        "qwen2": Architecture(_inner_biased, _dense).layers,
        "qwen2_moe": Architecture(_inner_biased, _qwen_experts).layers,
        "qwen3": Architecture(_normed, _dense).layers,
        "qwen3_moe": Architecture(_normed, _qwen_experts).layers,
        "gemma": Architecture(_of_own_width, _dense, tied=True).layers,
        "gemma2": Architecture(_of_own_width, _dense, norms=4, tied=True).layers,
        "gemma3_text": Architecture(_normed, _dense, norms=4, tied=True).layers,
        "gpt2": _gpt2,
        "deepseek_v2": Architecture(_latent, _deepseek_v2).layers,
        "deepseek_v3": Architecture(_latent, _deepseek_v3).layers,
    }
)
"""The layers of every kind of model, by its ``model_type``."""
