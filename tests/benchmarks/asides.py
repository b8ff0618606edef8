"""What notebooks tell in passing of runs that would take too long on the page: their own cells, run again with other seeds.

    python tests/benchmarks/asides.py                everything: about an hour on one core
    python tests/benchmarks/asides.py --parts probe  the linear probe of notebook 05 alone

* coin: the tosses that notebook 03's world models dream, by kind of z and free nats, over six seeds.
* spring: how far notebook 03's beliefs are from the exact ones, over three seeds.
* heads: notebook 04's three reward heads, and its learned standard deviation, over six seeds.
* sweep: notebook 05's four weights of the KL, over three seeds.
* probe: notebook 05's world model and what a linear probe finds in it, with z cut and not cut, over six seeds.
* overshoot: the dreams of notebook 05's world model, trained with dreams inside its windows and without, over six seeds.
* tries: the changes that notebook 05 proposes under "Try it", over three seeds.
* starts: the KL along notebook 06's windows from a stored, a re-run and a zero h, over four more seeds.
* exploit: what an agent expects and gets after practising in notebook 07's frozen dream, over seeds and numbers of real steps.
* race: notebook 08's three learners, in the world of its figure and in five more.
* slopes: what the critics of two of them know of values and of slopes along the way, in the same worlds.
* lag: notebook 08's A with Spinning Up's rate of the target Q, in three of these worlds.
* sac: the changes that notebook 02 proposes under "Try it", over three seeds.

Results go to notebooks/assets/asides.json; tests/notebooks/test_quoted.py compares the words with
them. What is there is measured again only with --fresh. No seed is left out.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot
import torch

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "notebooks" / "assets" / "asides.json"
CUT = {"z cut": True, "z not cut": False}

# Notebook 08's learners, and what it says of other lengths and larger batches of C.
DREAMS = {"imagination": {"horizon": 15, "starts": 64}}
RACERS: dict[str, dict[str, Any]] = {
    "A": {"preset": "dropin", **DREAMS, "sac": {"batch": 255}},
    "B": {"preset": "advantage"},
    "C": {"preset": "dropin", **DREAMS, "sac": {"batch": 17, "lam": 1.0}},
    "C, dreams of 5": {"preset": "dropin", "imagination": {"horizon": 5, "starts": 64}, "sac": {"batch": 51, "lam": 1.0}},
    "C, all dreams": {"preset": "dropin", **DREAMS, "sac": {"batch": 0, "lam": 1.0}},
    "C, lambda 0.95": {"preset": "dropin", **DREAMS, "sac": {"batch": 17, "lam": 0.95}},
}
# learner -> (rounds after which it is measured, seeds in the world of the figure, other worlds)
HEATS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "A": ((200, 400), 2, 5),
    "B": ((300,), 2, 5),
    "C": ((200, 400), 2, 5),
    "C, dreams of 5": ((300,), 3, 0),
    "C, all dreams": ((240,), 2, 0),
    "C, lambda 0.95": ((200,), 3, 0),
}

# The critics of notebook 08's A and C are asked after so many rounds.
ASKED = {"A": (100, 200), "C": (100, 200, 400)}
# Real random steps of notebook 07's frozen dream -> number of seeds.
FROZEN = {100: 3, 300: 6, 1000: 3}

# Notebook 02's proposals: text of a cell -> what stands there instead.
CONFIG = 'config = preset("dropin").sac'
TRIES: dict[str, dict[str, str]] = {
    "as it is": {},
    "1, rewards as they come": {"config.reward_scale = 0.1": "config.reward_scale = 1.0"},
    "2, no slow target": {CONFIG: f"{CONFIG}\nconfig.polyak = 0.0"},
    "3, one critic": {".amin(0)": "[0]"},
    "4, no entropy": {CONFIG: f"{CONFIG}\nconfig.alpha = config.alpha_final = 0.0"},
    "5, time limit as an end": {"terminal=terminated": "terminal=terminated or truncated"},
}
TRY_SEEDS = 3


def cells(number: str) -> list[str]:
    """The sources of a notebook's code cells."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    return ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def play(number: str, keep: tuple[str, ...] = (), changes: Mapping[str, str] | None = None, until: str = "") -> dict[str, Any]:
    """Run a notebook's code cells in order, exercises unsolved; returns its variables.

    Args:
        keep: run only the cells that hold one of these texts; all cells if empty.
        changes: text -> text put in its place wherever it stands in the cells that run.
        until: the last cell to run is the one that holds this text.

    Raises:
        ValueError: a text to be replaced is nowhere: the notebook has changed.
    """
    chosen = [cell for cell in cells(number) if not keep or any(text in cell for text in keep)]
    if until:
        chosen = chosen[: 1 + next(n for n, cell in enumerate(chosen) if until in cell)]
    for old, new in (changes or {}).items():
        if not any(old in cell for cell in chosen):
            raise ValueError(f"notebook {number} does not hold {old!r} any more: mend asides.py")
        chosen = [cell.replace(old, new) for cell in chosen]
    variables: dict[str, Any] = {"__name__": f"notebook_{number}"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in chosen:
            exec(cell, variables)
            matplotlib.pyplot.close("all")
    return variables


def coin(seed: int) -> dict[str, dict[str, float]]:
    """Notebook 03's coin, learned from other tosses and other weights: shares of dreamt tails, heads and neither, and the last KL."""
    keep = ("begin(", "from dreamer_core.yardsticks import ladder", "def no_memory", "def learn_coin")
    once = 'coins = {latent: learn_coin(latent, 0.05) for latent in ("gaussian", "categorical")}'
    book = play("03", keep, {"latent=latent)": f"latent=latent, seed={seed})", once: ""})
    found = {}
    for latent, free in (("gaussian", 0.05), ("gaussian", 2.0), ("categorical", 0.05), ("categorical", 1.0), ("categorical", 2.0)):
        tosses, watched = book["learn_coin"](latent, free)
        tails, heads = (float((abs(tosses - face) < 0.25).mean()) for face in (0, 1))
        found[f"{latent}, free nats {free}"] = rounded(
            tails=tails, heads=heads, neither=1 - tails - heads, beyond=(tosses > 1.25).mean(), largest=tosses.max(),
            kl=watched[-20:, 0].mean(), still=(watched[:, 1] == 0).mean(),
        )  # fmt: skip
    return found


def spring(seed: int) -> dict[str, dict[str, float]]:
    """Notebook 03's gaps in nats: as it trains, for longer, and with classes, each from other weights and other batches."""
    book = play("03", ("begin(", "from dreamer_core.yardsticks import ladder", "clear = World", "world = World(", "fresh = random"), {
        "budget(1500, quick=60)": "1", "my_guess_ratio": "1.0",
    })  # fmt: skip
    found = {}
    for name, latent, updates in (("as it is", "gaussian", 1500), ("longer", "gaussian", 4000), ("classes", "categorical", 1500)):
        torch.manual_seed(seed)
        believer = book["small_model"](latent)
        book["fit"](book["world"], believer, book["recorded"], updates, lr=1.2e-2)
        foreseen = book["foresee"](book["world"], believer, book["fresh"], chains=20, samples=20)
        found[name] = rounded(**book["compare"](foreseen, book["truth"], book["fresh"].visible))
    return found


def heads(seed: int) -> dict[str, dict[str, float]]:
    """Notebook 04's heads with a fixed and a learned sigma, and the coverage of the learned one on its noisy toy."""
    keep = ("begin(", "def pair_up", "own_play =", "def read(", "def rms(", "def noisy(", "def coverage(")
    book = play("04", keep, {"torch.manual_seed(0)": f"torch.manual_seed({seed})"})
    fit, read, rms = book["fit"], book["read"], book["rms"]
    found = {}
    for name, std, floor in (("fixed 1", 1.0, 0.05), ("learned, floor 0.05", 0.0, 0.05), ("learned, floor 0.0001", 0.0, 0.0001)):
        head, rows = fit(book["states"], book["rewards"], std, floor)
        miss = rms(head, book["test_states"], book["test_rewards"])
        found[name] = rounded(miss=miss, sigma=rows[-1, 1], gradient=rows[-100:, 2].mean(), longest=rows[:, 2].max())
    for floor in (0.05, 0.3):
        head, _ = fit(book["many_x"], book["many_r"], 0.0, floor)
        with torch.no_grad():
            mean, std = read(head, book["x"], 0.0, floor)
        inside = (mean - book["r"]).abs() <= std
        found[f"noisy toy, floor {floor}"] = rounded(**{place: inside[rows].float().mean() for place, rows in book["places"].items()})
    return found


def model_of_05(seed: int) -> dict[str, Any]:
    """Notebook 05's cells up to the probe, from other random rows and other weights."""
    keep = ("begin(", "import statistics", "def collect", "episodes = [act_out", "blind = [act_out", "def train(")
    keep += ("def ahead", "def r_squared", "def velocity_in")
    return play("05", keep, {'config = preset("dropin")': f'config = preset("dropin")\n    config.seed = {seed}'})


def learned(book: dict[str, Any], agent: Any) -> list[dict[str, float]]:
    """Notebook 05's training of a world model: the metrics of every 20th update."""
    with contextlib.redirect_stdout(io.StringIO()):
        return book["train"](agent, book["updates"], "")


def sweep(seed: int) -> dict[str, dict[str, float]]:
    """Notebook 05's four weights of the KL: error and KL after training."""
    keep = ("begin(", "import statistics", "def collect", "sweep_updates")
    book = play("05", keep, {'config = preset("dropin")': f'config = preset("dropin")\n    config.seed = {seed}'})
    return {str(factor): rounded(error=error, kl=kl) for factor, (error, kl) in zip(book["factors"], book["found"])}


def probe(seed: int) -> dict[str, dict[str, float]]:
    """Notebook 05's world model with z cut and not cut: R^2 of the velocity in h and z, and how its training went."""
    book = model_of_05(seed)
    found = {}
    for name, cut in CUT.items():
        agent = book["collect"](detach_z=cut)
        rows = learned(book, agent)
        curve = {
            short: [row[f"model/{short}"] for row in rows] for short in ("observation", "stat_kl", "stat_posterior_entropy", "grad_norm")
        }
        found[name] = rounded(
            **book["velocity_in"](agent),
            observation=curve["observation"][0], observation_100=curve["observation"][5], observation_end=curve["observation"][-1],
            kl_highest=max(curve["stat_kl"]), kl_end=curve["stat_kl"][-1],
            entropy=curve["stat_posterior_entropy"][0], entropy_lowest=min(curve["stat_posterior_entropy"]),
            entropy_end=curve["stat_posterior_entropy"][-1], longest=max(curve["grad_norm"]),
        )  # fmt: skip
    return found


def overshoot(seed: int) -> dict[str, dict[str, float]]:
    """Notebook 05's world model with dreams inside its windows and without: its last reconstruction error, and those of its dreams."""
    book, found = model_of_05(seed), {}
    for name, change in {"dreams": {}, "single steps": {"overshoot": 0}}.items():
        agent = book["collect"](**change)
        rows = learned(book, agent)
        errors, _ = book["ahead"](agent)
        found[name] = rounded(observation_end=rows[-1]["model/observation"], **{f"ahead_{n}": errors[n] for n in (1, 5, 15, 25)})
    return found


def tries(seed: int) -> dict[str, dict[str, float]]:
    """What notebook 05 proposes: R^2 of the velocity, and the last reconstruction error."""
    book = model_of_05(seed)
    changes: dict[str, dict[str, Any]] = {
        "as it is": {}, "sighted": {"hide": ()}, "classes": {"latent": "categorical"}, "clipped": {"clip_norm": 0.05},
    }  # fmt: skip
    found = {}
    for name, change in changes.items():
        agent = book["collect"](**change)
        rows = learned(book, agent)
        shown = book["episodes"] if name == "sighted" else book["blind"]
        ends = {f"{short}_end": rows[-1][f"model/{short}"] for short in ("observation", "stat_kl", "stat_posterior_entropy")}
        found[name] = rounded(**book["velocity_in"](agent, shown), **ends)
    return found


def rounded(**values: Any) -> dict[str, float]:
    """Four digits are enough for a sentence."""
    return {name: float(f"{float(value):.4g}") for name, value in values.items()}


def starts(seed: int) -> dict[str, dict[str, list[float]]]:
    """KL at each row of notebook 06's windows: agent -> what they start from -> rows. Other episodes, and other weights to begin with."""
    book = play("06", ("begin(", "import json", "def make_agent", "def live(", "def three_starts"), {
        "torch.manual_seed(0)\n    return": f"torch.manual_seed({seed})\n    return",
        "range(60_000, 60_000 +": f"range({60_000 + 100 * seed}, {60_000 + 100 * seed} +",
    })  # fmt: skip
    return {name: {start: [round(float(nats), 3) for nats in kl] for start, kl in found.items()} for name, found in book["kls"].items()}


def exploit(steps: int, seed: int) -> dict[str, int]:
    """The imagined and the real return after practice in notebook 07's frozen dream of so many random steps."""
    book = play("07", ("begin(", "Dreamer.load", "practising in a frozen dream"), {
        'config = preset("dropin")': f'config = preset("dropin")\nconfig.seed = {seed}',
        "config.evaluation.every = 300": f"config.evaluation.every = {steps}",
    })  # fmt: skip
    _, imagined, real = book["rows"][-1]
    return {"imagined": round(imagined), "real": round(real)}


def frozen_world(number: int, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Notebook 08's cells with its frozen world model, from these real rows and weights (0 is the page's own), and `more` cells."""
    return play("08", ("begin(", "from dreamer_core.config import from_dict", "def explore", "one world model", "stage =", *more), {
        "torch.manual_seed(0)\nworld": f"torch.manual_seed({number})\nworld", "length=16, seed=0": f"length=16, seed={number}",
    })  # fmt: skip


def practise(world, stage, settings: dict[str, Any], seed: int, marks: tuple[int, ...]) -> list[int]:
    """Real returns of a fresh learner after `marks` rounds in a frozen dream, as in notebook 08."""
    from dreamer_core.agent import Dreamer
    from dreamer_core.config import from_dict
    from dreamer_core.trainer import evaluate

    torch.manual_seed(seed)
    student = Dreamer(from_dict(settings), 3, 1)
    student.model, student.replay = world.model, world.replay
    found = []
    for number in range(1, marks[-1] + 1):
        student.learn_policy()
        if number in marks:
            found.append(round(float(evaluate(student, stage, seed=20_000).returns.mean())))
    return found


def race(number: int) -> dict[str, Any]:
    """All learners in one frozen world: learner -> seed -> real returns at its marks."""
    book, found = frozen_world(number), {}
    for name, (marks, seeds, others) in HEATS.items():
        runs = seeds if number == 0 else int(number <= others)
        if runs:
            found[name] = {str(seed): practise(book["world"], book["stage"], RACERS[name], seed, marks) for seed in range(runs)}
    return found


def slopes(number: int) -> dict[str, dict[str, dict[str, list[float]]]]:
    """learner -> seed -> rounds -> how its critic's values correlate with the dream's, and how often its slope has the right sign."""
    from dreamer_core.agent import Dreamer
    from dreamer_core.config import from_dict

    book = frozen_world(number, ("def critic_and_dream", "def asked"))
    book["gamma"] = book["agent"].config.sac.gamma
    found: dict[str, dict[str, dict[str, list[float]]]] = {name: {} for name in ASKED}
    for name, marks in ASKED.items():
        for seed in range(HEATS[name][1] if number == 0 else 1):
            torch.manual_seed(seed)
            student = Dreamer(from_dict(RACERS[name]), 3, 1)
            student.model, student.replay = book["world"].model, book["world"].replay
            for rounds in range(1, marks[-1] + 1):
                student.learn_policy()
                if rounds in marks:
                    with torch.random.fork_rng():
                        alike, right, _ = book["asked"](student)
                    found[name].setdefault(str(seed), {})[str(rounds)] = [round(alike, 2), round(right, 2)]
    return found


def lag(number: int) -> dict[str, int]:
    """seed -> the return of notebook 08's A after 200 rounds, if its target Q follows as slowly as Spinning Up's."""
    book, settings = frozen_world(number), RACERS["A"] | {"sac": RACERS["A"]["sac"] | {"polyak": 0.995}}
    return {str(seed): practise(book["world"], book["stage"], settings, seed, (200,))[0] for seed in range(2 if number == 0 else 1)}


def attempt(name: str, seed: int) -> dict[str, Any]:
    """Notebook 02's run with one of its proposals: returns every 200 steps, the lowest mean Q (in units of reward), the last entropy."""
    changes = TRIES[name] | {"torch.manual_seed(0)": f"torch.manual_seed({seed})"}
    book = play("02", changes=changes, until="steps = budget(3000")
    _, q_mean, entropy = zip(*book["reports"])
    return {
        "returns": [round(float(score)) for _, score in book["curve"]],
        "lowest_q": round(min(q_mean) / book["config"].reward_scale),
        "entropy": round(float(entropy[-1]), 2),
    }


JOBS: dict[str, dict[str, Callable[[], Any]]] = {
    "coin": {str(seed): partial(coin, seed) for seed in range(6)},
    "spring": {str(seed): partial(spring, seed) for seed in range(3)},
    "heads": {str(seed): partial(heads, seed) for seed in range(6)},
    "sweep": {str(seed): partial(sweep, seed) for seed in range(3)},
    "probe": {str(seed): partial(probe, seed) for seed in range(6)},
    "overshoot": {str(seed): partial(overshoot, seed) for seed in range(6)},
    "tries": {str(seed): partial(tries, seed) for seed in range(3)},
    "starts": {str(seed): partial(starts, seed) for seed in range(1, 5)},
    "exploit": {f"{steps}/{seed}": partial(exploit, steps, seed) for steps, seeds in FROZEN.items() for seed in range(seeds)},
    "race": {str(world): partial(race, world) for world in range(6)},
    "slopes": {str(world): partial(slopes, world) for world in range(6)},
    "lag": {str(world): partial(lag, world) for world in range(3)},
    "sac": {f"{name}/{seed}": partial(attempt, name, seed) for name in TRIES for seed in range(TRY_SEEDS)},
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=JOBS, default=list(JOBS), help="what to measure (default: all)")
    parser.add_argument("--fresh", action="store_true", help="measure again what is stored already")
    args = parser.parse_args()
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    os.chdir(ROOT)
    results: dict[str, Any] = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DREAMER_LEDGER"] = str(Path(folder) / "answers.json")  # nobody's own answers are read or changed
        for part in args.parts:
            stored = results.setdefault(part, {})
            for key, job in JOBS[part].items():
                if args.fresh or key not in stored:
                    stored[key] = job()
                    OUT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
                    print(f"{part} {key}: {stored[key]}", flush=True)


if __name__ == "__main__":
    main()
