"""Which row's loss reaches which row's h, z and encoder output, measured by autograd on the real model."""

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from dreamer_core.replay import Window
from dreamer_core.rssm import Beliefs
from dreamer_core.viz.show import GREY, RED, describe
from dreamer_core.world_model import WorldModel


class Flow(NamedTuple):
    """Entry [t, s]: the norm of d loss_t / d x_s, averaged over the batch."""

    h: np.ndarray  # (T, T)
    z: np.ndarray  # (T, T)
    encoder: np.ndarray  # (T, T)


class Unroll(NamedTuple):
    """A window unrolled row by row, every state a node of the graph: T tensors (B, ...) each."""

    h: list[Tensor]
    z: list[Tensor]
    posterior: list[Tensor]
    embed: list[Tensor]

    @property
    def beliefs(self) -> Beliefs:
        """The same as `RSSM.observe` returns."""
        return Beliefs(*(torch.stack(part, 1) for part in self[:3]))


def without_seams(window: Window) -> Window:
    """The windows of a batch that stay within one episode: an episode's start cuts every gradient."""
    return Window(*(part[(window.first[:, 1:] == 0).all(1)] for part in window))


def unroll(model: WorldModel, window: Window, cut: bool, noise: Tensor) -> Unroll:
    """The plain loop of `RSSM.observe`, with or without the cut of z between rows.

    Its states are kept one by one, because the gradient that flows through h_t and z_t to later
    rows does not pass through the stacked tensors that `observe` returns.
    """
    rssm = model.rssm
    h = window.h * (1 - window.first[:, :1])
    found = Unroll([], [], [], list(model.encode(window.observation).unbind(1)))
    for t, embed in enumerate(found.embed):
        if t > 0:
            z = found.z[-1].detach() if cut else found.z[-1]
            h = rssm.step(h, z, window.action[:, t - 1]) * (1 - window.first[:, t : t + 1])
        h = h.requires_grad_() if t == 0 else h  # the first h is a given number: ask for its gradient all the same
        posterior = rssm.posterior(h, embed)
        found.h.append(h)
        found.z.append(rssm.latent.sample(posterior, noise[:, t]))
        found.posterior.append(posterior)
    return found


def row_losses(model: WorldModel, window: Window, beliefs: Beliefs) -> Tensor:
    """The world model's loss on each row alone, averaged over the windows: (1, T).

    Their mean is the "total" of `WorldModel.loss` without "overshoot": a dream needs more than one row.
    """
    rows = range(window.first.shape[1])
    alone = [model.loss(window.rows(t, t + 1), beliefs=Beliefs(*(part[:, t : t + 1] for part in beliefs))) for t in rows]
    return torch.stack([losses["total"] for losses, _ in alone])[None]


def gradient_flow(model: WorldModel, window: Window, cut: bool, noise: Tensor | None = None) -> Flow:
    """Backpropagate each row's loss alone and measure what arrives where.

    Args:
        window: B windows of T rows (`without_seams`).
        cut: True detaches z where it enters the next row, as v1 does.
        noise: (B, T, ...) for the samples of z; drawn here if None.

    Raises:
        ValueError: the batch is empty.
    """
    batch, length = window.first.shape
    if batch == 0:
        raise ValueError("there is no window to measure: every one crosses an episode's start, so draw more or shorter windows")
    noise = model.rssm.latent.noise(batch, length) if noise is None else noise
    states = unroll(model, window, cut, noise)
    losses = batch * row_losses(model, window, states.beliefs)[0]  # (T,), summed over the windows, which do not touch one another
    sources = [*states.h, *states.z, *states.embed]
    flow = np.zeros((length, 3, length))
    for t in range(length):
        grads = torch.autograd.grad(losses[t], sources, retain_graph=True, allow_unused=True)  # None: there is no path
        norms = [0.0 if grad is None else float(grad.norm(dim=-1).mean()) for grad in grads]
        flow[t] = np.reshape(norms, (3, length))
    return Flow(*flow.swapaxes(0, 1))


def gradient_flow_figure(flows: Mapping[str, Flow], title: str = "") -> Figure:
    """One row of panels for each flow; columns h, z and encoder output. Exact zeros are white, everything else is coloured.

    Args:
        flows: name, such as "z cut (v1)" -> its flow.
    """
    figure, axes = plt.subplots(
        len(flows), 3, figsize=(9.5, 2.9 * len(flows) + 0.4), sharex=True, sharey=True, layout="constrained", squeeze=False
    )
    positive = np.concatenate([part[part > 0] for flow in flows.values() for part in flow])
    norm = LogNorm(positive.min(), positive.max())
    length = len(next(iter(flows.values())).h)
    for line, (name, flow) in zip(axes, flows.items()):
        for axis, values, source in zip(line, flow, ["$h_s$", "$z_s$", "encoder output $e_s$"]):
            shown = np.ma.masked_equal(values, 0)
            image = axis.imshow(shown, cmap="viridis_r", norm=norm, origin="upper", extent=(-0.5, length - 0.5, length - 0.5, -0.5))
            axis.set_title(f"{name}: to {source}", fontsize=10)
        line[0].set_ylabel("loss of row t")
    for axis in axes[-1]:
        axis.set_xlabel("row s it reaches")
    figure.colorbar(image, ax=axes, label="norm of d loss$_t$ / d x$_s$ (white: exactly 0)")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    told = "; ".join(
        f"{name}: the loss of the last row reaches "
        + ", ".join(f"{np.count_nonzero(values[-1])} rows of {source}" for values, source in zip(flow, ["h", "z", "the encoder"]))
        for name, flow in flows.items()
    )
    return describe(
        figure,
        alt=f"Heat maps of gradient norms over {length} rows of a window. {told}.",
        caption="Below the diagonal a later loss trains an earlier row. With z cut, that way leads through h alone: no encoder output "
        "hears of any loss but its own row's.",
    )


def paths(rows: int, cut: bool) -> dict[tuple[str, int, str, int], bool]:
    """Every arrow of a window's graph, (from, its row, to, its row) -> whether the last row's loss sends its gradient back along it.

    Args:
        rows: T. cut: whether z is detached where it enters the next row.
    """
    arrows = [("z", t, "h", t + 1) for t in range(rows - 1)] + [("h", t, "h", t + 1) for t in range(rows - 1)]
    for t in range(rows):
        arrows += [("e", t, "z", t), ("h", t, "z", t), ("h", t, "loss", t), ("z", t, "loss", t)]
    reached = {("loss", rows - 1)}
    for _ in range(3 * rows):  # the longest way back has fewer arrows than that
        reached |= {(a, t) for a, t, b, s in arrows if (b, s) in reached and not (cut and (a, b) == ("z", "h"))}
    return {(a, t, b, s): (b, s) in reached and not (cut and (a, b) == ("z", "h")) for a, t, b, s in arrows}


def paths_figure(rows: int = 4, title: str = "") -> Figure:
    """The graph of a window, left with z cut as in v1, right without: the ways back of the last row's loss are red."""
    height = {"e": 0.0, "h": 1.0, "z": 2.0, "loss": 3.0}
    shift = {"e": 0.22, "h": 0.0, "z": 0.22, "loss": 0.0}  # so that no arrow runs through a third circle
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.3), sharey=True, layout="constrained")
    told = []
    for axis, cut in zip(axes, (True, False)):
        trained = paths(rows, cut)
        lit = {(a, t) for (a, t, _, _), red in trained.items() if red} | {("loss", rows - 1)}
        for (a, t, b, s), red in trained.items():
            style = dict(color=RED, linewidth=2.2) if red else dict(color=GREY, linewidth=0.9)
            style |= dict(arrowstyle="-|>", linestyle=":" if cut and (a, b) == ("z", "h") else "-", shrinkA=11, shrinkB=11)
            axis.annotate("", xy=(s + shift[b], height[b]), xytext=(t + shift[a], height[a]), arrowprops=style)
        for kind, y in height.items():
            for t in range(rows):
                axis.plot(t + shift[kind], y, "o", markersize=22, color="white", markeredgecolor=RED if (kind, t) in lit else GREY)
                name = "L" if kind == "loss" else kind
                axis.text(t + shift[kind], y, f"${name}_{t}$", ha="center", va="center_baseline", fontsize=10)
        axis.set(xlim=(-0.4, rows - 0.35), ylim=(-0.5, 3.5), title="z cut (v1)" if cut else "z not cut", xlabel="row")
        axis.set(xticks=range(rows), yticks=list(height.values()), yticklabels=["encoder output e", "h", "z", "loss L"])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        told.append(
            f"{'with' if cut else 'without'} the cut it reaches "
            + " and ".join(f"{sum(kind == a for a, _ in lit)} of {rows} {word}" for kind, word in (("h", "h"), ("e", "encoder outputs")))
        )
    axes[0].set_ylabel("what is computed")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return describe(
        figure,
        alt=f"Graph of a window of {rows} rows, encoder output e, state h, z and loss L in each. The way back of the last loss is red: "
        f"{'; '.join(told)}.",
        caption="Arrows point forward in time, as numbers are computed; gradients run against them. Red: where the last row's loss "
        "is felt. Dotted: z enters the next row detached, so its number passes and its gradient does not.",
    )
