"""A model as a training step sees it: its layers in forward order, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from emul.errors import ArgumentError, shown, unknown_name
from emul.reading.bounded_text import toml_document
from emul.reading.brief import one_line
from emul.reading.checks import whole
from emul.training.architectures import layers_of
from emul.training.config_file import CONFIG, config_in, named_after
from emul.training.layer import EMBEDDING, HEAD, MOST_PARAMETERS, Layer, counts

__all__ = ["Model", "model_names", "source_of"]

MOST_LAYERS = 1_000_000
"""Of a model: each is an object of some 200 bytes."""

LONGEST_NAME = 200

WORKLOADS = (".txt", ".et")
"""How the names of files end that have no model in them."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Model:
    """A model to train: its layers in forward order.

    Parameters
    ----------
    parameters
        Of the whole model; numbers such as ``405e9`` are taken if they are whole.
    layers
        The number of layers, which are equal; the remainder is spread over the first ones, so that
        the sum is exact.
    hidden
        The width of a token between layers, in elements; 0: unknown.
    active
        The parameters that a token meets; None: all.
    name
        For reports.

    Raises ArgumentError for numbers out of range. Other ways to make one: `Model.of_layers`,
    `Model.of_tensors`, `Model.of_config`, `Model.preset` and `Model.of`.

    >>> model = Model(1e9, 80, hidden=4096)
    >>> model, model.layers[0].parameters
    (<Model of 1e+09 parameters in 80 layers>, 12500000)
    """

    name: str
    layers: tuple[Layer, ...]

    def __init__(
        self,
        parameters: float,
        layers: int,
        *,
        hidden: int = 0,
        active: float | None = None,
        name: str = "",
    ) -> None:
        """Make ``layers`` equal layers (see the class)."""
        number = whole(layers, "layers", 1, MOST_LAYERS)
        total = _count(parameters, "parameters")
        met = total if active is None else _count(active, "active")
        if met > total:
            raise ArgumentError(f"active {met}: needed at most the {total} parameters")
        width = whole(hidden, "hidden", 0, MOST_PARAMETERS)
        self._keep(
            name,
            (
                Layer(f"layer {i}", own, used, width)
                for i, (own, used) in enumerate(
                    zip(counts(total, number), counts(met, number), strict=True)
                )
            ),
        )

    def _keep(self, name: str, layers: Iterable[Layer]) -> None:
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ArgumentError(
                f"name {shown(name)}: needed a text of at most {LONGEST_NAME} letters"
            )
        kept = tuple(layers)
        for layer in kept:
            if not isinstance(layer, Layer):
                raise ArgumentError(f"{shown(layer)}: needed a Layer")
        if not sum(layer.parameters for layer in kept):
            raise ArgumentError("a model without parameters: needed layers with some")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "layers", kept)

    def __repr__(self) -> str:
        """Return the name and size in one line."""
        met = "" if self.active == self.parameters else f", {self.active:.4g} of them active,"
        name = f"{self.name} " if self.name else ""
        return one_line(
            f"<Model {name}of {self.parameters:.4g} parameters{met} in {len(self.layers)} layers>"
        )

    @property
    def parameters(self) -> int:
        """The parameters of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def active(self) -> int:
        """The parameters that a token meets.

        Of embedding and head each counts whole: of DeepSeek-V3, 37.6e9, where its authors leave the
        embedding (0.9e9) out and say 36.6e9.
        """
        return sum(layer.active for layer in self.layers)

    @property
    def hidden(self) -> int:
        """The largest width of a layer, in elements; 0: unknown."""
        return max(layer.hidden for layer in self.layers)

    @property
    def blocks(self) -> int:
        """The number of layers that are neither the embedding nor the head."""
        return sum(layer.name not in (EMBEDDING, HEAD) for layer in self.layers)

    @classmethod
    def of_layers(cls, layers: Iterable[Layer], name: str = "") -> Model:
        """Return the model of some layers in forward order; raises ArgumentError for none."""
        made = cls.__new__(cls)
        made._keep(name, layers)
        return made

    @classmethod
    def of_tensors(cls, elements: Iterable[int], name: str = "") -> Model:
        """Return the model of some tensors in forward order, each a layer of its own.

        Raises ArgumentError for a number of elements that is not whole.

        >>> Model.of_tensors([50257 * 256, 256 * 256]).layers[1]
        Layer(name='tensor 1', parameters=65536, active=65536, hidden=0, tensors=(65536))
        """
        sizes = [_count(each, f"tensor {i}") for i, each in enumerate(elements)]
        return cls.of_layers(
            (Layer(f"tensor {i}", each, each, 0, tensors=(each,)) for i, each in enumerate(sizes)),
            name,
        )

    @classmethod
    def of_config(cls, config: str | Path | Mapping[str, Any], name: str | None = None) -> Model:
        """Return the model that a ``config.json`` of Hugging Face describes.

        ``config``: the path of the file or of its folder, or its content. Kinds (``model_type``)
        are those of `emul.training.architectures`. Embedding and head are layers of their own.
        Raises TrainingError, with file and key.
        """
        if isinstance(config, Mapping):
            kind = str(config.get("model_type", ""))[:LONGEST_NAME]
            return cls.of_layers(layers_of(config, "config"), kind if name is None else name)
        path = Path(config)
        path = path / CONFIG if path.is_dir() else path
        said = named_after(path)[:LONGEST_NAME] if name is None else name
        return cls.of_layers(layers_of(config_in(path), str(path)), said)

    @classmethod
    def preset(cls, name: str) -> Model:
        """Return the model called ``name``, one of `model_names`; raises ArgumentError.

        >>> Model.preset("llama-3.1-8b")
        <Model llama-3.1-8b of 8.03e+09 parameters in 34 layers>
        """
        if name not in _presets():
            raise unknown_name("model", name, model_names())
        return cls.of_layers(_preset_layers(name), name)

    @classmethod
    def of(cls, given: Model | str | Path) -> Model:
        """Return a model that is given as one, by name, or by the path of a description.

        A description is a ``config.json`` of Hugging Face or its folder. Raises ArgumentError for
        a name that is none and for a workload, which has times and bytes and no parameters (see
        `emul.training.read_workload`); TrainingError for a file that cannot be used.
        """
        if isinstance(given, Model):
            return given
        if not isinstance(given, str | Path):
            raise ArgumentError(f"model {shown(given)}: needed a Model, a name or a path")
        if str(given) in _presets():
            return cls.preset(str(given))
        if str(given).endswith(WORKLOADS):
            raise ArgumentError(
                f"model {shown(str(given))}: needed a model; a workload says times and bytes, no "
                "parameters: read it with emul.training.read_workload or read_execution_trace"
            )
        if isinstance(given, Path) or given.endswith(".json") or _is_folder(given):
            return cls.of_config(given)
        raise unknown_name("model", given, (*model_names(), f"the path of a {CONFIG}"))


def model_names() -> tuple[str, ...]:
    """Return the names of the models that come with emul, in alphabetical order."""
    return tuple(sorted(_presets()))


def source_of(name: str) -> str:
    """Return the source of a model that comes with emul; empty for any other name."""
    return str(_presets()[name]["source"]) if name in _presets() else ""


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except ValueError:  # of a name with a NUL
        return False


def _count(value: object, what: str) -> int:
    """Return a number of parameters, which may be a float such as 405e9 if it is whole."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole(value, what, 1, MOST_PARAMETERS)


@cache
def _presets() -> dict[str, Any]:
    text = files("emul.training.presets").joinpath("models.toml").read_text(encoding="utf-8")
    return toml_document(text, "models that come with emul")


@cache
def _preset_layers(name: str) -> tuple[Layer, ...]:
    return layers_of(_presets()[name]["config"], f"model {name}")
