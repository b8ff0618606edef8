"""Examine one's own agent: what is healthy, what is not, whom that accuses, and what could not be told.

    report = examine(agent)
    print(report)
    report.suspects             # names of faults, the likeliest first

No fault is tried out. `PATTERNS` says for each fault which numbers it moves, and to which side; what was measured is
compared with that. A number that fits no pattern is reported all the same, with where to look.
"""

import textwrap
from collections.abc import Callable

from dreamer_core.agent import Dreamer
from dreamer_core.classroom.call import one_line
from dreamer_core.clinic.faults import FAULTS
from dreamer_core.clinic.instruments import EXACT, RUNS, TRAINED, Reading
from dreamer_core.clinic.instruments.reading import in_words
from dreamer_core.clinic.subject import Subject
from dreamer_core.errors import DreamerError

# What each fault moves, and to which side: "instrument: number" -> "low" or "high". No two faults have the same pattern.
PATTERNS: dict[str, dict[str, str]] = {
    "reward_row_early": {"rows: reward rows late": "low"},
    "limit_is_end": {"rows: time limits stored as ends": "high"},
    "few_rows": {"served: rows never served": "high", "served: unevenness": "high"},
    "written_one_row_early": {
        "refreshed: rows late": "low",
        "refreshed: first row overwritten": "high",
        "refreshed: rows not refreshed": "high",
    },
    "seam_ignored": {"recurrence: across a start": "high", "recurrence: h at a start": "high"},
    "action_of_its_own_row": {"recurrence: action of its own row": "high"},
    "mean_over_entries": {"losses: observation": "low"},
    "heads_read_data": {"reach: heads to the encoder": "low"},
    "kl_reversed": {"divergence: direction": "low"},
    "all_is_free": {"divergence: push on the prior": "low", "divergence: push on the posterior": "low"},
    "same_noise": {"noise: memory": "high"},
    "also_after_the_end": {"starts: weight after an end": "high"},
    "no_chance": {"noise: spread": "low"},
    "target_never_moves": {"target: share of the way": "low"},
    "target_copied": {"target: share of the way": "high"},
    "past_the_end": {"returns: worth after an end": "high", "returns: bootstrap after an end": "high"},
    "of_u_alone": {"density: whole": "low"},
    "entropy_twice": {"objective: weight of the entropy": "high", "objective: gradient off": "high"},
    "advantage_with_gradient": {
        "objective: through the advantage": "high",
        "objective: weight of the entropy": "high",
        "objective: gradient off": "high",
    },
    "raw_units": {"seen: other units": "high"},
    "always_drawn": {"repeated: beliefs and actions": "high", "repeated: returns": "high"},
    "actor_rate_small": {"steps: actor step": "low", "steps: actor rate": "low"},
    "model_rate_large": {"steps: model step": "high", "steps: model rate": "high"},
    "gradients_pile_up": {"steps: old gradient kept": "high"},
}

# Where to look if an instrument finds something, whatever it is.
WHERE: dict[str, str] = {
    "rows": "LatentReplay.window, LatentReplay.add and set_action, trainer.ending",
    "served": "LatentReplay.sample, free_starts, chunk_starts",
    "refreshed": "LatentReplay.write_back, recomputed, writers",
    "recurrence": "RSSM.observe, observe_plain and step",
    "reach": "WorldModel.observe, the cut of z, imagine, and what each optimiser holds",
    "losses": "WorldModel.loss_of, squared_error, gaussian_nll, reward_loss, bernoulli_nll",
    "divergence": "gaussian_kl or categorical_kl, balanced_kl, both_kl",
    "noise": "imagine and RSSM.dream_step, gaussian_sample or categorical_sample",
    "starts": "dream_starts and Dreamer.dream",
    "target": "ema_update, and polyak in the settings",
    "returns": "lambda_return and backup, SAC.returns, alive_weight, twin_critic_loss",
    "density": "squashed_log_prob, tanh_normal_log_prob, Actor.sample",
    "objective": "pathwise_actor_loss, or soft_baseline, soft_advantage and score_actor_loss",
    "seen": "see_and_act, WorldModel.encode and set_units, observation_units",
    "repeated": "see_and_act: what it does where explore is False",
    "steps": "make_optimizer, SAC.make_optimizer and descend",
    "calibration": "the KL and its weight: does it train the prior?",
    "foresight": "the world model: how long it trained, and the instruments of the recurrence and the latent",
    "frozen": "the critic: how long it trained, and the instruments target and returns",
    "dashboard": "the curve that is named",
    "ladder": "what the lowest failed rung says",
}


class Report:
    """What an examination found; prints as text.

    Attributes:
        suspects: names of faults, the likeliest first. healthy: whether nothing was found.
        unknown: sentences about what could not be told. readings: what each instrument found, by its name.
        accusing: for each number that is off, "instrument: number", its side: "low", "high" or "none" (no number).
        stopped: instruments that an error stopped, with the error.
        remarks: numbers of noisy instruments that lie outside of what healthy agents gave. Too little training does that too, so
            they accuse nobody.
    """

    def __init__(self, readings: dict[str, Reading], stopped: dict[str, str]) -> None:
        self.readings, self.stopped = readings, stopped
        off = {f"{name}: {number}": (name, side) for name, reading in readings.items() for number, side in reading.off.items()}
        self.accusing = {number: side for number, (name, side) in off.items() if name in EXACT or side == "none"}
        self.remarks = [number for number in off if number not in self.accusing]
        self.suspects = suspects(self.accusing)
        self.healthy = not self.accusing and not stopped
        silent: dict[str, list[str]] = {}
        for name, reading in readings.items():
            for sentence in reading.unknown:
                silent.setdefault(sentence, []).append(name)
        self.unknown = [f"{', '.join(names)}: {sentence}" for sentence, names in silent.items()]
        if "ladder" not in readings:
            self.unknown.append("No training run was made: examine(agent, runs=True) takes two minutes more.")

    def __str__(self) -> str:
        sound = [name for name, reading in self.readings.items() if reading.numbers and not reading.off]
        parts = ["Healthy, as far as these instruments see." if self.healthy else "Something is not as in a healthy agent."]
        parts.append(f"Sound ({len(sound)} of {len(self.readings) + len(self.stopped)}): {', '.join(sound) or 'none'}.")
        for name, reading in self.readings.items():
            accusing = [number for number in reading.off if f"{name}: {number}" in self.accusing]
            if accusing:
                parts += [f"{name}: {beside(reading, accusing)}.", f"  Look at {WHERE[name]}."]
        parts += [f"{name}: stopped with {error}.\n  Look at {WHERE[name]}." for name, error in self.stopped.items()]
        if self.accusing:
            parts.append("Suspects, the likeliest first:" if self.suspects else "No fault of the clinic's list looks like this.")
            parts += [f"  {name} ({FAULTS[name].organ}): {FAULTS[name].sentence}" for name in self.suspects]
        for name, reading in self.readings.items():
            noted = [number for number in reading.off if f"{name}: {number}" in self.remarks]
            if noted:
                parts += [f"A remark, since this number is noisy. {name}: {beside(reading, noted)}.", f"  Look at {WHERE[name]}."]
        if self.unknown:
            parts += ["Could not be told:", *(f"  {sentence}" for sentence in self.unknown)]
        lines = [line for part in parts for line in part.splitlines()]
        return "\n".join(textwrap.fill(line, 120, subsequent_indent="    ") for line in lines)

    __repr__ = __str__


def beside(reading: Reading, names: list[str]) -> str:
    """Numbers beside their ranges."""
    return "; ".join(f"{name} {reading.numbers[name]:.3g} (healthy: {in_words(reading.healthy[name])})" for name in names)


def suspects(accusing: dict[str, str]) -> list[str]:
    """The faults whose pattern shows, best fit first: the share of the pattern that shows, then how many numbers that explains."""
    fits = []
    for name, pattern in PATTERNS.items():
        hits = sum(accusing.get(number) == side for number, side in pattern.items())
        if hits:
            fits.append((-hits / len(pattern), -hits, name))
    return [name for *_, name in sorted(fits, key=lambda fit: fit[:2])]


def examine(agent: Dreamer, runs: bool = False, report: Callable[[str], None] = lambda name: None) -> Report:
    """Look at an agent with every instrument, in the process as it is: with whatever functions run in it now.

    The agent is only read. Most instruments build an untrained one of the same kind and settings, so nothing depends on how
    far this one has come.

    Args:
        agent: with a world model. runs: train as well: a short run and the ladder, two minutes.
        report: told the name of each instrument before it is used.

    Raises:
        DreamerError: this is no agent with a world model.
    """
    if not isinstance(agent, Dreamer):
        raise DreamerError(f"only an agent with a world model can be examined, and this is {type(agent).__name__}: pass a Dreamer")
    subject = Subject.of(agent)
    readings: dict[str, Reading] = {}
    stopped: dict[str, str] = {}
    # A healthy twin says nothing here: it would run the same functions as the agent.
    asked = EXACT | TRAINED | ({name: each for name, each in RUNS.items() if name != "twin"} if runs else {})
    for name, instrument in asked.items():
        report(name)
        try:
            readings[name] = instrument.measure(subject)
        except Exception as error:  # a learner's part may fail in any way, and the other instruments are to be heard all the same
            stopped[name] = one_line(error)
    return Report(readings, stopped)
