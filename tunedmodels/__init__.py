"""tunedmodels: a declarative reconciler for tuned LLMs."""

__version__ = "0.1.0"
