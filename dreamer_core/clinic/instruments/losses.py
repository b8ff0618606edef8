"""Each term of the world model's loss, computed once more by hand from what the model says of a window."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import scripted_window, specimen
from dreamer_core.clinic.subject import Subject

SAYS = {
    "observation": "observation loss, times what it should be",
    "reward": "reward loss, times what it should be",
    "continue": "continue loss, times what it should be",
    "total": "sum of the terms, times what it should be",
}
HEALTHY: dict[str, Range] = {name: exactly(1) for name in SAYS}


def measure(subject: Subject) -> Reading:
    """One loss, and its terms by hand."""
    config, unknown = subject.config.model, ()
    with apart(subject), torch.no_grad():
        agent = specimen(subject)
        model, window = agent.model, scripted_window(agent)
        window.first[:, 3], window.terminal[:, 2] = 1, 1
        losses, beliefs = model.loss(window)
        features = torch.cat([beliefs.h, beliefs.z], -1)
        miss = model.decoder(features) - model.standardized(window.observation)  # (B, T, O)
        observation = config.observation_scale * 0.5 * (miss * miss).sum(2).mean()
        logit = model.cont(features)[..., 0]
        goes_on = (1 - window.terminal) * model.folded
        cont = -(goes_on * F.logsigmoid(logit) + (1 - goes_on) * F.logsigmoid(-logit)).mean()
        numbers = {"observation": share(losses["observation"], observation), "continue": share(losses["continue"], cont)}
        if config.reward_head == "gaussian":
            numbers["reward"] = share(losses["reward"], config.reward_scale * by_hand(model, features, window))
        else:
            unknown = (f"The reward head {config.reward_head!r} is not computed by hand here.",)
        terms = [value for name, value in losses.items() if name != "total" and not name.startswith("stat_")]
        numbers["total"] = share(losses["total"], torch.stack(terms).sum())
    return numbers_reading(SAYS, HEALTHY, numbers, unknown)


def by_hand(model, features: Tensor, window) -> Tensor:
    """-log N(r; mean, std) from torch's own Normal, a mean over all rows in which first ones count 0: ()."""
    mean, std = model.predict_reward(features)
    log_prob = torch.distributions.Normal(mean, std).log_prob(window.reward)
    return -torch.where(window.first == 1, 0.0, log_prob).mean()


def share(value: Tensor, true: Tensor) -> float:
    """A number over what it should be."""
    return float(value / true)


LOSSES = Instrument(
    name="losses",
    quick=True,
    sentence="Each term of the world model's loss beside the same term computed by hand.",
    excludes="means for sums, terms that are missing or counted twice, first rows or ends that are ignored",
    cannot="the KL, which the instrument divergence looks at; whom a term trains, which reach tells",
    measure=measure,
)
