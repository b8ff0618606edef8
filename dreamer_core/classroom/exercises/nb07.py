"""Notebook 07: imagination."""

import math
from contextlib import nullcontext

import numpy as np
import torch

from dreamer_core import imagine as dreams
from dreamer_core import returns
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake
from dreamer_core.classroom.toy import PRIOR_STD, ToyActor, ToyLatent, ToyModel, reading_by_hand, small_model, step_by_hand
from dreamer_core.trajectories import Trajectories
from dreamer_core.viz import dream as filming
from dreamer_core.viz import error_growth


class NumberedLatent(ToyLatent):
    """Chance is still 1 where it is used, but each draw has a number: so a noise that is used twice can be told."""

    def __init__(self) -> None:
        self.drawn, self.used = 0, set()

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> torch.Tensor:
        """Numbers never given before: (*shape, 1)."""
        count, first = math.prod(shape), self.drawn
        self.drawn += count
        return torch.arange(first, first + count, dtype=torch.float32).view(*shape, 1)

    def sample(self, params: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As its parent, whatever the number."""
        self.used.update(noise.flatten().tolist())
        return super().sample(params, torch.ones_like(noise))


def numbered_model() -> ToyModel:
    """A toy model that remembers which draws were used."""
    model = ToyModel()
    model.rssm.latent = NumberedLatent()
    return model


# --- 7.1 a rollout ---------------------------------------------------------------------------

STARTS = (((0.5, -0.2), 0.3), ((-0.4, 0.6), -0.1))  # h, z of N = 2 dreams
WEIGHT, HORIZON = (1.0, 0.0), 3


def observe_imagine(f):
    """Two dreams of three steps, from start states that carry a gradient."""
    h = torch.tensor([start[0] for start in STARTS], requires_grad=True)
    z = torch.tensor([[start[1]] for start in STARTS], requires_grad=True)
    model = numbered_model()
    dream = f(model, ToyActor(), h, z, torch.tensor(WEIGHT), HORIZON)
    return {
        "state": dream.state.detach(),
        "pre_tanh": dream.pre_tanh.detach(),
        "reward": dream.reward.detach(),
        "cont": dream.cont.detach(),
        "weight": dream.weight.detach(),
        "whether some part of the dream carries a gradient": any(part.requires_grad for part in dream),
        "how many different draws of noise make z, in 2 dreams of 3 steps": len(model.rssm.latent.used),
    }


def expected_imagine():
    """Each dream by itself, in plain arithmetic."""
    state, pre_tanh, reward, cont = [], [], [], []
    for h, z in STARTS:
        for rows in (state, pre_tanh, reward, cont):
            rows.append([])
        state[-1].append([*h, z])
        for _ in range(HORIZON):
            u = reading_by_hand(h, z).mean + 0.5
            h = step_by_hand(h, z, math.tanh(u))
            z = h[0] - h[1] + PRIOR_STD
            state[-1].append([*h, z])
            pre_tanh[-1].append([u])
            reward[-1].append(reading_by_hand(h, z).reward)
            cont[-1].append(reading_by_hand(h, z).cont)
    found = map(torch.tensor, (state, pre_tanh, reward, cont, WEIGHT))
    names = ("state", "pre_tanh", "reward", "cont", "weight")
    return dict(zip(names, found)) | {
        "whether some part of the dream carries a gradient": False,
        "how many different draws of noise make z, in 2 dreams of 3 steps": 6,
    }


def imagine_with(
    draw=lambda actor, state: actor.draw(state),
    squash=torch.tanh,
    stored=lambda u: u,
    guess=lambda latent, prior, noise: latent.sample(prior, noise),
    fresh=True,
    read=slice(1, None),
    cont=torch.sigmoid,
    context=torch.no_grad,
):
    """A rollout with one place changed."""

    def wrong(model, actor, h, z, weight, horizon):
        with context():
            rssm = model.rssm
            states, actions = [torch.cat([h, z], -1)], []
            once = rssm.latent.noise(len(h))
            for _ in range(horizon):
                u = draw(actor, states[-1])
                h = rssm.step(h, z, squash(u))
                z = guess(rssm.latent, rssm.prior(h), rssm.latent.noise(len(h)) if fresh else once)
                states.append(torch.cat([h, z], -1))
                actions.append(stored(u))
            state = torch.stack(states, 1)
            read_from = state[:, read]
            reward = model.predict_reward(read_from)[0]
            return Trajectories(state, torch.stack(actions, 1), reward, cont(model.predict_continue(read_from)), weight)

    return wrong


def dreaming(d: Draw, count: int, horizon: int, weight: torch.Tensor | None = None, alike: bool = False) -> tuple:
    """Arguments with O = 3, A = 2, D = 6, Z = 4; `alike`: every dream starts from the same state, and chance is real."""
    model, actor = small_model(d, 3, 2, 6, 4, steady=not alike)
    h, z = (d.normal(1, size).repeat(count, 1) if alike else d.normal(count, size) for size in (6, 4))
    return model, actor, h, z, d.data(d.uniform(0, 1, count) if weight is None else weight), horizon


APART = "how far neighbouring dreams lie apart, in standard deviations (1.4 if each has its own chance)"


def law_of_dreams(dream: Trajectories) -> dict[str, torch.Tensor]:
    """The law of N dreams from one state."""
    drawn = torch.cat([dream.state[:, 1:, 6:], dream.pre_tanh], -1).flatten(1)  # (N, H * (Z + A)): all that chance has a hand in
    unit = (drawn - drawn.mean(0)) / (drawn.std(0) + 1e-6)
    h, u = (part - part.mean(0) for part in (dream.state[:, 1, :6], dream.pre_tanh[:, 0]))
    h, u = h / (h.std(0) + 1e-6), u / (u.std(0) + 1e-6)
    return {
        "the correlations of the first u with the h that follows": u.T @ h / len(h),  # 0 if another u was dreamt than is stored
        APART: (unit[1:] - unit[:-1]).square().mean(0).sqrt(),
        "the means of z and u, divided by their spreads": drawn.mean(0) / (drawn.std(0) + 1e-6),
        "the spreads of z and u": drawn.std(0),
        "the correlations between the steps of a dream": unit.T @ unit / len(unit),
    }


IMAGINE = Exercise(
    id="7.1",
    title="A rollout as plain data",
    minutes=12,
    difficulty=3,
    importance=3,
    reference=dreams.imagine,
    target="dreamer_core.imagine:imagine",
    observe=observe_imagine,
    expected=expected_imagine,
    looks=(
        Look("4 dreams of 3 steps", lambda d: dreaming(d, 4, 3)),
        Look("a single dream", lambda d: dreaming(d, 1, 5)),
        Look("dreams of one step", lambda d: dreaming(d, 3, 1)),
        Look("starts that nothing can follow", lambda d: dreaming(d, 5, 2, weight=d.mask(5))),
        Look("real chance", lambda d: dreaming(d, 4_000, 3, alike=True), draws=1, read=law_of_dreams, within=0.2),
    ),
    mistakes=(
        Mistake(
            "state_left",
            imagine_with(read=slice(None, -1)),
            "Reward and cont are read from the state that was left. They arrive with the state that is reached: index t is read from "
            "s_{t+1}.",
        ),
        Mistake(
            "gradient_kept",
            imagine_with(context=nullcontext),
            "The numbers are right, but they still carry a gradient. A dream is plain data: put its body under `with torch.no_grad():`.",
        ),
        Mistake(
            "most_likely_z",
            imagine_with(guess=lambda latent, prior, noise: latent.mode(prior)),
            "z is the prior's most likely value, so all dreams of one start are alike. Draw it: latent.sample(prior, noise).",
        ),
        Mistake(
            "most_likely_action",
            imagine_with(draw=lambda actor, state: actor(state)[0]),
            "The action is the actor's most likely one. In training dreams it explores: use actor.draw(state).",
        ),
        Mistake(
            "action_not_squashed",
            imagine_with(squash=lambda u: u),
            "u goes into the model as it was drawn. The action is tanh(u), which actor.squash makes; only what is stored is u itself.",
        ),
        Mistake(
            "action_stored_squashed",
            imagine_with(stored=torch.tanh),
            "tanh(u) is stored where u belongs. The field is called pre_tanh: from a saturated action, u could not be found again.",
        ),
        Mistake(
            "noise_drawn_once",
            imagine_with(fresh=False),
            "The same noise makes z in every step, so a dream keeps its luck from beginning to end. Draw it anew for each step.",
        ),
        Mistake(
            "cont_is_a_logit",
            imagine_with(cont=lambda logit: logit),
            "cont holds logits. predict_continue gives the logit; the probability that the episode goes on is its sigmoid.",
        ),
    ),
    hints=(
        "Collect lists: states (it starts with s_0, so it ends up one longer) and actions. Then torch.stack(..., 1) puts time second.",
        "In the loop: u = actor.draw(states[-1]), then h, z = model.rssm.dream_step(h, z, actor.squash(u), "
        "model.rssm.latent.noise(len(h))).",
        "After the loop, read the heads once on all states reached: reached = state[:, 1:]; reward = model.predict_reward(reached)[0]; "
        "cont = torch.sigmoid(model.predict_continue(reached)). Return Trajectories(state, torch.stack(actions, 1), reward, cont, weight).",
    ),
)

# --- 7.2 how likely a step is reached ----------------------------------------------------------

CONT = ((0.5, 0.5, 0.1, 0.9), (1.0, 0.0, 0.8, 0.8), (0.9, 0.8, 0.5, 0.25))


def observe_alive_weight(f):
    """Three dreams of four steps, one of which surely ends at its second; and a dream of one step."""
    return {"the weight": f(torch.tensor(CONT)), "the weight of a dream of one step": f(torch.tensor([[0.3]]))}


def expected_alive_weight():
    """Multiplied out by hand."""
    by_hand = [[1, 0.5, 0.25, 0.025], [1, 1, 0, 0], [1, 0.9, 0.72, 0.36]]
    return {"the weight": torch.tensor(by_hand), "the weight of a dream of one step": torch.tensor([[1.0]])}


def shifted(cont, first=1.0):
    """The continues one step later, with `first` in front."""
    return torch.cat([torch.full_like(cont[:, :1], first), cont[:, :-1]], 1)


ALIVE_WEIGHT = Exercise(
    id="7.2",
    title="Is the dream still running?",
    minutes=6,
    difficulty=1,
    importance=3,
    reference=returns.alive_weight,
    target="dreamer_core.returns:alive_weight",
    observe=observe_alive_weight,
    expected=expected_alive_weight,
    gradients=False,
    looks=(
        Look("3 dreams of 5 steps", lambda d: (d.uniform(0, 1, 3, 5),)),
        Look("7 dreams of 4 steps", lambda d: (d.uniform(0, 1, 7, 4),)),
        Look("a single dream", lambda d: (d.uniform(0, 1, 1, 6),)),
        Look("dreams of one step", lambda d: (d.uniform(0, 1, 4, 1),)),
        Look("dreams that end for sure", lambda d: (1 - d.mask(6, 4),)),
        Look("dreams that never end", lambda d: (torch.ones(2, 7),), draws=1),
    ),
    mistakes=(
        Mistake(
            "not_shifted",
            lambda cont: torch.cumprod(cont, 1),
            "The product is one step early. cont[:, t] is known only after a_t was taken, so it counts from step t + 1 on, and step "
            "0 weighs 1.",
        ),
        Mistake(
            "starts_with_zero",
            lambda cont: torch.cumprod(shifted(cont, 0.0), 1),
            "The first step weighs 0, and with it every later one. A dream always takes its first step: put ones in front.",
        ),
        Mistake(
            "first_continue_twice",
            lambda cont: torch.cumprod(torch.cat([cont[:, :1], cont[:, :-1]], 1), 1),
            "The first continue is in front where a 1 belongs, so it counts twice. Put ones in front.",
        ),
        Mistake(
            "late_by_one",
            lambda cont: torch.cumprod(torch.cat([torch.ones_like(cont[:, :1]), cont[:, 1:]], 1), 1),
            "cont[:, 0] is never used. It belongs to the first state reached, so the step taken there, step 1, already depends on it.",
        ),
        Mistake(
            "no_product",
            lambda cont: shifted(cont),
            "Each step is weighted by the one before it alone. To be reached, a step needs all steps before it to have gone on: a "
            "running product.",
        ),
        Mistake(
            "running_sum",
            lambda cont: torch.cumsum(shifted(cont), 1),
            "Probabilities are added up, so the weights grow beyond 1. That all of several steps went on is a product.",
        ),
        Mistake(
            "across_dreams",
            lambda cont: torch.cumprod(shifted(cont), 0),
            "The product runs over the dreams. It must run over time, axis 1: each dream has a life of its own.",
        ),
    ),
    hints=(
        "The weight of step t is the probability that the steps 0 .. t - 1 all went on. What is that for t = 0?",
        "Shift cont by one step (ones in front, the last column is not needed), then torch.cumprod along time.",
        "torch.cumprod(torch.cat([torch.ones_like(cont[:, :1]), cont[:, :-1]], 1), 1)",
    ),
)

# --- 7.3 a departure ----------------------------------------------------------------------------


def happened(above=(), below=(), slightly=()):
    """What happened (12, 2) beside a band of [-1, 1]: entry 0 above it, entry 1 below it, entry 0 slightly above, in the rows listed."""
    real = np.zeros((12, 2))
    real[list(slightly), 0] = 1.4
    real[list(above), 0] = 3.0
    real[list(below), 1] = -3.0
    return real, np.full((12, 2), -1.0), np.full((12, 2), 1.0)


def row_of(found) -> str:
    """A row number, or None, as a word."""
    return "None" if found is None else str(int(found))


def observe_departure(f):
    """Misses above and below, that last and that do not, spread over two entries, too small to count; and none at all."""
    return {
        "the row, where entry 0 is above the band in rows 2 to 5": row_of(f(*happened(above=[2, 3, 4, 5]))),
        "the row, where entry 1 is below the band in rows 1 to 3 and entry 0 above it in rows 8 to 11": row_of(
            f(*happened(above=[8, 9, 10, 11], below=[1, 2, 3]))
        ),
        "the row, where entry 0 is above the band in rows 1, 3, 5 and 7 to 9": row_of(f(*happened(above=[1, 3, 5, 7, 8, 9]))),
        "the row, where entry 0 is above the band in rows 2, 3 and 6 to 8, and entry 1 below it in row 4": row_of(
            f(*happened(above=[2, 3, 6, 7, 8], below=[4]))
        ),
        "the row, where rows 1 to 4 are outside by 0.4, rows 6 to 8 by 2, and the margin is 0.5": row_of(
            f(*happened(above=[6, 7, 8], slightly=[1, 2, 3, 4]), margin=0.5)
        ),
        "the row, where rows 4 and 5 are outside and patience is 2": row_of(f(*happened(above=[4, 5]), patience=2)),
        "the row, where nothing is outside": row_of(f(*happened())),
        "the row, where only the last two rows, 10 and 11, are outside": row_of(f(*happened(above=[10, 11]))),
    }


def expected_departure():
    """Read off the rows that were set."""
    return {
        "the row, where entry 0 is above the band in rows 2 to 5": "2",
        "the row, where entry 1 is below the band in rows 1 to 3 and entry 0 above it in rows 8 to 11": "1",
        "the row, where entry 0 is above the band in rows 1, 3, 5 and 7 to 9": "7",
        "the row, where entry 0 is above the band in rows 2, 3 and 6 to 8, and entry 1 below it in row 4": "6",
        "the row, where rows 1 to 4 are outside by 0.4, rows 6 to 8 by 2, and the margin is 0.5": "6",
        "the row, where rows 4 and 5 are outside and patience is 2": "4",
        "the row, where nothing is outside": "None",
        "the row, where only the last two rows, 10 and 11, are outside": "None",
    }


def departure_with(below=True, use_margin=True, together=False, first_row=lambda outside, patience: lasting_row(outside, patience)):
    """A search for the departure with one place changed."""

    def wrong(real, low, high, margin=0.0, patience=3):
        margin = margin if use_margin else 0.0
        outside = real > high + margin
        if below:
            outside = outside | (real < low - margin)
        if together:
            outside = outside.any(1, keepdims=True)
        return first_row(outside, patience)

    return wrong


def lasting_row(outside, patience):
    """The first row from which one column of (L, O) is true for `patience` rows."""
    for row in range(len(outside) - patience + 1):
        if outside[row : row + patience].all(0).any():
            return row
    return None


def last_of_the_window(outside, patience):
    """The row at which patience is lost."""
    row = lasting_row(outside, patience)
    return None if row is None else row + patience - 1


def cut_short(outside, patience):
    """A stay that the record ends counts, however short it was."""
    found = (row for row in range(len(outside)) if outside[row : row + patience].all(0).any())
    return next(found, None)


def counted(outside, patience):
    """A counter for each entry that is never set back."""
    rows = [np.flatnonzero(column) for column in outside.T]
    found = [int(row[patience - 1]) - patience + 1 for row in rows if len(row) >= patience]
    return min(found) if found else None


def band(d: Draw, rows: int, entries: int, wide: float) -> tuple:
    """Arguments in which entries leave the band now and then: it is random, of another width in each entry."""
    real = (wide * d.normal(rows, entries).cumsum(0)).double().numpy()
    middle, half = 0.3 * d.normal(rows, entries).double().numpy(), d.uniform(0.2, 1.2, rows, entries).double().numpy()
    return real, middle - half, middle + half, d.number(0, 0.3), int(d.integers(2, 4, 1))


def late_departure(d: Draw, rows: int, last: int) -> tuple:
    """Arguments in which entry 1 is below the band in the last rows, exactly as many as patience asks for."""
    real = np.zeros((rows, 3))
    real[-last:, 1] = -2.0 - d.uniform(0, 1, last).double().numpy()
    return real, np.full((rows, 3), -1.0), np.full((rows, 3), 1.0), 0.25, last


DEPARTURE = Exercise(
    id="7.3",
    title="When has a dream departed?",
    minutes=10,
    difficulty=2,
    importance=1,
    reference=filming.departure,
    target="dreamer_core.viz.dream:departure",
    observe=observe_departure,
    expected=expected_departure,
    gradients=False,
    looks=(
        Look("13 rows of 3 entries, often outside", lambda d: band(d, 13, 3, 0.8), draws=8),
        Look("one entry", lambda d: band(d, 20, 1, 0.7), draws=8),
        Look("the default margin and patience", lambda d: band(d, 15, 2, 0.8)[:3], draws=4),
        Look("a margin for each entry", lambda d: (*band(d, 14, 3, 0.8)[:3], np.array([0.1, 0.5, 0.0]), 2), draws=6),
        Look("a patience of 1", lambda d: (*band(d, 9, 2, 0.3)[:3], 0.2, 1), draws=4),
        Look("a patience longer than the recording", lambda d: (*band(d, 4, 2, 5.0)[:3], 0.0, 6)),
        Look("a patience as long as the recording", lambda d: (np.full((5, 2), 2.0), -np.ones((5, 2)), np.ones((5, 2)), 0.0, 5), draws=1),
        Look("the last rows alone outside", lambda d: late_departure(d, 11, 4), draws=3),
        Look("all rows outside", lambda d: (np.full((7, 2), -4.0), -np.ones((7, 2)), np.ones((7, 2)), 0.5, 3), draws=1),
        Look("rows exactly on the border", lambda d: (np.ones((8, 2)), -np.ones((8, 2)), np.ones((8, 2)), 0.0, 2), draws=1),
        Look(
            "rows exactly on the border with a margin",
            lambda d: (-1.5 * np.ones((8, 2)), -np.ones((8, 2)), np.ones((8, 2)), 0.5, 2),
            draws=1,
        ),
    ),
    mistakes=(
        Mistake(
            "no_patience",
            departure_with(first_row=lambda outside, patience: lasting_row(outside, 1)),
            "A single row outside counts as a departure. Even a perfect model leaves its band now and then: wait until `patience` "
            "rows in a row are out.",
        ),
        Mistake(
            "end_of_the_window",
            departure_with(first_row=last_of_the_window),
            "This is the row at which patience is lost. The departure is where those rows began, `patience` - 1 rows earlier.",
        ),
        Mistake(
            "entries_together",
            departure_with(together=True),
            "Rows are called outside when any entry is, and the entries may change from row to row. One and the same entry must stay "
            "outside: "
            "ask for each column by itself, and combine last.",
        ),
        Mistake(
            "not_in_a_row",
            departure_with(first_row=counted),
            "Rows outside are counted even with gaps between them. They must follow one another: a row inside sets the count back to 0.",
        ),
        Mistake(
            "cut_short",
            departure_with(first_row=cut_short),
            "A stay that begins in the last rows counts, although the record ends before `patience` rows are seen. Near the end "
            "`outside[row : row + patience]` is shorter than it looks: stop earlier.",
        ),
        Mistake(
            "only_above",
            departure_with(below=False),
            "Only values above the band count. A value below `low` - margin is outside as well.",
        ),
        Mistake(
            "no_margin",
            departure_with(use_margin=False),
            "Misses within the margin count. Outside means more than `margin` below low or above high.",
        ),
    ),
    hints=(
        "First a table of truth values (L, O): outside = (real < low - margin) | (real > high + margin).",
        "Then try each row: does one column hold True in the rows row .. row + patience - 1? The first such row is the answer.",
        "for row in range(len(outside) - patience + 1): if outside[row : row + patience].all(0).any(): return row. After the "
        "loop: return None.",
    ),
)

# --- 7.4 an error with a unit -------------------------------------------------------------------


def observe_rms_error(f):
    """Two rows of two entries with very different units; and many dreams at once."""
    prediction, real, scale = np.array([[3.0, 40.0], [0.0, 10.0]]), np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([1.0, 10.0])
    several = np.arange(8.0).reshape(2, 2, 2)
    return {
        "the error": torch.from_numpy(np.asarray(f(prediction, real, scale))),
        "the error of (2, 2, 2) numbers": torch.from_numpy(np.asarray(f(several, several + np.array([2.0, -4.0]), np.array([2.0, 2.0])))),
        "the error of a perfect prediction": torch.from_numpy(np.asarray(f(several, several, np.array([1.0, 3.0])))),
    }


def expected_rms_error():
    """Misses of 3 and 4 units, of 0 and 1; of 1 and 2 everywhere; of nothing."""
    return {
        "the error": torch.tensor([math.sqrt((9 + 16) / 2), math.sqrt(1 / 2)], dtype=torch.float64),
        "the error of (2, 2, 2) numbers": torch.full((2, 2), math.sqrt((1 + 4) / 2), dtype=torch.float64),
        "the error of a perfect prediction": torch.zeros(2, 2, dtype=torch.float64),
    }


RMS_ERROR = Exercise(
    id="7.4",
    title="An error with a unit",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=error_growth.rms_error,
    target="dreamer_core.viz.error_growth:rms_error",
    observe=observe_rms_error,
    expected=expected_rms_error,
    gradients=False,
    looks=(
        Look(
            "5 rows of 3 entries", lambda d: (*(d.normal(5, 3).double().numpy() for _ in range(2)), d.uniform(0.2, 4, 3).double().numpy())
        ),
        Look("2 x 4 x 6 rows of 3 entries", lambda d: (*(d.normal(2, 4, 6, 3).numpy() for _ in range(2)), d.uniform(0.2, 4, 3).numpy())),
        Look("one row", lambda d: (*(d.normal(4).double().numpy() for _ in range(2)), d.uniform(0.2, 4, 4).double().numpy())),
        Look("one entry", lambda d: (*(d.normal(6, 1).double().numpy() for _ in range(2)), d.uniform(0.2, 4, 1).double().numpy())),
    ),
    mistakes=(
        Mistake(
            "no_units",
            lambda prediction, real, scale: np.sqrt(np.square(prediction - real).mean(-1)),
            "The entries are averaged in their own units, so a velocity drowns an angle. Divide each difference by its scale first.",
        ),
        Mistake(
            "units_after_squaring",
            lambda prediction, real, scale: np.sqrt((np.square(prediction - real) / scale).mean(-1)),
            "The square is divided by the unit once. Divide the difference before squaring: then its unit goes out twice, as it came in.",
        ),
        Mistake(
            "multiplied",
            lambda prediction, real, scale: np.sqrt(np.square((prediction - real) * scale).mean(-1)),
            "The difference is multiplied by its unit. To count something in units, divide by the unit.",
        ),
        Mistake(
            "wrong_axis",
            lambda prediction, real, scale: np.sqrt(np.square((prediction - real) / scale).mean(-2)),
            "The mean runs over the wrong axis: over rows. It must run over the entries of one observation, the last axis.",
        ),
        Mistake(
            "no_root",
            lambda prediction, real, scale: np.square((prediction - real) / scale).mean(-1),
            "The root is missing: this is the mean square, whose unit is squared too.",
        ),
        Mistake(
            "absolute",
            lambda prediction, real, scale: np.abs((prediction - real) / scale).mean(-1),
            "This is the mean absolute difference: each entry is squared and rooted by itself. Take the mean of the squares, then "
            "one root.",
        ),
        Mistake(
            "sum",
            lambda prediction, real, scale: np.sqrt(np.square((prediction - real) / scale).sum(-1)),
            "The squares are summed, so an observation with more entries looks worse. Take their mean.",
        ),
    ),
    hints=(
        "Three steps, in this order: difference in units, mean of its squares, root.",
        "Each entry has a unit of its own: (prediction - real) / scale. The mean runs over the last axis.",
        "np.sqrt(np.square((prediction - real) / scale).mean(-1))",
    ),
)

# --- 7.5 what the agent expects -----------------------------------------------------------------

SEEN = (0.25, -0.5, 0.1)  # first observations


def observe_imagined_return(f):
    """Three episodes, dreamt for one step and for four."""
    seen, model = torch.tensor(SEEN)[:, None], numbered_model()
    return {
        "the return expected of 1 step": f(ToyModel(), ToyActor(), seen, 1).detach(),
        "the return expected of 4 steps": f(model, ToyActor(), seen, 4).detach(),
        "how many different draws of noise make z, in 3 episodes of 4 steps": len(model.rssm.latent.used),
        "whether the result carries a gradient": f(ToyModel(), ToyActor(), seen, 2).requires_grad,
    }


def expected_imagined_return():
    """One episode at a time, in plain arithmetic."""

    def one(observation, steps):
        h, z = (0.0, 0.0), 2 * observation
        total, alive = 0.0, 1.0
        for _ in range(steps):
            h = step_by_hand(h, z, math.tanh(reading_by_hand(h, z).mean))
            z = h[0] - h[1] + PRIOR_STD
            total += alive * reading_by_hand(h, z).reward
            alive *= reading_by_hand(h, z).cont
        return total

    found = {f"the return expected of {name}": torch.tensor([one(o, n) for o in SEEN]) for name, n in (("1 step", 1), ("4 steps", 4))}
    return found | {
        "how many different draws of noise make z, in 3 episodes of 4 steps": 12,
        "whether the result carries a gradient": False,
    }


def mode_step(rssm, h, z, action):
    """A step of a dream without chance."""
    h = rssm.step(h, z, action)
    return h, rssm.latent.mode(rssm.prior(h))


def imagined_return_with(
    dream=lambda rssm, h, z, action: rssm.dream_step(h, z, action, rssm.latent.noise(len(h))),
    act=lambda actor, state: actor.mode(state),
    alive_next=lambda alive, cont: alive * cont,
    go_on=torch.sigmoid,
    late=True,
    left=False,
    context=torch.no_grad,
):
    """The expected return with one place changed."""

    def wrong(model, actor, observation, steps):
        with context():
            rssm = model.rssm
            h, _ = rssm.initial(len(observation))
            z = rssm.latent.mode(rssm.posterior(h, model.encode(observation)))
            total, alive = torch.zeros(len(h)), torch.ones(len(h))
            for _ in range(steps):
                before = torch.cat([h, z], -1)
                h, z = dream(rssm, h, z, act(actor, before))
                state = torch.cat([h, z], -1)
                reward, cont = model.predict_reward(before if left else state)[0], go_on(model.predict_continue(state))
                if late:
                    total = total + alive * reward
                    alive = alive_next(alive, cont)
                else:
                    alive = alive_next(alive, cont)
                    total = total + alive * reward
            return total

    return wrong


def expecting(d: Draw, episodes: int, steps: int, alike: bool = False) -> tuple:
    """Arguments with O = 3, A = 2, D = 6, Z = 4; `alike`: every episode starts alike, and chance is real."""
    model, actor = small_model(d, 3, 2, 6, 4, steady=not alike)
    observation = d.normal(1, 3).repeat(episodes, 1) if alike else d.normal(episodes, 3)
    return model, actor, observation, steps


def law_of_returns(total: torch.Tensor) -> dict[str, torch.Tensor]:
    """The law of the returns of episodes that start alike."""
    unit = (total - total.mean()) / (total.std() + 1e-6)
    return {
        APART: (unit[1:] - unit[:-1]).square().mean().sqrt(),
        "the mean, divided by the spread": total.mean() / (total.std() + 1e-6),
        "the spread of the returns": total.std(),
        "whether the returns differ at all": (total.std() > 0).float(),
    }


IMAGINED_RETURN = Exercise(
    id="7.5",
    title="What does the agent expect?",
    minutes=10,
    difficulty=2,
    importance=2,
    reference=dreams.imagined_return,
    target="dreamer_core.imagine:imagined_return",
    observe=observe_imagined_return,
    expected=expected_imagined_return,
    looks=(
        Look("4 episodes of 3 steps", lambda d: expecting(d, 4, 3)),
        Look("one episode", lambda d: expecting(d, 1, 5)),
        Look("one step", lambda d: expecting(d, 3, 1)),
        Look("real chance", lambda d: expecting(d, 3_000, 3, alike=True), draws=1, read=law_of_returns, within=0.15),
    ),
    mistakes=(
        Mistake(
            "never_ends",
            imagined_return_with(alive_next=lambda alive, cont: alive),
            "All rewards count in full. Weight each by the probability that the episode is still running when it comes.",
        ),
        Mistake(
            "ends_too_early",
            imagined_return_with(late=False),
            "The reward that arrives with the last state is lost: it comes even where the episode ends there. "
            "Add the reward first, then multiply alive by the continue probability.",
        ),
        Mistake(
            "cont_is_a_logit",
            imagined_return_with(go_on=lambda logit: logit),
            "The rewards are weighted with logits. predict_continue gives the logit; the probability that the episode goes on is its "
            "sigmoid.",
        ),
        Mistake(
            "state_left",
            imagined_return_with(left=True),
            "The reward is read from the state that was left. It arrives with the state that is reached.",
        ),
        Mistake(
            "sampled_actions",
            imagined_return_with(act=lambda actor, state: torch.tanh(actor.draw(state))),
            "The actions are samples. The real return is measured with the most likely actions (actor.mode), so the imagined one "
            "must be too.",
        ),
        Mistake(
            "most_likely_z",
            imagined_return_with(dream=mode_step),
            "z is always the prior's most likely value. The world is not the average of its futures: draw z from the prior in every step.",
        ),
        Mistake(
            "squashed_twice",
            imagined_return_with(act=lambda actor, state: torch.tanh(actor.mode(state))),
            "tanh is taken twice. actor.mode is the action itself, squashed already; only actor.draw gives u.",
        ),
        Mistake(
            "gradient_kept",
            imagined_return_with(context=nullcontext),
            "The number is right, but it still carries a gradient. It is a measurement: put its body under `with torch.no_grad():`.",
        ),
    ),
    hints=(
        "Start: h is rssm.initial(E)[0], and z is the mode of the posterior. Then a loop: act, dream a step, read reward and continue.",
        "Keep two running tensors (E,): total = 0 and alive = 1. In each step first total += alive * reward, then alive *= continue.",
        "h, z = rssm.dream_step(h, z, actor.mode(torch.cat([h, z], -1)), rssm.latent.noise(len(h))); state = torch.cat([h, z], -1); "
        "total += alive * model.predict_reward(state)[0]; alive *= torch.sigmoid(model.predict_continue(state))",
    ),
)

EXERCISES = [IMAGINE, ALIVE_WEIGHT, DEPARTURE, RMS_ERROR, IMAGINED_RETURN]
