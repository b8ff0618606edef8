"""Notebook 09: the training loop, and a round of learning inside it."""

from typing import Any, NamedTuple

import torch

from dreamer_core.agent import Dreamer, rate_factor, turns
from dreamer_core.classroom.build import Build, Property, agrees, hold
from dreamer_core.classroom.scripted import Pushes, Remembered, ScriptedAgent, ScriptedWorld
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import from_dict

# --- 9.A a round of learning ----------------------------------------------------------------------------


class Noted(NamedTuple):
    """How things stood when an update began."""

    part: str
    rates: dict[str, list[float]]
    measured: int
    """How many rows there had been when observations were last measured."""
    rewards: int
    """The same for rewards."""


def tiny(models: int, agents: int, halving: int = 100, rows: int = 24, capacity: int = 200) -> Dreamer:
    """A whole Dreamer of a few numbers, with rows of experience; two updates of actor and critics for each dream."""
    settings = {
        "model": {"deter": 4, "stoch": 2, "units": 4, "overshoot": 0},
        "sac": {"units": 4},
        "replay": {"batch": 2, "length": 4, "capacity": capacity},
        "imagination": {"starts": 3, "start_rows": 2, "horizon": 2},
        "schedule": {"model_updates": models, "agent_updates": agents, "sac_updates": 2, "halving": halving},
    }
    agent = Dreamer(from_dict(settings), 3, 1)
    live_on(agent, rows)
    return agent


def live_on(agent: Dreamer, rows: int, size: float = 1.0) -> None:
    """More rows: observations and rewards of this size."""
    for _ in range(rows):
        agent.replay.add(
            observation=size * torch.tensor([1.0, 5.0, 0.1]) * torch.randn(3) + 2,
            reward=size * float(torch.randn(())),
            first=agent.replay.count == 0,
            terminal=False,
            h=torch.zeros(4),
            z=torch.zeros(2),
        )
        agent.replay.set_action(2 * torch.rand(1) - 1)


def rates_of(agent: Dreamer) -> dict[str, list[float]]:
    """The learning rate of every group of every optimiser."""
    return {name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in agent.optimizers.items()}


def watched(agent: Dreamer) -> list[Noted]:
    """Let updates change nothing but the count of gradient steps, and note how things stand at each."""
    notes: list[Noted] = []

    def update(part: str, steps: int) -> dict[str, torch.Tensor]:
        notes.append(Noted(part, rates_of(agent), int(agent.model.measured), agent.replay.reward_rows))
        agent.grad_steps += steps
        return {f"{part}/loss": torch.tensor(float(len(notes)))}

    agent.learn_model, agent.learn_policy = lambda: update("model", 1), lambda: update("agent", 2)
    return notes


def noted(made: Any, agent: Dreamer) -> list[Noted]:
    """The notes of one round.

    Raises:
        Wrong: there was no update at all.
    """
    notes = watched(agent)
    made(agent)
    hold(bool(notes), "no update", "A round of learning makes no update: self.learn_model() and self.learn_policy() are never called.")
    return notes


ORDERS = {(3, 3): "model agent model agent model agent", (4, 1): "model agent model model model", (1, 3): "model agent agent agent"}


def check_order(made: Any) -> None:
    """As many updates of each as the schedule says, in turn, the model first."""
    for (models, agents), wanted in ORDERS.items():
        found = " ".join(note.part for note in noted(made, tiny(models, agents)))
        told = f'With model_updates = {models} and agent_updates = {agents} the order is "{wanted}"; yours is "{found}".'
        hold(found == wanted, f"order {found}", told)


def check_units(made: Any) -> None:
    """Before the first update units are measured; again where the rows ever added have doubled."""
    agent = tiny(2, 1)
    rows = agent.replay.read("observation", torch.arange(24))
    notes = noted(made, agent)
    for what, of in (("rewards", notes[0].rewards), ("observations", notes[0].measured)):
        later = agent.replay.reward_rows if what == "rewards" else int(agent.model.measured)
        call = "self.measure_rewards()" if what == "rewards" else "self.model.set_units(rows, count)"
        hold(later > 0, f"{what} never", f"The unit of {what} is never measured: {call}.")
        hold(of > 0, f"{what} late", f"The unit of {what} is measured, but after the first update: that one still learned in the old one.")
    agrees(agent.model.centre, rows.mean(0), "centre", "The centre of observations is not the mean of all rows in the buffer.")
    agrees(agent.model.scale, rows.std(0), "scale", "The scale of observations is not the standard deviation of all rows in the buffer.")
    live_on(agent, 23, size=3.0)
    rewards = noted(made, agent)[0].rewards
    told = "There were 24 rows when observations were measured, and now there are 47: measure them again at 48, when they have doubled."
    hold(int(agent.model.measured) == 24, "too often", told)
    told = "Returns spread further now, and the unit of rewards is not measured again: self.measure_rewards() is called in every round."
    hold(rewards == 47, "rewards once", told)
    live_on(agent, 1)
    made(agent)
    told = "There were 24 rows when observations were measured, and now there are 48: they have doubled, and are not measured again."
    hold(int(agent.model.measured) == 48, "observations once", told)


def check_full(made: Any) -> None:
    """A full buffer holds fewer rows than were ever added: it is those that count."""
    agent = tiny(1, 1, rows=30, capacity=20)
    noted(made, agent)
    told = "30 rows were added to a buffer that holds 20, and `measured` is {}: hand over self.replay.count, the rows ever added."
    hold(int(agent.model.measured) == 30, "rows ever added", told.format(int(agent.model.measured)))
    rows = agent.replay.read("observation", agent.replay.kept())
    agrees(agent.model.scale, rows.std(0), "scale", "In a full buffer, the scale of observations is not that of the 20 rows it holds.")
    agent = tiny(1, 1)
    agent.model.measures = False
    noted(made, agent)
    told = "A model with `measures` = False keeps its units (`standardize` is off, or it sees pictures), and yours were measured."
    hold(int(agent.model.measured) == 0, "measures anyway", told)


def check_rates(made: Any) -> None:
    """All learning rates are what `rate_factor` leaves of the first ones."""
    agent = tiny(2, 2)
    begun = rates_of(agent)
    agent.grad_steps = 50
    for steps, share in ((50, 1 / 1.5), (100, 1 / 2)):
        agent.grad_steps = steps
        notes = noted(made, agent)
        for name, rates in begun.items():
            wanted = torch.tensor(rates) * share
            first, last = (torch.tensor(note.rates[name]) for note in (notes[0], notes[-1]))
            left = f"After {steps} gradient steps, with halving = 100, {share:.3g} of each rate is left"
            if torch.allclose(torch.tensor(rates_of(agent)[name]), wanted) and not torch.allclose(first, wanted):
                hold(
                    False, f"late {name}", f"The rates of optimizers[{name!r}] fall after the first update of the round: lower them before."
                )
            told = f"{left}. In your round those of optimizers[{name!r}] do not fall at all: there is one optimiser for each half."
            hold(not torch.allclose(first, torch.tensor(rates)), f"constant {name}", told)
            told = f'{left}: of the rate that the optimiser began with, not of the last one. Keep that under group["initial_lr"].'
            hold(steps == 50 or not torch.allclose(first, torch.tensor(rates) * share / 1.5), "compound", told)
            agrees(first, wanted, f"rates {name}", f"{left}; those of optimizers[{name!r}] are others.")
            agrees(last, wanted, "within the round", "The rates change within a round. They are set once, at its start.")
    agent = tiny(1, 1, halving=0)
    agent.grad_steps = 50
    held = noted(made, agent)[0].rates
    hold(held == begun, "halving 0", "With halving = 0 rates stay as they are: `rate_factor` says so.")


def check_metrics(made: Any) -> None:
    """The newest numbers of both halves come back."""
    for models, agents, wanted in (
        (3, 2, {"model/loss": 5.0, "agent/loss": 4.0}),
        (2, 0, {"model/loss": 2.0}),
        (0, 1, {"agent/loss": 1.0}),
    ):
        agent = tiny(models, agents)
        watched(agent)
        found = made(agent)
        hold(found is not None, "nothing", "Your round gives None. Is there a `return` at its end?")
        hold(isinstance(found, dict), "no dict", "A round returns one dict of metrics, as both kinds of update do.")
        gone = [name for name in wanted if name not in found]
        told = (
            f"With {models} model and {agents} agent updates {', '.join(gone)} is missing: collect the metrics of both halves in one dict."
        )
        hold(not gone, f"missing {' '.join(gone)}", told)
        told = "The metrics are not those of the newest update of each half."
        agrees({name: float(value) for name, value in found.items()}, wanted, "old metrics", told)


def check_real(made: Any) -> None:
    """A real round: model, actor and critics move, and each update is counted once."""
    agent = tiny(2, 2)
    before = {name: value.clone() for name, value in agent.state_dict().items() if name.startswith("module.")}
    metrics = made(agent)
    after = agent.state_dict()
    for name, half in (("model", "module.model."), ("actor", "module.sac.actor."), ("critics", "module.sac.q.")):
        moved = any(not torch.equal(value, after[key]) for key, value in before.items() if key.startswith(half))
        hold(moved, f"still {name}", f"After a round with two updates of each half the weights of the {name} are what they were.")
    told = f"After 2 updates of the model and 2 dreams with 2 updates each, grad_steps is {agent.grad_steps}: each update counts itself."
    hold(agent.grad_steps == 6, "counts", told)
    fine = all(float(value) == float(value) for value in metrics.values())
    hold(fine, "not a number", "A metric of the round is not a number.")


def round_with(
    order=turns,
    rewards=lambda agent: agent.measure_rewards(),
    due=lambda agent: agent.replay.count >= 2 * int(agent.model.measured),
    added=lambda replay: replay.count,
    lowered=lambda agent: agent.optimizers.values(),
    base=lambda group: group.setdefault("initial_lr", group["lr"]),
    again=False,
    late=False,
    collect=lambda metrics, new: metrics | new,
):
    """A right round with one place changed."""

    def prepare(agent):
        rewards(agent)
        if agent.model.measures and due(agent):
            agent.model.set_units(agent.replay.read("observation", agent.replay.kept()), added(agent.replay))

    def lower(agent):
        for optimizer in lowered(agent):
            for group in optimizer.param_groups:
                group["lr"] = base(group) * rate_factor(agent.grad_steps, agent.config.schedule.halving)

    def wrong(self):
        metrics, schedule = {}, self.config.schedule
        if not late:
            prepare(self)
        lower(self)
        for part in order(schedule.model_updates, schedule.agent_updates):
            if again:
                lower(self)
            metrics = collect(metrics, self.learn_model() if part == "model" else self.learn_policy())
        if late:
            prepare(self)
        return metrics

    return wrong


def the_agent_first(models: int, agents: int) -> list[str]:
    """Turns that begin with the agent."""
    return [{"model": "agent", "agent": "model"}[part] for part in turns(agents, models)]


ROUND = Build(
    id="9.A",
    title="A round of learning",
    minutes=30,
    difficulty=1,
    importance=2,
    reference=Dreamer.learn,
    target="dreamer_core.agent:Dreamer.learn",
    suits=lambda self: not self.config.schedule.anneal and self.config.optimizer.warmup == 0,
    properties=(
        Property("order", "As many updates of each half as the schedule says, in turn, the model first.", check_order),
        Property("units", "They are measured before the first update, and again when rows have doubled.", check_units),
        Property("full buffer", "Rows ever added count, and what is not to be measured is not.", check_full),
        Property("rates", "All of them fall from their first value, once a round, before the first update.", check_rates),
        Property("metrics", "The newest numbers of both halves are returned.", check_metrics),
        Property("a real round", "Model, actor and critics move, and each update is counted once.", check_real),
    ),
    hints=(
        "Four blocks, in this order: units, rates, a loop over turns(...), and the metrics that it collects.",
        (
            "Units: self.measure_rewards() always. Observations only if self.model.measures, and if self.replay.count has reached twice "
            "int(self.model.measured): then self.model.set_units(rows, self.replay.count), where rows are "
            'self.replay.read("observation", self.replay.kept()).'
        ),
        (
            'Rates: for each optimizer in self.optimizers.values(), for each group in optimizer.param_groups: group["lr"] = '
            'group.setdefault("initial_lr", group["lr"]) * rate_factor(self.grad_steps, halving). Metrics: start with {} and update it '
            "with what each learn_model() and learn_policy() returns."
        ),
    ),
    mistakes=(
        Mistake(
            "one_after_the_other",
            round_with(order=lambda models, agents: ["model"] * models + ["agent"] * agents),
            "First all updates of the model come, then all of the agent. They take turns (exercise 9.3).",
        ),
        Mistake(
            "agent_first",
            round_with(order=the_agent_first),
            "The agent goes first. In each turn the model learns first, so that the newest model dreams.",
        ),
        Mistake(
            "rest_is_lost",
            round_with(order=lambda models, agents: ["model", "agent"] * min(models, agents)),
            "What one half has left over is lost. It follows at the end (exercise 9.3).",
        ),
        Mistake(
            "no_units",
            round_with(rewards=lambda agent: None, due=lambda agent: False),
            "No unit is measured. A round begins with a look at the rows: rewards each time, observations when rows have doubled.",
        ),
        Mistake(
            "rewards_alone",
            round_with(due=lambda agent: False),
            "The unit of rewards is measured, that of observations never.",
        ),
        Mistake(
            "observations_each_round",
            round_with(due=lambda agent: True),
            "Observations are measured in every round. Do it only where the rows ever added have doubled: whenever a unit grows, all "
            "predictions stretch with it for a moment.",
        ),
        Mistake(
            "rows_of_the_buffer",
            round_with(added=len, due=lambda agent: len(agent.replay) >= 2 * int(agent.model.measured)),
            "Your round counts the rows that the buffer holds. Count those ever added, self.replay.count: a full buffer stays full.",
        ),
        Mistake(
            "units_afterwards",
            round_with(late=True),
            "Units are measured at the end of the round, when its updates are done. Measure first.",
        ),
        Mistake(
            "rates_compound",
            round_with(base=lambda group: group["lr"]),
            "Each round lowers the rates that the last round has left. `rate_factor` says what is left of the *first* rate: keep that one.",
        ),
        Mistake(
            "rates_of_the_model",
            round_with(lowered=lambda agent: [agent.optimizers["model"]]),
            "Only the world model's rate falls. There are two optimisers, self.optimizers has both.",
        ),
        Mistake(
            "rates_in_each_update",
            round_with(again=True),
            "The rates fall at every update. They are set once, at the start of a round.",
        ),
        Mistake(
            "metrics_of_the_last",
            round_with(collect=lambda metrics, new: new),
            "Only the last update's metrics come back. Collect: metrics.update(...), so that both halves are there.",
        ),
    ),
)

# --- 9.B the training loop ------------------------------------------------------------------------------


def train(agent, env, evaluate, random_action, steps, prefill, every, evaluate_every, seed):
    """Let an agent live in a world and learn; returns its learning curve, a list of (step, what `evaluate` gave)."""

    def see(carry, observation, reward, first, terminal):
        row = torch.from_numpy(observation)
        carry = agent.policy(carry, row[None], torch.full((1,), float(first)), explore=True)
        agent.remember(carry, row, reward, first, terminal)
        return carry

    episode, curve = 0, []
    carry, (observation, _), reward, first = agent.initial(1), env.reset(seed=seed), 0.0, True
    for step in range(1, steps + 1):
        carry = see(carry, observation, reward, first, False)
        if step <= prefill:
            carry = carry._replace(action=random_action()[None])
        agent.replay.set_action(carry.action[0])
        observation, reward, terminated, truncated, _ = env.step(carry.action[0].numpy())
        first = False
        if terminated or truncated:  # the last row brings the last reward; no action leaves it
            see(carry, observation, reward, False, terminated)
            episode += 1
            carry, (observation, _), reward, first = agent.initial(1), env.reset(seed=seed + episode), 0.0, True
        if step == prefill:
            agent.pretrain()
        elif step > prefill and step % every == 0:
            agent.learn()
        if step % evaluate_every == 0 or step == steps:
            curve.append((step, evaluate(agent)))
    return curve


class Run(NamedTuple):
    """What is left of one training run by the script."""

    world: ScriptedWorld
    agent: ScriptedAgent
    pushes: Pushes
    looks: list[tuple[int, int, bool]]  # of each evaluation: steps taken, lessons had, whether the agent was handed in
    curve: Any
    settings: dict[str, int]


SETTINGS = {"steps": 22, "prefill": 7, "every": 3, "evaluate_every": 5, "seed": 40}
EPISODES = ((4, "truncated"), (3, "terminated"), (5, "both"), (1, "truncated"), (6, "terminated"))


def run_of(made: Any, episodes: tuple[tuple[int, str], ...] = EPISODES, **settings: int) -> Run:
    """A run of the learner's loop in a scripted world, with nine arguments by position."""
    settings = SETTINGS | settings
    world, looks, pushes = ScriptedWorld(episodes), [], Pushes()
    agent = ScriptedAgent(world)

    def evaluate(*given):
        looks.append((len(world.actions), len(agent.lessons), given == (agent,)))
        return -100.0 + len(looks)

    curve = made(agent, world, evaluate, pushes, *settings.values())
    return Run(world, agent, pushes, looks, curve, settings)


def check_steps(made: Any, **script: Any) -> None:
    """The world goes so many steps, from reset to end, from one seed to the next."""
    world, settings = (run := run_of(made, **script)).world, run.settings
    taken, steps = len(world.actions), settings["steps"]
    hold(taken == steps, "number of steps", f"With steps = {steps} the world has gone {taken} steps.")
    hold(world.early == 0, "reset early", "`env.reset` is called in the middle of an episode: only its end, of either kind, asks for that.")
    ended = sum(row.over for row in world.shown[:-1])  # whether the world is reset once more after the last step is free
    wanted = [settings["seed"] + number for number in range(len(world.seeds))]
    agrees(world.seeds, wanted, "seeds", f"With seed = {settings['seed']} episodes 0, 1, 2, ... are reset with seed + 0, seed + 1, ...")
    hold(len(world.seeds) >= ended + 1, "no reset", "An episode is over, and `env.reset` was not called.")


class Found(NamedTuple):
    """A remembered row beside what the world showed there."""

    number: int
    row: Remembered


def found_rows(run: Run) -> list[Found]:
    """Each remembered row with the number of what the world showed, by its observation.

    Raises:
        Wrong: an observation was never shown.
    """
    numbers = {shown.observation: number for number, shown in enumerate(run.world.shown)}
    for row in run.agent.rows:
        hold(
            row.observation in numbers, "strange row", f"A row was remembered with the observation {row.observation}: no world showed that."
        )
    return [Found(numbers[row.observation], row) for row in run.agent.rows]


def check_rows(made: Any, **script: Any) -> None:
    """Each row that an action leaves is remembered once, in order, with the reward that came with it."""
    run = run_of(made, **script)
    found, shown = found_rows(run), run.world.shown
    numbers = [each.number for each in found]
    hold(len(set(numbers)) == len(numbers), "row twice", "A row is remembered twice.")
    hold(numbers == sorted(numbers), "order of rows", "Rows are remembered in another order than the world showed them in.")
    gone = next((number for number in run.world.left if number not in numbers), None)
    told = f"Observation {gone} of the run was never remembered, though the agent acted on it." if gone is not None else ""
    hold(gone is None, "row missing", told)
    for number, row in found:
        ahead = shown[number + 1].reward if number + 1 < len(shown) else None
        early = row.reward != shown[number].reward and row.reward == ahead
        told = (
            "A row is remembered with the reward that its action earned. Row t holds the reward that *arrived with* o_t; a first row has 0."
        )
        hold(not early, "reward early", told)
        agrees(row.reward, shown[number].reward, "reward", "A row is remembered with another reward than the one that arrived with it.")
        if row.first != shown[number].first:
            what = "An episode's first row is remembered with first = False" if shown[number].first else "A later row has first = True"
            hold(False, f"first {row.first}", f"{what}: `first` is True at each episode's start, and nowhere else.")


def check_ends(made: Any, **script: Any) -> None:
    """The last row of an episode is stored too, and says whether anything could follow."""
    run = run_of(made, **script)
    rows = {number: row for number, row in found_rows(run)}
    for number, shown in enumerate(run.world.shown):
        if shown.over:
            told = "An episode's last row is not remembered: no action leaves it, but the last reward, and the end itself, come with it."
            hold(number in rows, "last row lost", told)
    for number, row in rows.items():
        shown = run.world.shown[number]
        if shown.over and shown.truncated and not shown.terminated:
            told = "A row where a time limit cut the episode off is remembered with terminal = True. The world could have gone on: False."
            hold(not row.terminal, "time limit", told)
        elif shown.over:
            both = " (It was truncated in the same step. It is an end all the same.)" if shown.truncated else ""
            told = f"A row where the episode `terminated` is remembered with terminal = False: nothing follows there.{both}"
            hold(row.terminal, "both" if shown.truncated else "end", told)
        else:
            hold(not row.terminal, "terminal inside", "A row in the middle of an episode is remembered with terminal = True.")


def check_belief(made: Any, **script: Any) -> None:
    """Each row's carry comes from `policy`, which was given the carry of the row before: its belief and what was done."""
    run = run_of(made, **script)
    asked = {one.observation: one for one in run.agent.asked}
    told = "`policy` is asked more than once about the same observation: each call is a draw, and moves the belief on."
    hold(len(asked) == len(run.agent.asked), "asked twice", told)
    told = "`policy` is called with explore = False in training: then the agent tries nothing new."
    hold(all(one.explore for one in run.agent.asked), "does not explore", told)
    taken = dict(zip(run.world.left, run.world.actions))
    for number, row in found_rows(run):
        told = "A row is remembered, and `policy` never saw its observation: it is asked first, and what it believes is kept with the row."
        hold(row.observation in asked, "not asked", told)
        one, shown = asked[row.observation], run.world.shown[number]
        told = f"`policy` was given first = {one.first:g} at {'an' if shown.first else 'no'} episode's start: 1 there, 0 elsewhere."
        hold(one.first == float(shown.first), f"first {one.first:g}", told)
        kept = torch.equal(row.carry.h, one.after.h) and torch.equal(row.carry.z, one.after.z)
        told = "A row is remembered with another belief than `policy` gave for it: hand over the carry that came back for this row."
        hold(kept, "belief of another row", told)
        if shown.first:
            told = "An episode begins with a carry of the old episode: begin with agent.initial(1), which is zeros."
            hold(not any(part.any() for part in one.before), "carry at the start", told)
            continue
        before = asked.get(run.world.shown[number - 1].observation)
        handed = before is not None and torch.equal(one.before.h, before.after.h) and torch.equal(one.before.z, before.after.z)
        hold(handed, "belief not handed on", "`policy` is not given what it believed at the row before: keep its carry from step to step.")
        did = tuple(one.before.action[0].tolist())
        push = number - 1 in run.world.left[: run.settings["prefill"]]
        how = " A random action was taken there: put it into the carry, carry._replace(action=...)." if push else ""
        hold(
            did == taken[number - 1], "action told", f"The carry that `policy` gets holds another action than the one that was taken.{how}"
        )


def check_actions(made: Any, **script: Any) -> None:
    """Random actions for `prefill` steps, then the policy's; what is taken is what is stored."""
    run = run_of(made, **script)
    chosen = {one.observation: tuple(one.after.action[0].tolist()) for one in run.agent.asked}
    prefill = run.settings["prefill"]
    pushed = [action in run.pushes.drawn for action in run.world.actions]
    told = f"With prefill = {prefill} steps 1 to {prefill} are random ones (`random_action()`), and none after that."
    hold(pushed == [number < prefill for number in range(len(pushed))], "who acts", told)
    random, early = len(run.pushes.drawn), min(prefill, len(pushed))
    hold(random == early, "random actions", f"`random_action` was called {random} times for {early} random steps: each call counts.")
    places = {row.observation: place for place, row in enumerate(run.agent.rows)}
    for number, action in zip(run.world.left, run.world.actions):
        seen = run.world.shown[number].observation
        if action not in run.pushes.drawn:
            told = "The world was given an action that `policy` did not choose for that observation."
            agrees(action, chosen.get(seen), "other action", told)
        stored = run.agent.stored.get(places.get(seen, -1))
        told = "An action was taken and not stored: after its row is remembered, agent.replay.set_action(action) keeps it there."
        hold(stored is not None, "not stored", told)
        told = "The action that is stored with a row is not the one that was taken there."
        hold(
            stored == action,
            "stored",
            f"{told} While actions are random, the random one is stored." if action in run.pushes.drawn else told,
        )


def check_lessons(made: Any, **script: Any) -> None:
    """`pretrain` when the random steps are over, then `learn` every few steps."""
    run = run_of(made, **script)
    steps, prefill, every = (run.settings[name] for name in ("steps", "prefill", "every"))
    first = [step for name, step in run.agent.lessons if name == "pretrain"]
    rest = [step for name, step in run.agent.lessons if name == "learn"]
    early = [step for step in rest if step <= prefill]
    if prefill <= steps:
        hold(bool(first), "no pretrain", "`agent.pretrain` is never called: it is the first learning, when the random steps are over.")
    told = f"With prefill = {prefill} `pretrain` is called once, after step {prefill}."
    agrees(first, [prefill] if prefill <= steps else [], "pretrain", told)
    told = f"`learn` is called after step {min(rest, default=0)}: with prefill = {prefill} there is no `learn` up to step {prefill}."
    hold(not early, "too early", told)
    wanted = [step for step in range(prefill + 1, steps + 1) if step % every == 0]
    told = f"With prefill = {prefill} and every = {every} `learn` is called once after each later step that {every} divides."
    agrees(rest, wanted, "rounds", told)


def check_looks(made: Any, **script: Any) -> None:
    """Evaluated every so many steps and at the end, after that step's learning; the results are the learning curve."""
    run = run_of(made, **script)
    steps, often = run.settings["steps"], run.settings["evaluate_every"]
    wanted = [step for step in range(1, steps + 1) if step % often == 0 or step == steps]
    told = f"With steps = {steps} and evaluate_every = {often} `evaluate` is called after steps that {often} divides, and after the last."
    agrees([look[0] for look in run.looks], wanted, "when", told)
    hold(all(look[2] for look in run.looks), "of whom", "`evaluate` takes the agent, and nothing else: evaluate(agent).")
    for taken, lessons, _ in run.looks:
        due = sum(step <= taken for _, step in run.agent.lessons)
        hold(lessons == due, "before learning", f"After step {taken} the agent is evaluated before it has learned from that step.")
    curve = [(step, -99.0 + number) for number, step in enumerate(wanted)]
    hold(run.curve is not None, "nothing", "Your loop gives None. Is there a `return` at its end?")
    right = isinstance(run.curve, list) and all(isinstance(point, (tuple, list)) for point in run.curve)
    hold(right, "no curve", "The loop returns a list with a pair for each evaluation: (step, what `evaluate` gave).")
    agrees(
        [tuple(point) for point in run.curve], curve, "curve", "The learning curve is not (step, what `evaluate` gave) for each evaluation."
    )


ELSEWHERE = (
    {"steps": 9, "prefill": 4, "every": 1, "evaluate_every": 4, "seed": 0},
    {"steps": 30, "prefill": 11, "every": 4, "evaluate_every": 30, "seed": 7},
    {"steps": 6, "prefill": 10, "every": 2, "evaluate_every": 4, "seed": 3},
)
ASKED = (check_steps, check_rows, check_ends, check_belief, check_actions, check_lessons, check_looks)


def check_elsewhere(made: Any) -> None:
    """The same in other worlds and with other numbers, and again in the first."""
    draw = torch.Generator().manual_seed(9)
    for settings in (*ELSEWHERE, SETTINGS):
        lengths, ends = (torch.randint(low, high, (6,), generator=draw).tolist() for low, high in ((1, 6), (0, 3)))
        episodes = tuple((length, ("terminated", "truncated", "both")[end]) for length, end in zip(lengths, ends))
        for check in ASKED:
            check(made, episodes=episodes, **settings)


# --- wrong on purpose -------------------------------------------------------------------------------


def loop_with(
    terminal=lambda terminated, truncated: terminated,
    last_row=True,
    starts=lambda agent, carry: agent.initial(1),
    again=True,
    told=lambda carry, action: carry._replace(action=action),
    paid=lambda before, now: before,
    lessons=lambda step, prefill, every: "pretrain" if step == prefill else "learn" if step > prefill and step % every == 0 else "",
    learns_first=True,
):
    """A right loop with one place changed."""

    def wrong(agent, env, evaluate, random_action, steps, prefill, every, evaluate_every, seed):
        def look(step):
            if step % evaluate_every == 0 or step == steps:
                curve.append((step, evaluate(agent)))

        curve, episode, carry, first, reward = [], 0, agent.initial(1), True, 0.0
        observation, _ = env.reset(seed=seed)
        for step in range(1, steps + 1):
            row = torch.from_numpy(observation)
            carry = agent.policy(carry, row[None], torch.full((1,), float(first)), True)
            believed, began, arrived = carry, first, reward
            action = random_action() if step <= prefill else carry.action[0]
            carry, first = told(carry, action[None]), False
            observation, reward, terminated, truncated, _ = env.step(action.numpy())
            agent.remember(believed, row, paid(arrived, reward), began, False)
            agent.replay.set_action(carry.action[0])
            if terminated or truncated:
                if last_row:
                    row = torch.from_numpy(observation)
                    carry = agent.policy(carry, row[None], torch.zeros(1), True)
                    agent.remember(carry, row, paid(reward, 0.0), False, terminal(terminated, truncated))
                episode += 1
                (observation, _), reward, first, carry = env.reset(seed=seed + episode), 0.0, again, starts(agent, carry)
            if not learns_first:
                look(step)
            if lesson := lessons(step, prefill, every):
                getattr(agent, lesson)()
            if learns_first:
                look(step)
        return curve

    return wrong


def learns_at_once(step: int, prefill: int, every: int) -> str:
    """`learn` from the first step on."""
    return "pretrain" if step == prefill else "learn" if step % every == 0 else ""


def never_pretrains(step: int, prefill: int, every: int) -> str:
    """`learn` alone."""
    return "learn" if step > prefill and step % every == 0 else ""


LOOP = Build(
    id="9.B",
    title="The training loop",
    minutes=60,
    difficulty=2,
    importance=3,
    reference=train,
    target=None,
    properties=(
        Property("steps", "So many steps, each episode from its reset to its end, each with a seed of its own.", check_steps),
        Property("rows", "Each row is remembered once, in order, with the reward that arrived with it.", check_rows),
        Property("ends", "An episode's last row is stored, and a time limit is no end of the world.", check_ends),
        Property("belief", "The carry goes from row to row with what was done, and begins each episode as zeros.", check_belief),
        Property("actions", "Random at first, then the policy's; what is taken is what is stored.", check_actions),
        Property("learning", "`pretrain` after the random steps, `learn` every few steps after that.", check_lessons),
        Property("evaluation", "On time, after that step's learning; the results are returned.", check_looks),
        Property("elsewhere", "All of it in other worlds, with other numbers.", check_elsewhere),
    ),
    hints=(
        (
            "Write a small function inside for what happens at each row: ask `policy`, then `remember` with the carry that came back. "
            "You need it in two places: for the row that an action leaves, and for an episode's last row."
        ),
        (
            "One turn of the loop: see the row (policy, remember); in the first `prefill` steps put random_action()[None] into the "
            "carry; set_action; env.step; if the episode is over, see its last row and reset; pretrain or learn; evaluate."
        ),
        (
            "Four things are carried from turn to turn: carry, observation, reward, first. A reset sets all four: agent.initial(1), "
            "env.reset(seed=seed + episode)[0], 0.0, True. A step sets three: observation and reward, and first = False. The last row "
            "is seen with first = False and terminal = terminated; every other row with terminal = False."
        ),
    ),
    mistakes=(
        Mistake(
            "last_row_lost",
            loop_with(last_row=False),
            "After the last step of an episode your loop resets at once. That step's observation and reward make one more row, which no "
            "action leaves: remember it first. Without it the model never sees an end, nor the reward that comes with it.",
        ),
        Mistake(
            "time_limit_is_an_end",
            loop_with(terminal=lambda terminated, truncated: terminated or truncated),
            "A time limit is stored as an end. `truncated` says that the recording stops, and asks for a reset; `terminal` is `terminated` "
            "alone.",
        ),
        Mistake(
            "no_end_at_all",
            loop_with(terminal=lambda terminated, truncated: False),
            "No row is stored as an end. The last row of an episode that `terminated` has terminal = True.",
        ),
        Mistake(
            "truncated_wins",
            loop_with(terminal=lambda terminated, truncated: terminated and not truncated),
            "Where both flags are up, your loop takes the time limit's word. It is an end all the same: terminal = terminated.",
        ),
        Mistake(
            "carry_kept",
            loop_with(starts=lambda agent, carry: carry),
            "The carry lives on across a reset. A new episode begins with agent.initial(1).",
        ),
        Mistake(
            "first_only_once",
            loop_with(again=False),
            "`first` is True in the first row of the run alone. Each episode has a first row.",
        ),
        Mistake(
            "random_action_not_told",
            loop_with(told=lambda carry, action: carry),
            "In the random steps the world gets one action, and carry and buffer keep another, the policy's. The model would learn what "
            "an action does from actions that nobody took. Put the random one into the carry: carry._replace(action=...).",
        ),
        Mistake(
            "reward_of_the_action",
            loop_with(paid=lambda before, now: now),
            "Each row is stored with the reward that its action earned. Row t holds the reward that arrived *with* o_t: keep "
            "the reward of the last step until the row it belongs to is remembered.",
        ),
        Mistake(
            "learns_at_once",
            loop_with(lessons=learns_at_once),
            "Learning starts while actions still are random. Until `prefill` steps are taken there is nothing to measure units on.",
        ),
        Mistake(
            "never_pretrains",
            loop_with(lessons=never_pretrains),
            "The first learning, `pretrain`, is left out: it measures the units and gives the model its head start.",
        ),
        Mistake(
            "evaluates_first",
            loop_with(learns_first=False),
            "The agent is evaluated before it has learned from that step. Learn first, then look.",
        ),
    ),
)

BUILDS = [ROUND, LOOP]
