"""Which rows the buffer serves, and where it puts refreshed states back."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import filled, specimen, specimen_config
from dreamer_core.clinic.subject import Subject
from dreamer_core.viz.show import BLUE, GREY, describe

HELD, DRAWS = 256, 4096  # rows in the buffer, windows drawn

SERVED_SAYS = {
    "rows never served": "share of rows that no window holds",
    "unevenness": "chi-square of where windows start, per degree of freedom",
    "rows mislabelled": "share of rows whose number is not that of what they hold",
}
SERVED_HEALTHY: dict[str, Range] = {
    "rows never served": exactly(0, 0.02),  # 4,096 draws leave no row of 256 out; a grid of chunks leaves some at the ends
    "unevenness": (0.5, 1.6),  # 1 by chance, with a standard deviation of sqrt(2 / 255) = 0.09 or, with few chunks, 0.36
    "rows mislabelled": exactly(0),
}


def measure_served(subject: Subject) -> Reading:
    """Fill a buffer, and draw many windows from it."""
    with apart(subject):
        length = min(subject.config.replay.length, 16)
        agent = specimen(subject, specimen_config(subject, length=length, start="stored"))
        filled(agent, HELD, 32)
        window = agent.replay.sample(DRAWS, length)
        chunks = agent.config.replay.layout == "chunks"
    shown = window.observation[..., 0].round().long()
    served = torch.bincount(shown.flatten().clamp(0, HELD - 1), minlength=HELD)
    starts = torch.bincount(shown[:, 0].clamp(0, HELD - 1), minlength=HELD).float()
    expected = torch.zeros(HELD)
    if chunks:
        expected[torch.arange(0, HELD - length + 1, length)] = DRAWS / (HELD // length)
        asked = HELD // length * length
    else:
        expected[: HELD - length] = DRAWS / HELD
        expected[HELD - length] = DRAWS * length / HELD
        asked = HELD
    free = expected > 0
    chi = ((starts - expected)[free].square() / expected[free]).sum() + starts[~free].sum()
    numbers = {
        "rows never served": float((served[:asked] == 0).float().mean()),
        "unevenness": float(chi / (free.sum() - 1)),
        "rows mislabelled": float((shown != window.index).float().mean()),
    }
    return numbers_reading(SERVED_SAYS, SERVED_HEALTHY, numbers)._replace(figure=lambda: served_figure(served))


def served_figure(served: Tensor) -> Figure:
    """How often each row of the buffer was in a window."""
    figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
    axis.bar(range(len(served)), served, width=1, color=BLUE)
    axis.axhline(float(served.float().mean()), color=GREY, linestyle="--", linewidth=1)
    axis.set(xlabel="row of the buffer, oldest first", ylabel=f"times in {DRAWS:,} windows", xlim=(-1, len(served)))
    never = int((served == 0).sum())
    return describe(
        figure,
        alt=f"How often each of {len(served)} rows was served: {int(served.min())} to {int(served.max())} times; {never} rows never.",
        caption="All rows should come up about as often as the dashed mean: less at the oldest edge, which fewer windows reach, and "
        "more at the newest, since windows that would stick out are moved back.",
    )


MARK = 1000  # above every number of a row, so that a refreshed state shows

REFRESHED_SAYS = {
    "rows late": "rows between a refreshed state's own row and the row it is stored in",
    "first row overwritten": "share of windows whose first row, which was only read, is overwritten",
    "rows not refreshed": "share of recomputed rows that are not stored",
    "gradient stored": "stored states that carry a gradient",
}
REFRESHED_HEALTHY: dict[str, Range] = {name: exactly(0) for name in REFRESHED_SAYS}


def measure_refreshed(subject: Subject) -> Reading:
    """Write back states that carry the number of their row, above MARK, and look where they are."""
    with apart(subject):
        agent = specimen(subject, specimen_config(subject, write_back_zero=True))
        rows, length = 40, 6
        filled(agent, rows, 20)
        replay = agent.replay
        before = replay.read("h", torch.arange(rows))[:, 0]
        index = torch.tensor([5, 15, 27])[:, None] + torch.arange(length)  # (B, T), apart from one another
        h = (index[..., None] + MARK).float().expand(-1, -1, agent.model.rssm.deter).clone().requires_grad_()
        z = torch.zeros(*index.shape, agent.model.rssm.latent.size)
        replay.write_back(index, h, z, 1)
        found = replay.read("h", torch.arange(rows))
        stored, graph = found[:, 0].detach(), float(found.requires_grad)
    refreshed = stored != before
    changed = refreshed.nonzero().flatten()
    late = (changed + MARK - stored[changed]).mean() if len(changed) else torch.tensor(float("nan"))
    own = refreshed[index[:, 1:]]
    numbers = {
        "rows late": float(late),
        "first row overwritten": float(refreshed[index[:, 0]].float().mean()),
        "rows not refreshed": float((~own).float().mean()),
        "gradient stored": graph,
    }
    return numbers_reading(REFRESHED_SAYS, REFRESHED_HEALTHY, numbers)


SERVED = Instrument(
    name="served",
    quick=True,
    sentence="Thousands of windows drawn from a full buffer: which rows are served, and how evenly.",
    excludes="rows that are never or hardly ever learned from, and windows that hold other rows than they say",
    cannot="whether a row holds what belongs there (that is what the instrument rows is for)",
    measure=measure_served,
)
REFRESHED = Instrument(
    name="refreshed",
    quick=True,
    sentence="States that carry the number of their row, written back: where they are stored.",
    excludes="refreshed states in a wrong row, and a first row that is overwritten with what was only read there",
    cannot="whether the states that training recomputes are right",
    measure=measure_refreshed,
)
