"""Whom each loss trains: autograd from losses to the encoder, to earlier rows, and from the agent to the model."""

import torch

from dreamer_core.clinic.instruments.reading import POSITIVE, Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.recurrence import reach
from dreamer_core.clinic.instruments.specimen import filled, scripted_window, specimen
from dreamer_core.clinic.subject import Subject

SAYS = {
    "heads to the encoder": "gradient of what the heads read in the observation of the same row, through z",
    "later rows to the encoder": "gradient of a later row in an earlier observation",
    "agent to the model": "gradient that an update of the actor-critic leaves in the world model",
    "model to the agent": "gradient that an update of the world model leaves in the actor-critic",
    "dreams carry a gradient": "tensors of a dream that carry a gradient",
}


def measure(subject: Subject) -> Reading:
    """Backpropagate on random windows; then one update of either half, to see what it leaves in the other."""
    numbers = {}
    cut = subject.config.model.detach_z
    with apart(subject):
        agent = specimen(subject)
        model = agent.model
        window = scripted_window(agent)
        rows = [part.requires_grad_() for part in window.observation.unbind(1)]
        # Every row starts an episode: h is 0 everywhere, and the only way from a row's observation to its heads is z.
        alone = model.observe(window._replace(observation=torch.stack(rows, 1), first=torch.ones_like(window.first)))
        numbers["heads to the encoder"] = reach(alone.features[:, 2].square(), rows[2])
        beliefs = model.observe(window._replace(observation=torch.stack(rows, 1)))
        numbers["later rows to the encoder"] = reach(beliefs.h[:, -1], rows[0])
        filled(agent, 128, 32)
        for part in (*model.parameters(), *agent.sac.parameters()):
            part.grad = None
        agent.learn_policy()
        numbers["agent to the model"] = left_in(model)
        agent.optimizers["sac"].zero_grad()
        agent.learn_model()
        numbers["model to the agent"] = left_in(agent.sac)
        numbers["dreams carry a gradient"] = float(sum(part.requires_grad for part in agent.dream()))
    healthy: dict[str, Range] = {name: exactly(0, 1e-12) for name in SAYS} | {"heads to the encoder": POSITIVE}
    if not cut:
        healthy["later rows to the encoder"] = (1e-12, float("inf"))
    return numbers_reading(SAYS, healthy, numbers)


def left_in(module: torch.nn.Module) -> float:
    """The norm of all gradients that a module's parameters hold."""
    return float(sum(part.grad.square().sum() for part in module.parameters() if part.grad is not None)) ** 0.5


REACH = Instrument(
    name="reach",
    quick=True,
    sentence="Gradients from each loss: what reaches the encoder, earlier rows, and the other half of the agent.",
    excludes="a z that is cut from the heads, a cut of z between rows where the settings want none or none where they want one, and an "
    "agent that trains its model",
    cannot="whether a gradient that arrives has the right size or sign",
    measure=measure,
)
