"""Notebook 09: the training loop, and a round of learning inside it."""

from typing import Any, NamedTuple

import torch

from dreamer_core.classroom.build import Build, Property, agrees, hold
from dreamer_core.classroom.scripted import Pushes, Remembered, ScriptedAgent, ScriptedWorld
from dreamer_core.classroom.spec import Mistake

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

BUILDS = [LOOP]
