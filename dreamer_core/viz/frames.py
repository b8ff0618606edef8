"""Frames as arrays: what is covered in them, and where what a decoder makes of them is wrong.

For worlds whose observations are pictures (H, W, C) of bytes. What a decoder makes is between the bytes, and is drawn as the nearest.
"""

import numpy as np

from dreamer_core.viz.show import ORANGE, PURPLE


def as_seen(frames: np.ndarray) -> np.ndarray:
    """Frames (..., H, W, C) as bytes in colours (..., H, W, 3)."""
    frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return np.broadcast_to(frames, (*frames.shape[:-1], 3)) if frames.shape[-1] == 1 else frames


def error_picture(told: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Where told frames (..., H, W, C) are wrong: white where they are right, orange where there is too much light, purple where light is
    missing. Bytes (..., H, W, 3)."""
    wrong = np.clip((told.astype(float) - real).mean(-1, keepdims=True) / 255, -1, 1)
    inks = [np.array([int(ink[place : place + 2], 16) for place in (1, 3, 5)]) for ink in (ORANGE, PURPLE)]
    return np.rint(255 + abs(wrong) * (np.where(wrong > 0, *inks) - 255)).astype(np.uint8)


def occlude(frames: np.ndarray, start: int, stop: int, part: np.ndarray) -> np.ndarray:
    """Frames in which a part is black for a while.

    Args:
        frames: (T, H, W, C), which stay as they are. start, stop: rows start .. stop - 1 are covered.
        part: (H, W), True where nothing is seen then.

    Returns:
        (T, H, W, C), of the same type.
    """
    covered = frames.copy()
    covered[start:stop, part] = 0
    return covered


def share_of_error(told: np.ndarray, real: np.ndarray, part: np.ndarray) -> float:
    """How much of the squared error lies within a part of the picture.

    Args:
        told, real: (T, H, W, C), of any type; bytes are taken as numbers that may be negative.
        part: (T, H, W), True for the pixels that belong to it.

    Returns:
        Between 0 and 1; 0 where there is no error at all.
    """
    squared = np.square(told.astype(float) - real.astype(float)).sum(-1)
    total = squared.sum()
    return float(squared[part].sum() / total) if total > 0 else 0.0
