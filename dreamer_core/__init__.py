"""A deliberately simple Dreamer: the agent of the notebook course."""

__version__ = "0.1.0"
