"""The online queue: each piece of fresh experience is learned from at once, and once.

Uniform draws from a large buffer reach a new row late: with R rows stored and B windows of T rows in each
batch, it waits about R / (B T) updates for its first turn. The queue cuts the stream into chunks of T rows, one
after the other, and serves each as soon as it is whole, before uniform windows fill the batch. Source: DreamerV3
(arXiv 2301.04104v2), "Experience replay"; official code, embodied/core/replay.py (`online`).
"""

import torch
from torch import Tensor


def fresh_chunks(served: int, oldest: int, count: int, length: int, most: int) -> tuple[Tensor, int]:
    """Which chunks come next, and what has been served then.

    Args:
        served: rows of the stream that were served, or passed over, so far. oldest, count: rows oldest .. count - 1 are stored.
        length: rows T in a chunk. most: chunks wanted.

    Returns:
        The row numbers at which up to `most` whole chunks start, (C,), oldest first; a chunk whose first rows
        were overwritten before its turn is passed over. And the new value of `served`.
    """
    if served < oldest:
        served += -(-(oldest - served) // length) * length
    chunks = max(0, min(most, (count - served) // length))
    return served + length * torch.arange(chunks), served + length * chunks
