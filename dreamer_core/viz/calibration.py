"""Does a predicted standard deviation mean what it says?

A head that predicts a Normal makes a promise: 68 % of what arrives lies within one standard
deviation of the mean, 95 % within two. Two pictures hold it to that. *Coverage* asks how much lies
within a central interval that promises p. The *probability integral transform* (PIT) asks where
in its predicted distribution each value fell, u = F(r): for a true promise u is uniform on [0, 1]
(Gneiting, Balabdaoui and Raftery, Probabilistic forecasts, calibration and sharpness, 2007).
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dreamer_core.viz.show import BLUE, GREEN, GREY, ORANGE, PURPLE, describe

COLOURS = [BLUE, ORANGE, GREEN, PURPLE]
NORMAL = torch.distributions.Normal(0.0, 1.0)
ONE = float(2 * NORMAL.cdf(torch.tensor(1.0)) - 1)  # what a Normal holds within one standard deviation, 0.683


def coverage(mean: Tensor, std: Tensor, reward: Tensor, widths: Tensor) -> Tensor:
    """The share of rewards within each number of standard deviations of their mean: (N,), (N,), (N,), (W,) -> (W,)."""
    miss = ((reward - mean) / std).abs()  # (N,)
    return (miss <= widths[:, None]).float().mean(1)


def pit(mean: Tensor, std: Tensor, reward: Tensor) -> Tensor:
    """The probability that was given to less than what came, u = F(r), elementwise: uniform on [0, 1] if the promise holds."""
    return NORMAL.cdf((reward - mean) / std)


def calibration_figure(heads: Mapping[str, tuple[Tensor, Tensor]], reward: Tensor, title: str = "", bins: int = 20) -> Figure:
    """Left, measured against promised coverage; then a histogram of the PIT for each head.

    Args:
        heads: name -> predicted mean and std, each (N,). reward: (N,), what came.

    Raises:
        ValueError: more heads than there are colours to tell them apart.
    """
    if len(heads) > len(COLOURS):
        raise ValueError(f"{len(heads)} heads cannot be told apart in one figure: draw at most {len(COLOURS)}")
    figure, axes = plt.subplots(
        1, 1 + len(heads), figsize=(3.4 + 2.1 * len(heads), 3.6), width_ratios=[1.6] + [1] * len(heads), layout="constrained"
    )
    promised = torch.linspace(0.01, 0.99, 50)
    widths = NORMAL.icdf((1 + promised) / 2)
    told = []
    axes[0].plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="kept promise")
    for (name, (mean, std)), axis, colour in zip(heads.items(), axes[1:], COLOURS):
        axes[0].plot(promised, coverage(mean, std, reward, widths), color=colour, linewidth=2, label=name)
        axis.hist(pit(mean, std, reward).numpy(), bins=bins, range=(0, 1), density=True, color=colour, alpha=0.8)
        axis.axhline(1, color=GREY, linestyle="--", linewidth=1)
        axis.set(xlabel="PIT u = F(r)", xlim=(0, 1), yticks=[0, 1])
        axis.set_title(name, fontsize=9)
        told.append(f"{name}: {coverage(mean, std, reward, torch.ones(1)).item():.0%}")
    axes[0].axvline(ONE, color=GREY, linewidth=0.8, linestyle=":")
    axes[0].set(xlabel="promised share", ylabel="measured share", xlim=(0, 1), ylim=(0, 1.02))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=1 + len(heads))
    axes[0].grid(alpha=0.25)
    axes[1].set_ylabel("density")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return describe(
        figure,
        alt=f"Calibration of {len(heads)} reward heads. Share of rewards within one standard deviation, where a Normal promises "
        f"{ONE:.0%}: {'; '.join(told)}.",
        caption="Left: above the diagonal the intervals are too wide, below it too narrow. The dotted line marks one standard deviation. "
        "Right: flat is honest; a hill in the middle means too wide, a valley too narrow.",
    )
