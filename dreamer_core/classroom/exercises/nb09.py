"""Notebook 09: the whole agent."""

import math

import torch

from dreamer_core import agent as agents
from dreamer_core.agent import Carry
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake
from dreamer_core.classroom.toy import ACTOR_STD, POSTERIOR_STD, ToyActor, ToyModel, reading_by_hand, small_model, step_by_hand

# --- 9.1 acting: filter, then choose -------------------------------------------------------------

BELIEVED = (((0.5, -0.2), 0.3, -0.4), ((-0.4, 0.6), -0.1, 0.8), ((0.2, 0.4), 0.5, -0.6))  # h, z, action of B = 3 environments
SEEN, FIRST = (0.25, -0.5, 0.1), (0.0, 1.0, 0.0)


def observe_see_and_act(f):
    """Three environments side by side, the second at the start of an episode."""
    found = {}
    for explore, name in ((False, "without exploring"), (True, "exploring")):
        h, z, action = map(torch.tensor, zip(*((h, [z], [action]) for h, z, action in BELIEVED)))
        carry = f(ToyModel(), ToyActor(), Carry(h, z, action), torch.tensor(SEEN)[:, None], torch.tensor(FIRST), explore)
        found |= {f"the new {part}, {name}": value.detach() for part, value in carry._asdict().items()}
    return found


def expected_see_and_act():
    """One environment at a time, in plain arithmetic."""
    found = {}
    for luck, name in ((0, "without exploring"), (1, "exploring")):
        rows = []
        for (h, z, action), seen, first in zip(BELIEVED, SEEN, FIRST):
            h = (0.0, 0.0) if first else step_by_hand(h, z, action)
            z = h[0] / 2 + 2 * seen + POSTERIOR_STD * luck
            rows.append((h, [z], [math.tanh(reading_by_hand(h, z).mean + ACTOR_STD * luck)]))
        found |= {f"the new {part}, {name}": torch.tensor(column) for part, column in zip(Carry._fields, zip(*rows))}
    return found


def see_and_act_with(
    before=lambda carry, keep: carry,
    keep_h=lambda h, keep: h * keep,
    parameters=lambda rssm, h, embed: rssm.posterior(h, embed),
    explores=lambda explore: explore,
    sees_by_chance=lambda explore: explore,
    squash=torch.tanh,
    acts_on=lambda carry, z: z,
):
    """The filtering step with one place changed."""

    def wrong(model, actor, carry, observation, first, explore):
        rssm, keep, explore = model.rssm, 1 - first.unsqueeze(-1), explores(explore)
        h = keep_h(rssm.step(*before(carry, keep)), keep)
        found = parameters(rssm, h, model.encode(observation))
        z = rssm.latent.sample(found, rssm.latent.noise(len(h))) if sees_by_chance(explore) else rssm.latent.mode(found)
        state = torch.cat([h, acts_on(carry, z)], -1)
        return Carry(h, z, squash(actor.draw(state)) if explore else actor.mode(state))

    return wrong


def acting(d: Draw, batch: int, explore: bool, first: torch.Tensor | None = None, alike: bool = False) -> tuple:
    """Arguments with O = 3, A = 2, D = 6, Z = 4; `alike`: the same belief in every environment, and real chance."""
    model, actor = small_model(d, 3, 2, 6, 4, steady=not alike)
    rows = 1 if alike else batch
    carry = Carry(d.normal(rows, 6), d.normal(rows, 4), d.uniform(-1, 1, rows, 2))
    observation = d.normal(rows, 3)
    if alike:
        carry, observation = Carry(*(part.repeat(batch, 1) for part in carry)), observation.repeat(batch, 1)
    if first is None:
        first = torch.zeros(batch) if alike else d.mask(batch)
    return model, actor, carry, observation, first, explore


APART = "how far neighbouring environments lie apart, in standard deviations (1.4 if each has its own chance)"


def law_of_acting(carry: Carry) -> dict[str, torch.Tensor]:
    """The law of z and the action over environments that believe the same."""
    drawn = torch.cat([carry.z, torch.atanh(carry.action.clamp(-0.999, 0.999))], 1).detach()
    unit = (drawn - drawn.mean(0)) / (drawn.std(0) + 1e-6)
    return {
        APART: (unit[1:] - unit[:-1]).square().mean(0).sqrt(),
        "the means of z and u": drawn.mean(0),
        "the spreads of z and u": drawn.std(0),
        "the correlations between z and u": (unit[:, :, None] * unit[:, None]).mean(0),
    }


SEE_AND_ACT = Exercise(
    id="9.1",
    title="See, then act",
    minutes=12,
    difficulty=3,
    importance=3,
    reference=agents.see_and_act,
    target="dreamer_core.agent:see_and_act",
    observe=observe_see_and_act,
    expected=expected_see_and_act,
    gradients=False,
    looks=(
        Look("4 environments, exploring", lambda d: acting(d, 4, True)),
        Look("4 environments, without exploring", lambda d: acting(d, 4, False)),
        Look("one environment", lambda d: acting(d, 1, True)),
        Look("all episodes at their start", lambda d: acting(d, 4, True, first=torch.ones(4))),
        Look("no episode at its start", lambda d: acting(d, 4, False, first=torch.zeros(4))),
        Look("the first episode at its start", lambda d: acting(d, 3, True, first=torch.eye(3)[0])),
        Look("the last episode at its start", lambda d: acting(d, 3, True, first=torch.eye(3)[2])),
        Look("real chance", lambda d: acting(d, 3_000, True, alike=True), draws=1, read=law_of_acting, within=0.1),
    ),
    mistakes=(
        Mistake(
            "first_ignored",
            see_and_act_with(keep_h=lambda h, keep: h),
            "`first` has no effect: a new episode begins with the memory of the old one. Where first is 1, h is 0.",
        ),
        Mistake(
            "inputs_zeroed",
            see_and_act_with(before=lambda carry, keep: Carry(*(part * keep for part in carry)), keep_h=lambda h, keep: h),
            "h, z and the action are zeroed before the step, so h is f(0, 0, 0) and not 0 (as in the current official DreamerV3 code). "
            "In v1 h itself is 0 at a first row: multiply after the step.",
        ),
        Mistake(
            "upside_down",
            see_and_act_with(keep_h=lambda h, keep: h * (1 - keep)),
            "`first` works the wrong way round: h is 0 everywhere but at the start of an episode. Multiply by 1 - first.",
        ),
        Mistake(
            "eyes_closed",
            see_and_act_with(parameters=lambda rssm, h, embed: rssm.prior(h)),
            "z comes from the prior, so the observation is never read. With its eyes open the agent takes the posterior of h and the "
            "encoded observation.",
        ),
        Mistake(
            "not_squashed",
            see_and_act_with(squash=lambda u: u),
            "With `explore` the action is u as it was drawn. actor.draw gives u, before tanh; the action is actor.squash(u).",
        ),
        Mistake(
            "old_z",
            see_and_act_with(acts_on=lambda carry, z: carry.z),
            "The actor reads the z of the step before. It acts on what the agent believes now: h and the z that was just taken from the "
            "posterior.",
        ),
        Mistake(
            "z_always_sampled",
            see_and_act_with(sees_by_chance=lambda explore: True),
            "The action obeys `explore`, z does not: it is sampled in both cases. Without `explore`, z is the posterior's "
            "most likely value, latent.mode.",
        ),
        Mistake(
            "always_explores",
            see_and_act_with(explores=lambda explore: True),
            "Everything is sampled even without `explore`. Then z and the action are the most likely ones: latent.mode and actor.mode.",
        ),
        Mistake(
            "never_explores",
            see_and_act_with(explores=lambda explore: False),
            "Nothing is sampled even with `explore`: an agent that never tries anything new. Sample z, and take "
            "actor.squash(actor.draw(state)).",
        ),
    ),
    hints=(
        "Two lines of notebook 00, step (from carry) and see (the posterior); then act (the actor reads h and z).",
        "first is (B,), h is (B, D): multiply by 1 - first.unsqueeze(-1) after the step. actor.draw gives u; the action is "
        "actor.squash(u), which is tanh(u).",
        "h = rssm.step(carry.h, carry.z, carry.action) * (1 - first.unsqueeze(-1)); p = rssm.posterior(h, model.encode(observation)); "
        "z = rssm.latent.sample(p, rssm.latent.noise(len(h))) if explore else rssm.latent.mode(p); state = torch.cat([h, z], -1); "
        "return Carry(h, z, actor.squash(actor.draw(state)) if explore else actor.mode(state))",
    ),
)

# --- 9.2 where dreams start ------------------------------------------------------------------------

TERMINAL = ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def observe_dream_starts(f):
    """Four windows of three rows: no end in the first, then an end in the last, the middle and the first row."""
    h, z = torch.arange(24.0).reshape(4, 3, 2), 100 + torch.arange(12.0).reshape(4, 3, 1)
    start_h, start_z, weight = f(h, z, torch.tensor(TERMINAL))
    return {"h": start_h, "z": start_z, "the weight": weight}


def expected_dream_starts():
    """The last rows, read off; only the second window ends there."""
    return {
        "h": torch.tensor([[4.0, 5], [10, 11], [16, 17], [22, 23]]),
        "z": torch.tensor([[102.0], [105], [108], [111]]),
        "the weight": torch.tensor([1.0, 0, 1, 1]),
    }


DREAM_STARTS = Exercise(
    id="9.2",
    title="Where does a dream begin?",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=agents.dream_starts,
    target="dreamer_core.agent:dream_starts",
    observe=observe_dream_starts,
    expected=expected_dream_starts,
    gradients=False,
    looks=(
        Look("5 windows of 4 rows", lambda d: (d.normal(5, 4, 3), d.normal(5, 4, 2), d.mask(5, 4))),
        Look("a single window", lambda d: (d.normal(1, 6, 3), d.normal(1, 6, 2), d.mask(1, 6))),
        Look("windows of one row", lambda d: (d.normal(4, 1, 2), d.normal(4, 1, 5), d.mask(4, 1))),
        Look("no end at all", lambda d: (d.normal(3, 5, 2), d.normal(3, 5, 4), torch.zeros(3, 5))),
        Look("ends everywhere", lambda d: (d.normal(3, 5, 2), d.normal(3, 5, 4), torch.ones(3, 5))),
        Look("ends in last rows alone", lambda d: (d.normal(6, 3, 2), d.normal(6, 3, 4), d.mask(6, 3) * torch.tensor([0.0, 0, 1]))),
        Look("ends in first rows alone", lambda d: (d.normal(6, 3, 2), d.normal(6, 3, 4), d.mask(6, 3) * torch.tensor([1.0, 0, 0]))),
    ),
    mistakes=(
        Mistake(
            "first_row",
            lambda h, z, terminal: (h[:, 0], z[:, 0], 1 - terminal[:, 0]),
            "These are the windows' first rows, whose h was read from the buffer or set to 0. The last rows have seen the whole window.",
        ),
        Mistake(
            "ends_ignored",
            lambda h, z, terminal: (h[:, -1], z[:, -1], torch.ones(len(h))),
            "All starts count alike. Where the episode is over at that row nothing can follow: its weight is 0.",
        ),
        Mistake(
            "upside_down",
            lambda h, z, terminal: (h[:, -1], z[:, -1], terminal[:, -1]),
            "The weight is the wrong way round: only starts where everything is over would count. It is 1 - terminal.",
        ),
        Mistake(
            "any_end",
            lambda h, z, terminal: (h[:, -1], z[:, -1], 1 - terminal.amax(1)),
            "A window counts for nothing if an episode ends anywhere in it. After an earlier end a new episode runs: only the last "
            "row matters.",
        ),
        Mistake(
            "end_of_the_first_row",
            lambda h, z, terminal: (h[:, -1], z[:, -1], 1 - terminal[:, 0]),
            "The weight looks at the first row, the state at the last one. Ask the row where the dream starts.",
        ),
        Mistake(
            "late_z",
            lambda h, z, terminal: (h[:, -1], z[:, -2], 1 - terminal[:, -1]),
            "h and z are from different rows. A state is the pair of one and the same row, the last.",
        ),
    ),
    hints=(
        "Which row of a window has seen the most? Take h and z there.",
        "x[:, -1] is the last row of every window. The weight is 1 where that row is not terminal.",
        "return h[:, -1], z[:, -1], 1 - terminal[:, -1]",
    ),
)

# --- 9.3 a round of learning -----------------------------------------------------------------------

ROUNDS = ((3, 3), (4, 2), (1, 3), (0, 2))


def observe_turns(f):
    """Equal numbers, more of one, more of the other, and none of one."""
    return {f"the order of {models} model and {agents} agent updates": " ".join(f(models, agents)) for models, agents in ROUNDS}


def expected_turns():
    """Written out."""
    orders = (
        "model agent model agent model agent",
        "model agent model agent model model",
        "model agent agent agent",
        "agent agent",
    )
    return {f"the order of {models} model and {agents} agent updates": order for (models, agents), order in zip(ROUNDS, orders)}


def alternate(models, agents, first="model", second="agent"):
    """In turn, `first` before `second`, what is left over at the end."""
    order = []
    for number in range(max(models, agents)):
        for part in (first, second):
            if number < (models if part == "model" else agents):
                order.append(part)
    return order


TURNS = Exercise(
    id="9.3",
    title="Taking turns",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=agents.turns,
    target="dreamer_core.agent:turns",
    observe=observe_turns,
    expected=expected_turns,
    gradients=False,
    looks=tuple(
        Look(f"{models} model and {agents_} agent updates", lambda d, a=models, b=agents_: (a, b), draws=1)
        for models, agents_ in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (3, 7), (7, 3), (5, 5), (0, 4), (4, 0), (9, 2))
    ),
    mistakes=(
        Mistake(
            "one_after_the_other",
            lambda models, agents: ["model"] * models + ["agent"] * agents,
            "First all model updates come, then all of the agent's. They take turns, so that each dream is dreamt by a slightly "
            "better model.",
        ),
        Mistake(
            "agent_first",
            lambda models, agents: alternate(models, agents, "agent", "model"),
            "The agent goes first, in a model that has not seen the newest steps yet. In each turn the model learns first.",
        ),
        Mistake(
            "leftovers_are_models",
            lambda models, agents: ["model", "agent"] * min(models, agents) + ["model"] * abs(models - agents),
            "What is left over is always the model's here. Where the agent has more lessons, the rest is the agent's.",
        ),
        Mistake(
            "rest_is_lost",
            lambda models, agents: ["model", "agent"] * min(models, agents),
            "What one part has left over is lost: the order ends as soon as the other has had its last turn. The rest follows at the end.",
        ),
        Mistake(
            "leftovers_first",
            lambda models, agents: ["model"] * (models - agents) + ["agent"] * (agents - models) + ["model", "agent"] * min(models, agents),
            "What one part has left over comes at the beginning. They take turns from the start; the rest follows at the end.",
        ),
    ),
    hints=(
        "Write down the orders for (3, 3) and for (4, 2) by hand. How many turns are there, and when does one part sit out?",
        "There are max(models, agents) turns. In turn n the model learns if n < models, then the agent if n < agents: "
        'order.append("model").',
        'for n in range(max(models, agents)): if n < models: order.append("model"); if n < agents: order.append("agent"). Return the list.',
    ),
)

# --- 9.4 a falling learning rate ---------------------------------------------------------------------


def observe_rate_factor(f):
    """At the start, after one, two and three halving times, half-way through one, and with the schedule switched off."""
    found = {f"the factor after {steps} steps, halving 100": float(f(steps, 100)) for steps in (0, 50, 100, 200, 300)}
    return found | {"the factor after 300 steps, halving 0": float(f(300, 0))}


def expected_rate_factor():
    """As fractions."""
    found = {0: 1, 50: 2 / 3, 100: 1 / 2, 200: 1 / 3, 300: 1 / 4}
    found = {f"the factor after {steps} steps, halving 100": float(factor) for steps, factor in found.items()}
    return found | {"the factor after 300 steps, halving 0": 1.0}


def unless_off(factor):
    """The same, but 1 where halving is 0."""
    return lambda grad_steps, halving: float(factor(grad_steps, halving)) if halving else 1.0


RATE_FACTOR = Exercise(
    id="9.4",
    title="Smaller and smaller steps",
    minutes=4,
    difficulty=1,
    importance=1,
    reference=agents.rate_factor,
    target="dreamer_core.agent:rate_factor",
    observe=observe_rate_factor,
    expected=expected_rate_factor,
    gradients=False,
    looks=tuple(
        Look(f"{steps} steps and halving {halving}", lambda d, a=steps, b=halving: (a, b), draws=1)
        for steps, halving in ((0, 100), (100, 100), (50, 100), (300, 100), (7, 3), (1_000_000, 10), (0, 0), (500, 0), (1, 1), (3, 7000))
    ),
    mistakes=(
        Mistake(
            "exponential",
            unless_off(lambda steps, halving: 0.5 ** (steps / halving)),
            "The factor is halved again after every further `halving` steps, so learning soon stops. It falls as 1 / (1 + steps / "
            "halving).",
        ),
        Mistake(
            "linear",
            unless_off(lambda steps, halving: max(0, 1 - steps / (2 * halving))),
            "The factor falls in a straight line and reaches 0. It should fall ever more slowly, as 1 / (1 + steps / halving).",
        ),
        Mistake(
            "stairs",
            unless_off(lambda steps, halving: 1 / (1 + steps // halving)),
            "The factor falls in stairs: // drops the fraction. Divide with /.",
        ),
        Mistake(
            "grows",
            unless_off(lambda steps, halving: 1 + steps / halving),
            "The factor grows. This is the number to divide by.",
        ),
        Mistake(
            "off_means_nothing",
            lambda grad_steps, halving: 1 / (1 + grad_steps / halving) if halving else 0.0,
            "With halving 0 the factor is 0, so nothing would be learned. 0 switches the schedule off: the whole rate is kept.",
        ),
    ),
    hints=(
        "It is 1 at the start, 1/2 after `halving` steps, 1/3 after twice as many. Which simple fraction does that?",
        "1 / (1 + grad_steps / halving). And what if halving is 0?",
        "return 1 / (1 + grad_steps / halving) if halving else 1.0",
    ),
)

EXERCISES = [SEE_AND_ACT, DREAM_STARTS, TURNS, RATE_FACTOR]
