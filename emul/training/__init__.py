"""Training steps across campuses: models, hardware and the descriptions that others wrote."""

from emul.training.layer import Layer
from emul.training.model import Model

__all__ = ["Layer", "Model"]
