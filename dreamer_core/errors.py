"""Mistakes a user can make, each with one sentence that says what was wrong and what to do."""


class DreamerError(Exception):
    """Base of all errors meant to be read by a person. Its text is one sentence."""


class ConfigError(DreamerError):
    """A setting that does not exist, has the wrong type, or is out of range."""


class EnvError(DreamerError):
    """An environment that cannot be made, is not supported, or misbehaved."""


class NotEnoughData(DreamerError):
    """Learning was asked for before the replay buffer holds enough rows."""


class Diverged(DreamerError):
    """Learning produced numbers that are not numbers."""


class CheckpointError(DreamerError):
    """A checkpoint that is missing, damaged, or belongs to another configuration or version."""


class InUse(CheckpointError):
    """A run's folder in which another run is at work."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that was truncated or altered; the one before it may still be whole."""
