"""What h hears: autograd on a window of random rows says which action and which earlier row reach it."""

import torch
from torch import Tensor

from dreamer_core.clinic.instruments.reading import POSITIVE, Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import scripted_window, specimen
from dreamer_core.clinic.subject import Subject

SAYS = {
    "action before": "gradient of h of a row in the action that led to the row",
    "action of its own row": "gradient of h of a row in the action that leaves the row",
    "first h": "gradient of the last h in the first",
    "across a start": "gradient of h after an episode's start in what came before it",
    "posterior off": "how far a row's posterior is from that of its own h and observation",
    "h at a start": "largest entry of h on an episode's first row",
}
HEALTHY: dict[str, Range] = {
    "action before": POSITIVE,
    "action of its own row": exactly(0, 1e-12),
    "first h": (1e-12, float("inf")),
    "across a start": exactly(0, 1e-12),
    "posterior off": exactly(0, 1e-4),
    "h at a start": exactly(0, 1e-6),
}


def reach(h: Tensor, source: Tensor) -> float:
    """The norm of d sum(h) / d source; 0 where there is no path."""
    if not h.requires_grad:
        return 0.0
    (grad,) = torch.autograd.grad(h.sum(), [source], retain_graph=True, allow_unused=True)
    return 0.0 if grad is None else float(grad.norm())


def measure(subject: Subject) -> Reading:
    """Filter random windows, with and without an episode's start in the middle."""
    numbers = {}
    with apart(subject):
        agent = specimen(subject)
        model, window = agent.model, scripted_window(agent)
        actions = [part.requires_grad_() for part in window.action.unbind(1)]
        window = window._replace(action=torch.stack(actions, 1), h=window.h.requires_grad_())
        beliefs = model.observe(window)
        numbers["action before"] = reach(beliefs.h[:, 3], actions[2])
        numbers["action of its own row"] = reach(beliefs.h[:, 3], actions[3])
        numbers["first h"] = reach(beliefs.h[:, -1], window.h)
        with torch.no_grad():
            plain = model.observe(window)  # without gradients the plain loop runs
            own = [model.rssm.posterior(each.h, model.encode(window.observation)) for each in (beliefs, plain)]
            numbers["posterior off"] = max(float((a - b.posterior).abs().max()) for a, b in zip(own, (beliefs, plain)))
        seam = torch.zeros_like(window.first)
        seam[:, 3] = 1
        after = model.observe(window._replace(first=seam)).h
        numbers["across a start"] = sum(reach(after[:, 3:], part) for part in [window.h, *actions[:3]])
        numbers["h at a start"] = float(after[:, 3].detach().abs().max())
    return numbers_reading(SAYS, HEALTHY, numbers)


RECURRENCE = Instrument(
    name="recurrence",
    quick=True,
    sentence="Gradients of h in actions and earlier rows: what h of a row hears.",
    excludes="a wrong row's action in h, a cut h chain, and a past that goes on over an episode's start in the middle of a window",
    cannot="what z hears, and whether h is used",
    measure=measure,
)
