"""Right answers to notebook 13, written otherwise than the course's own."""

import numpy as np
import torch


def assemble_by_places(patches, patch):
    """Each pixel of the patches is a picture of its own, which fills every patch-th row and column."""
    count, numbers, rows, columns = patches.shape
    picture = patches.new_zeros(count, numbers // patch**2, rows * patch, columns * patch)
    for i in range(patch):
        for j in range(patch):
            picture[:, :, i::patch, j::patch] = patches[:, i * patch + j :: patch**2]
    return picture


def assemble_by_shuffle(patches, patch):
    """torch has it."""
    return torch.nn.functional.pixel_shuffle(patches, patch)


def share_by_parts(told, real, part):
    """Inside and outside by themselves."""
    difference = np.asarray(told, float) - np.asarray(real, float)
    inside = (difference**2 * part[..., None]).sum()
    outside = (difference**2 * ~part[..., None]).sum()
    return float(inside / (inside + outside)) if inside + outside > 0 else 0.0


def probe_by_rows(x, y, x_test, ridge=1e-3):
    """The penalty as more rows of data, solved by least squares."""
    centre, mean = x.mean(axis=0), y.mean(axis=0)
    inputs = (x - centre) / len(x) ** 0.5
    weight = (ridge * np.square(inputs).sum(0).mean()) ** 0.5
    rows = np.concatenate([inputs, weight * np.eye(x.shape[1])])
    goal = np.concatenate([(y - mean) / len(x) ** 0.5, np.zeros((x.shape[1], y.shape[1]))])
    return mean + (x_test - centre) @ np.linalg.lstsq(rows, goal, rcond=None)[0]


def occlude_by_multiplying(frames, start, stop, part):
    """A mask for all frames, 0 where nothing is seen."""
    seen = np.ones(frames.shape[:3], frames.dtype)
    for row in range(start, stop):
        seen[row] -= part.astype(frames.dtype)
    return frames * seen[..., None]


RIGHT = {
    "13.1": [assemble_by_places, assemble_by_shuffle],
    "13.2": [share_by_parts],
    "13.3": [probe_by_rows],
    "13.4": [occlude_by_multiplying],
}
