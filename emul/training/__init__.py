"""Training steps across campuses: models, hardware and the descriptions that others wrote."""

from emul.training.hardware import Hardware, StateBytes, state_bytes
from emul.training.layer import Layer
from emul.training.model import Model

__all__ = ["Hardware", "Layer", "Model", "StateBytes", "state_bytes"]
