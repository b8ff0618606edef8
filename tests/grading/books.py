"""Notebooks as students hand them in: a few cells of notebook 03 with these answers."""

import json
from pathlib import Path

OPEN = """from dreamer_core.classroom import begin, budget, exercise, glossary, hint, progress, solution

begin("03")"""
IMPORTS = "import torch\nfrom torch import Tensor"
SAMPLE = '@exercise("3.2")\ndef gaussian_sample(mean, std, noise):\n    """A sample."""\n'
KL = '@exercise("3.3")\ndef gaussian_kl(mean_q, std_q, mean_p, std_p):\n    """KL[q || p]."""\n'
BALANCE = '@exercise("3.4")\ndef balanced_kl(kl_dyn, kl_rep, balance, free_nats):\n    """Clipped and weighted."""\n'
RIGHT_KL = "return (torch.log(std_p / std_q) + (std_q**2 + (mean_q - mean_p) ** 2) / (2 * std_p**2) - 0.5).sum(-1)"


def answer(head: str, body: str) -> str:
    """A cell: the head of a function, and its body."""
    return head + "\n".join(f"    {line}" for line in body.splitlines())


def write(path: Path, *cells: str, begins: bool = True) -> Path:
    """A notebook with these code cells."""
    sources = [OPEN, IMPORTS, *cells] if begins else cells
    made = [{"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text, "outputs": []} for n, text in enumerate(sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return path
