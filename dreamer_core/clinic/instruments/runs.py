"""What takes a training run: the dashboard of a short one, and the ladder of probe worlds."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, numbers_reading
from dreamer_core.clinic.subject import STEPS, Run, Subject
from dreamer_core.viz.dashboard import dashboard, panels_of
from dreamer_core.viz.show import BLUE, GREEN, RED, describe
from dreamer_core.yardsticks import ladder

INFINITE = float("inf")
DASHBOARD_SAYS = {
    "observation": "observation loss at the end of the run",
    "reward error": "error of the reward head at the end",
    "continue": "continue loss at the end",
    "KL": "measured KL at the end, nats",
    "prior too wide by": "entropy of the prior minus that of the posterior at the end, nats",
    "model gradient grows": "norm of the model's gradient at the end, over that in the middle",
    "critic gradient grows": "norm of the critic's gradient at the end, over that in the middle",
    "critic loss": "loss of the critic at the end",
    "policy entropy": "entropy of the policy at the end, nats",
    "value moved": "how far the value moved from the first updates to the last",
    "return": "mean return at the end, in units of the world",
}
# Measured: see the head of trained.py. What depends on the world has no bound.
DASHBOARD_HEALTHY: dict[str, Range] = {name: (-INFINITE, INFINITE) for name in DASHBOARD_SAYS} | {
    "observation": (0.0, 0.05),
    "reward error": (0.0, 0.01),
    "KL": (0.3, 15.0),
    "prior too wide by": (0.2, 15.0),
    "model gradient grows": (0.0, 4.0),
    "critic gradient grows": (0.0, 6.0),
    "policy entropy": (-3.0, 1.2),
}


def measure_dashboard(subject: Subject) -> Reading:
    """A training run of some seconds, and what its curves end on."""
    run = subject.run(STEPS)
    model = [row for row in run.updates if "model/observation" in row]
    agent = [row for row in run.updates if "agent/critic_loss" in row]

    def at(rows: list[dict[str, float]], name: str, start: float, stop: float) -> float:
        """The median of a metric over a stretch of the run, given in shares of it."""
        part = rows[int(start * len(rows)) : max(1, int(stop * len(rows)))]
        return float(np.median([row[name] for row in part]))

    value = "agent/q_mean" if "agent/q_mean" in agent[0] else "agent/value_mean"
    numbers = {
        "observation": at(model, "model/observation", 0.85, 1),
        "reward error": at(model, "model/stat_reward_error", 0.85, 1),
        "continue": at(model, "model/continue", 0.85, 1),
        "KL": at(model, "model/stat_kl", 0.85, 1),
        "prior too wide by": at(model, "model/stat_prior_entropy", 0.85, 1) - at(model, "model/stat_posterior_entropy", 0.85, 1),
        "model gradient grows": at(model, "model/grad_norm", 0.85, 1) / at(model, "model/grad_norm", 0.4, 0.6),
        "critic gradient grows": at(agent, "agent/critic_grad_norm", 0.85, 1) / at(agent, "agent/critic_grad_norm", 0.4, 0.6),
        "critic loss": at(agent, "agent/critic_loss", 0.85, 1),
        "policy entropy": at(agent, "agent/entropy", 0.85, 1),
        "value moved": at(agent, value, 0.85, 1) - at(agent, value, 0, 0.05),
        "return": run.rows[-1]["eval_return_mean"],
    }
    reading = numbers_reading(DASHBOARD_SAYS, DASHBOARD_HEALTHY, numbers)
    return reading._replace(figure=lambda: run_figure(run))


def run_figure(run: Run) -> Figure:
    """The dashboard of every update of a run, twenty at a time."""
    rows, seen = [], {}
    for number, row in enumerate(run.updates):
        for name, value in row.items():
            seen.setdefault(name, []).append(value)
        if number % 20 == 19:
            rows.append({"updates": number + 1} | {name: float(np.median(values)) for name, values in seen.items()})
            seen = {}
    asked = {panel: parts for panel, parts in panels_of(rows).items() if not any("imagined" in name for name in parts[1])}
    returns = ", ".join(f"{row['eval_return_mean']:.4g}" for row in run.rows)
    title = f"A short run; mean returns of its evaluations: {returns}"
    return dashboard(rows, run.agent.config.model.free_nats, title, asked, step="updates", label="updates")


LADDER_SAYS = {rung.name: f"{rung.name} ({rung.tests}): largest miss, over what is allowed" for rung in ladder.RUNGS}
LADDER_HEALTHY: dict[str, Range] = {name: (0.0, 1.0) for name in LADDER_SAYS}


def measure_ladder(subject: Subject) -> Reading:
    """Climb all rungs."""
    if subject.config.actor_critic != "sac":
        return numbers_reading(LADDER_SAYS, LADDER_HEALTHY, {}, ("The ladder asks v1's critics q(s, a), and this agent has none.",))
    kind = Dreamer if subject.given is None else type(subject.given)
    preset = "dropin" if subject.config.sac.actor_grad == "pathwise" else "advantage"
    with apart(subject):
        results = list(ladder.climb(kind, preset, subject.config.model.latent, subject.config.seed))
    worst = {
        result.rung.name: max(abs(answer.measured - answer.question.right) / answer.question.tolerance for answer in result.answers)
        for result in results
    }
    reading = numbers_reading(LADDER_SAYS, LADDER_HEALTHY, worst)
    failed = next((result for result in results if not result.passed), None)
    says = "All rungs hold." if failed is None else f"The lowest failed rung is {failed.rung.name}. Look at {failed.look}."
    return reading._replace(says=says, figure=lambda: ladder_figure(worst))


def ladder_figure(worst: dict[str, float]) -> Figure:
    """How far the worst answer of each rung is from right, the lowest rung below."""
    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    values = [min(value, 4.0) for value in worst.values()]
    axis.barh(list(worst), values, color=[BLUE if value <= 1 else RED for value in values])
    axis.axvspan(0, 1, color=GREEN, alpha=0.15, linewidth=0)
    axis.set(xlabel="miss of the worst answer (1: as much as is allowed; 3: as a faulty agent)", xlim=(0, 4.05))
    failed = [name for name, value in worst.items() if not value <= 1]
    return describe(
        figure,
        alt=f"{len(worst)} rungs of the ladder; " + (f"failed: {', '.join(failed)}." if failed else "all hold."),
        caption="A rung stands on those below it, so the lowest red one says where to look. Bars end at 4.",
    )


DASHBOARD = Instrument(
    name="dashboard",
    quick=True,
    sentence="A short training run, drawn: every curve that one looks at anyway.",
    excludes="learning that breaks down",
    cannot="most of what the exact instruments see: many faults leave all curves as they are",
    measure=measure_dashboard,
)
LADDER = Instrument(
    name="ladder",
    quick=False,
    sentence="Seven worlds that are so small that every right answer is known: which rung is the lowest that fails.",
    excludes="faults that keep a part from learning at all",
    cannot="faults that slow learning down, or that matter only in larger worlds",
    measure=measure_ladder,
)
