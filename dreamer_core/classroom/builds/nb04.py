"""Notebook 04: the two heads whole, each with its loss."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import WorldModelConfig
from dreamer_core.world_model import ContinueHead, GaussianReward

FEATURES, BATCH, ROWS = 5, 3, 4
FLOOR = 0.3


def small(made: type, std: float = 0.7) -> Any:
    """A reward head of the learner's class for states of F = 5 entries; std: the fixed deviation, or 0 for a learned one above 0.3."""
    return shaken(made(WorldModelConfig(units=8, reward_std=std, reward_min_std=FLOOR, min_std=0.05), FEATURES))


def shaken(head: Any) -> Any:
    """A head with weights so large that everything shows."""
    named = f"class {type(head).__name__}(nn.Module)"
    hold(isinstance(head, nn.Module), "no module", f"It is no nn.Module: write `{named}` and call super().__init__() first.")
    hold(any(True for _ in head.parameters()), "no parameters", "It has no parameters: make the layers in __init__.")
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.7)
    return head


def read(head: Any, features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std that a head gives for states."""
    gives = head.stats(head(features))
    hold(isinstance(gives, tuple) and len(gives) == 2, "pair", "`stats` gives two tensors: the mean and the standard deviation.")
    return gives


# --- 4.A the reward head ------------------------------------------------------------------------------


def check_stats(made: type) -> None:
    """A mean and a std for each state, whatever axes come before; no chance, and no row that looks at another."""
    for std in (0.7, 0.0):
        head = small(made, std)
        for lead in ((BATCH, ROWS), (6,), (2, 3, 4)):
            mean, width = read(head, torch.randn(*lead, FEATURES))
            shaped(mean, lead, f"The mean of `stats` for states {(*lead, FEATURES)}")
            shaped(width, lead, f"The standard deviation of `stats` for states {(*lead, FEATURES)}")
        x = torch.randn(6, FEATURES)
        for name, once, again, alone in zip(("mean", "standard deviation"), read(head, x), read(head, x), read(head, x[:1])):
            agrees(again, once, "random", f"Asked twice about the same states, the {name} is another: nothing here is random.")
            agrees(alone, once[:1], "rows mix", f"The {name} of a state depends on the other states that are asked about with it.")
        mean = read(head, x)[0]
        hold(not torch.allclose(mean, mean[:1]), "blind", "The mean is the same whatever the state is.")


def check_deviation(made: type) -> None:
    """Fixed where a setting says so; else learned, above the floor, and never stuck on it."""
    x = torch.randn(200, FEATURES)
    _, width = read(small(made, 0.7), x)
    agrees(width, torch.full_like(width, 0.7), "not fixed", "With config.reward_std = 0.7 the standard deviation is 0.7 everywhere.")
    head = small(made, 0.0)
    x = (2 * x).requires_grad_()
    _, width = read(head, x)
    hold(
        bool((width > 0).all()),
        "not positive",
        f"A learned standard deviation is {float(width.detach().min()):.2g}: it is to be above 0.",
    )
    hold(
        float(width.detach().std()) > 1e-3,
        "not learned",
        "With config.reward_std = 0 the standard deviation is learned: it comes from the net, so it differs from state to state.",
    )
    moved = slope(width.sum(), x)[0].any(-1)
    hold(bool(moved.any()), "cut", "The learned standard deviation gives the states no gradient at all: is something detached?")
    hold(
        bool(moved.all()),
        "stuck",
        f"In {int((~moved).sum())} of 200 states the standard deviation has no gradient, so it could never change there. "
        "Add the floor, do not cut off at it.",
    )
    _, far = read(head, 40 * torch.randn(400, FEATURES))
    agrees(
        float(far.detach().min()),
        FLOOR,
        "floor",
        "The smallest learned standard deviation of 400 far-off states is not config.reward_min_std.",
        within=0.02,
    )


def check_density(made: type) -> None:
    """exp(-nll) is a bell: its area is 1, and mean and width are those of `stats`. All by a sum over thin strips."""
    for std in (0.7, 0.0):
        head = small(made, std)
        for row in torch.randn(3, FEATURES):
            mean, width = (float(part.detach()) for part in read(head, row[None]))
            strips = torch.linspace(mean - 8 * width, mean + 8 * width, 2001)
            density = torch.exp(-shaped(head.nll(head(row.expand(2001, -1)), strips), (2001,), "`nll` of 2001 rewards")).double()
            strip = 16 * width / 2000
            area, x = float(density.sum()) * strip, strips.double()
            hold(
                abs(area - 1) < 0.01,
                "area",
                f"exp(-nll) is no density: added up over all rewards it comes to {area:.3g}, not to 1. "
                "One of the three terms of exercise 4.2 is missing or has another factor.",
            )
            centre = float((density * x).sum()) * strip
            agrees(centre, mean, "centre", "The bell that `nll` draws does not stand at the mean of `stats`.", within=0.02)
            spread = math.sqrt(float((density * (x - centre).square()).sum()) * strip)
            agrees(spread, width, "width", "The bell that `nll` draws is not as wide as the deviation of `stats` says.", within=0.02)


def window() -> tuple[Tensor, Tensor, Tensor]:
    """States, rewards, and where episodes start: in rows 0 and 2 of window 1, and in row 0 of window 2."""
    first = torch.zeros(BATCH, ROWS)
    first[1, 0] = first[1, 2] = first[2, 0] = 1
    return torch.randn(BATCH, ROWS, FEATURES), torch.randn(BATCH, ROWS), first


def pays_mean_of_rows(head: Any) -> None:
    """`loss` is one number: the learner's own nll, added up over the rows that brought a reward and divided by the number of all."""
    x, reward, first = window()
    raw = head(x)
    rows = head.nll(raw, reward).detach()
    loss = shaped(head.loss(raw, reward, first), (), "`loss`")
    counted = (rows * (1 - first)).sum()
    hold(
        not torch.allclose(loss, rows.mean(), rtol=1e-4),
        "first counted",
        "Rows in which an episode starts count as well. No reward arrives with a reset: they are to count 0.",
    )
    hold(
        not torch.allclose(loss, counted / (1 - first).sum(), rtol=1e-4),
        "mean of the others",
        "You divide by the number of rows that brought a reward. Divide by all of them, so that a row weighs the same in every batch.",
    )
    hold(not torch.allclose(loss, counted, rtol=1e-4), "sum", "The rows are added up. `loss` is their mean.")
    agrees(loss, counted / rows.numel(), "loss", "`loss` is not the mean over all rows of (1 - first) times your own `nll`.")


def check_loss(made: type) -> None:
    """One number, the mean over all rows, with either deviation."""
    for std in (0.7, 0.0):
        pays_mean_of_rows(small(made, std))


def trains_its_rows(head: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The loss trains the states of rows that brought a reward, and no others. Returns the window it asked about."""
    x, reward, first = window()
    x.requires_grad_()
    (to_x,) = slope(head.loss(head(x), reward, first), x)
    hold(
        bool(to_x[first == 0].any(-1).all()),
        "cut",
        "The loss gives the states no gradient: encoder and RSSM would not learn from it.",
    )
    hold(not to_x[first == 1].any(), "first trained", "A row in which an episode starts still trains its state.")
    return x, reward, first


def check_gradients(made: type) -> None:
    """The loss trains the right states, and pulls a mean towards its reward."""
    for std in (0.7, 0.0):
        head = small(made, std)
        x, reward, first = trains_its_rows(head)
        mean, width = read(head, x)
        wanted = ((mean - reward) / width.square() * (1 - first) / first.numel()).detach()
        free = mean.detach().clone().requires_grad_()
        (by_hand,) = slope((0.5 * ((reward - free) / width.detach()).square() * (1 - first)).sum() / first.numel(), free)
        agrees(by_hand, wanted, "slope", "The gradient at the mean is not (mean - reward) / std².")


def restate(head: Any, factor: float, shift: float) -> None:
    """Call the learner's `restate`; what torch says of a change that autograd watches is put in words."""
    try:
        head.restate(factor, shift)
    except RuntimeError as error:
        hold(
            "in-place" not in str(error),
            "watched",
            "`restate` changes a parameter while autograd is watching, which torch forbids. Put it inside `with torch.no_grad():`.",
        )
        raise


def check_restate(made: type) -> None:
    """Every predicted mean becomes factor * mean + shift; widths stay, and so do the parameters as objects."""
    for std in (0.7, 0.0):
        head = small(made, std)
        x, reward, first = window()
        mean, width = (part.detach() for part in read(head, x))
        before = list(head.parameters())
        head.loss(head(x), reward, first).backward()  # as in the middle of training
        for factor, shift in ((0.5, 0.0), (1.0, 2.0), (1.7, -0.4)):
            restate(head, factor, shift)
            new_mean, new_width = read(head, x)
            if shift:
                hold(not torch.allclose(new_mean, factor * mean), "shift ignored", "`restate` leaves out the shift.")
            if factor != 1:
                hold(not torch.allclose(new_mean, mean + shift), "factor ignored", "`restate` leaves out the factor.")
            called = f"After restate({factor}, {shift}) a mean is not {factor} times what it was{f', plus {shift}' if shift else ''}."
            agrees(new_mean, factor * mean + shift, "restate", f"{called} Does the factor also reach the bias?")
            agrees(new_width, width, "restate width", "`restate` changes the standard deviations. It is to change the means alone.")
            mean = new_mean.detach()
        now = list(head.parameters())
        hold(
            len(now) == len(before) and all(a is b and b.requires_grad and b.is_leaf for a, b in zip(before, now)),
            "other parameters",
            "After `restate` the head has other parameters than before, and an optimiser would go on training the old ones. "
            "Change them in place.",
        )


def check_stored(made: type) -> None:
    """What was restated is in the state dict, so that it survives saving."""
    head, other = small(made), small(made)
    x = torch.randn(6, FEATURES)
    restate(head, 0.5, 3.0)
    other.load_state_dict(head.state_dict())
    agrees(
        read(other, x)[0],
        read(head, x)[0],
        "not stored",
        "Saved and loaded again, a restated head predicts something else: `restate` is to change what the state dict holds "
        "(parameters or buffers).",
    )


def check_learns(made: type) -> None:
    """Trained on noisy rewards it finds their mean and how far they are spread."""
    for std in (1.0, 0.0):
        torch.manual_seed(4)
        head = made(WorldModelConfig(units=16, reward_std=std, reward_min_std=0.05), 2)
        optimizer = torch.optim.Adam(head.parameters(), 3e-2)
        for _ in range(120):
            x = torch.randn(64, 1, 2)
            reward = torch.tanh(x[..., 0]) + 0.3 * torch.randn(64, 1)
            optimizer.zero_grad()
            head.loss(head(x), reward, torch.zeros(64, 1)).backward()
            optimizer.step()
        x = torch.randn(500, 2)
        with torch.no_grad():
            mean, width = read(head, x)
        miss = float((mean - torch.tanh(x[:, 0])).square().mean().sqrt())
        hold(
            miss < 0.25,
            "does not learn",
            f"Trained on 120 batches of rewards, its means miss by {miss:.2f} (0.6 is knowing nothing).",
        )
        if std == 0:
            agrees(float(width.median()), 0.3, "learns no width", "Trained on rewards with a noise of 0.3, it says another.", within=0.12)


# --- wrong on purpose ---------------------------------------------------------------------------------


class PlainReward(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, features):
        super().__init__()
        self.config = config
        self.hidden = nn.Linear(features, config.units)
        self.out = nn.Linear(config.units, 2)

    def forward(self, features):
        return self.out(F.silu(self.hidden(features)))

    def width(self, raw):
        return F.softplus(raw) + self.config.reward_min_std

    def stats(self, raw):
        mean, raw = raw[..., 0], raw[..., 1]
        return mean, torch.full_like(mean, self.config.reward_std) if self.config.reward_std > 0 else self.width(raw)

    def nll(self, raw, reward):
        mean, std = self.stats(raw)
        return 0.5 * ((reward - mean) / std).square() + torch.log(std) + 0.5 * math.log(2 * math.pi)

    def loss(self, raw, reward, first):
        return ((1 - first) * self.nll(raw, reward)).mean()

    def restate(self, factor, shift):
        with torch.no_grad():
            self.out.weight[0] *= factor
            self.out.bias[0] = factor * self.out.bias[0] + shift


class FirstCounted(PlainReward):
    def loss(self, raw, reward, first):
        return self.nll(raw, reward).mean()


class MeanOfTheOthers(PlainReward):
    def loss(self, raw, reward, first):
        return ((1 - first) * self.nll(raw, reward)).sum() / (1 - first).sum()


class AlwaysLearned(PlainReward):
    def stats(self, raw):
        return raw[..., 0], self.width(raw[..., 1])


class AlwaysFixed(PlainReward):
    def stats(self, raw):
        return raw[..., 0], torch.full_like(raw[..., 0], self.config.reward_std or 1.0)


class CutAtTheFloor(PlainReward):
    def width(self, raw):
        return F.softplus(raw).clamp(min=self.config.reward_min_std)


class FloorOfZ(PlainReward):
    def width(self, raw):
        return F.softplus(raw) + self.config.min_std


class NoLogStd(PlainReward):
    def nll(self, raw, reward):
        mean, std = self.stats(raw)
        return 0.5 * ((reward - mean) / std).square() + 0.5 * math.log(2 * math.pi)


class BiasNotScaled(PlainReward):
    def restate(self, factor, shift):
        with torch.no_grad():
            self.out.weight[0] *= factor
            self.out.bias[0] += shift


class WidthsRestated(PlainReward):
    def restate(self, factor, shift):
        with torch.no_grad():
            self.out.weight *= factor
            self.out.bias *= factor
            self.out.bias[0] += shift


class NotStored(PlainReward):
    def __init__(self, config, features):
        super().__init__(config, features)
        self.factor, self.shift = 1.0, 0.0

    def stats(self, raw):
        mean, std = super().stats(raw)
        return self.factor * mean + self.shift, std

    def restate(self, factor, shift):
        self.factor, self.shift = factor * self.factor, factor * self.shift + shift


REWARD_HEAD = Build(
    id="4.A",
    title="The reward head",
    minutes=40,
    difficulty=1,
    importance=3,
    reference=GaussianReward,
    target="dreamer_core.world_model:GaussianReward",
    suits=lambda config, features: config.norm == "none",
    properties=(
        Property("shapes", "A mean and a standard deviation for each state, whatever axes come first.", check_stats, ("stats",)),
        Property("deviation", "Fixed where the setting says so, else learned above its floor.", check_deviation, ("stats",)),
        Property("density", "exp(-nll) has the area 1, and the mean and width of `stats`.", check_density, ("stats", "nll")),
        Property("loss", "The mean over all rows; where an episode starts, a row counts 0.", check_loss, ("stats", "nll", "loss")),
        Property("gradients", "The loss trains the states that brought a reward.", check_gradients, ("stats", "loss")),
        Property("restate", "All means change their unit, the widths stay.", check_restate, ("stats", "loss", "restate")),
        Property("stored", "What was restated survives saving.", check_stored, ("stats", "restate")),
        Property("learning", "It finds the mean of noisy rewards, and their spread.", check_learns, ("stats", "loss")),
    ),
    hints=(
        (
            "Begin with __init__, `forward` and `stats`. One net with two outputs is enough: the first is the mean, the second "
            "becomes the standard deviation. Run the cell: the list says what stands, and the rest waits."
        ),
        (
            "`stats`: if config.reward_std > 0, the deviation is torch.full_like(mean, config.reward_std); else "
            "F.softplus(second) + config.reward_min_std. `nll` is exercise 4.2 with the two numbers of `stats`, `loss` is exercise "
            "4.5 on top of it."
        ),
        (
            "`restate`: a mean is w · x + b, with w the first row of the last layer's weight and b the first entry of its bias. "
            "factor * (w · x + b) + shift is again of this form: w becomes factor * w, and b becomes factor * b + shift. Do it in place, "
            "inside `with torch.no_grad():`."
        ),
    ),
    mistakes=(
        Mistake(
            "first_counted",
            FirstCounted,
            "`first` plays no part in your loss. The 0 that stands in an episode's first row is no reward, so that row must not teach.",
        ),
        Mistake(
            "mean_of_the_others",
            MeanOfTheOthers,
            "Your mean leaves first rows out of the count, too. They count 0, but they are rows of the batch: divide by all B * T.",
        ),
        Mistake(
            "always_learned",
            AlwaysLearned,
            "The deviation is learned always. With config.reward_std above 0, as in v1, it is that number; 0 asks for a learned one.",
        ),
        Mistake(
            "always_fixed",
            AlwaysFixed,
            "The deviation is never learned. With config.reward_std = 0 it comes from the net's second output.",
        ),
        Mistake(
            "cut_at_the_floor",
            CutAtTheFloor,
            "You cut the deviation off at its floor. There the gradient is 0, and a deviation that got so small stays. Add the floor.",
        ),
        Mistake(
            "floor_of_z",
            FloorOfZ,
            "That is the floor of z's deviations, config.min_std. The reward has its own: config.reward_min_std.",
        ),
        Mistake(
            "no_log_std",
            NoLogStd,
            "The log of the deviation is missing in `nll`. Then a wide bell costs nothing, and a learned deviation grows without end.",
        ),
        Mistake(
            "bias_not_scaled",
            BiasNotScaled,
            "`restate` scales the weights and not the bias. A mean is w · x + b, and the factor multiplies both.",
        ),
        Mistake(
            "widths_restated",
            WidthsRestated,
            "`restate` also changes the output that the deviation is made from. Only the mean's row of the last layer is to change.",
        ),
        Mistake(
            "not_stored",
            NotStored,
            "Factor and shift are kept in plain attributes, which no state dict holds: a saved agent would forget its unit. "
            "Change the last layer instead, or register buffers.",
        ),
    ),
)

# --- 4.B the continue head ----------------------------------------------------------------------------

LOGITS = (-100.0, -20.0, -3.0, -0.4, 0.0, 0.5, 4.0, 20.0, 100.0)


def little(made: type) -> Any:
    """A continue head of the learner's class for states of F = 5 entries."""
    return shaken(made(WorldModelConfig(units=8), FEATURES))


def coin(logit: float, target: float) -> float:
    """-log of a coin's probability for what came, in double precision and without a sigmoid."""

    def softplus(x: float) -> float:
        return max(x, 0) + math.log1p(math.exp(-abs(x)))

    return target * softplus(-logit) + (1 - target) * softplus(logit)


def prices(terminal: float, folded: float, target: float | None = None) -> Tensor:
    """What each of LOGITS costs, by hand; target: another one than (1 - terminal) * folded."""
    target = (1 - terminal) * folded if target is None else target
    return torch.tensor([coin(x, target) for x in LOGITS])


def check_logit(made: type) -> None:
    """One number for each state, which may be anything."""
    head = little(made)
    for lead in ((BATCH, ROWS), (6,), (2, 3, 4)):
        shaped(head.logit(torch.randn(*lead, FEATURES)), lead, f"`logit` of states {(*lead, FEATURES)}")
    x = torch.randn(200, FEATURES)
    logit = head.logit(x)
    agrees(head.logit(x), logit, "random", "Asked twice about the same states, `logit` gives something else: nothing here is random.")
    agrees(head.logit(x[:1]), logit[:1], "rows mix", "The logit of a state depends on the other states that are asked about with it.")
    hold(not torch.allclose(logit, logit[:1]), "blind", "The logit is the same whatever the state is.")
    wide = head.logit(20 * x)
    hold(
        float(wide.detach().abs().max()) > 1,
        "bounded",
        f"In 200 far-off states no logit is larger than {float(wide.detach().abs().max()):.2f}. A logit may be any number: whoever wants a "
        "probability takes its sigmoid.",
    )


def priced(head: Any, terminal: float, *folded: float) -> Tensor:
    """What the learner's loss says of LOGITS."""
    loss = head.loss(torch.tensor(LOGITS), torch.full((len(LOGITS),), terminal), *folded)
    reduced = isinstance(loss, Tensor) and loss.dim() == 0
    hold(not reduced, "reduced", "`loss` gives a single number. It is to give one for each row; the mean is taken where all losses meet.")
    return shaped(loss, (len(LOGITS),), f"`loss` of {len(LOGITS)} rows with logits from -100 to 100")


def check_coin(made: type) -> None:
    """The price of a coin, by hand."""
    head = little(made)
    found = {terminal: priced(head, terminal) for terminal in (0.0, 1.0)}
    turned = all(torch.allclose(found[terminal], prices(1 - terminal, 1.0), rtol=1e-4) for terminal in (0.0, 1.0))
    hold(not turned, "turned round", "It learns ends as 1. The logit says that the episode goes *on*: its target is 1 - terminal.")
    for terminal, word in ((0.0, "goes on"), (1.0, "has ended")):
        told = f"the price of a row whose episode {word} is wrong."
        middle, wanted = slice(2, -2), prices(terminal, 1.0)
        agrees(found[terminal][middle], wanted[middle], "price", f"For logits from -3 to 4 {told}")
        agrees(found[terminal], wanted, "extremes", f"For logits of ±20 and ±100 {told} A log of a sigmoid has too few digits there.")
    mixed = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    logit = torch.tensor([[0.5, 0.5, -3.0], [4.0, 0.0, 4.0]])
    wanted = torch.tensor([[coin(float(x), 1 - float(end)) for x, end in zip(*rows)] for rows in zip(logit, mixed)])
    agrees(shaped(head.loss(logit, mixed), (2, 3), "`loss` of rows (2, 3)"), wanted, "rows", "Each row has a price of its own.")


def check_folded(made: type) -> None:
    """With a folded discount the target is `folded` where the episode goes on, and 0 where it ended."""
    head = little(made)
    on, end = priced(head, 0.0, 0.9), priced(head, 1.0, 0.9)
    hold(
        not torch.allclose(on, prices(0.0, 1.0), rtol=1e-4),
        "no fold",
        "`folded` plays no part: it is the target where the episode goes on.",
    )
    outside = torch.allclose(on, 0.9 * prices(0.0, 1.0), rtol=1e-4)
    hold(not outside, "factor outside", "You multiply the *price* by `folded`. It belongs into the target.")
    agrees(on, prices(0.0, 0.9), "fold", "Where the episode goes on, with folded = 0.9, the price of a row is not that of the target 0.9.")
    at_end = torch.allclose(end, prices(1.0, 0.9, 0.1), rtol=1e-4)
    hold(not at_end, "fold at the end", "At an end the target is 1 - folded. It is 0 there, whatever `folded` is: (1 - terminal) * folded.")
    agrees(end, prices(1.0, 1.0), "fold of ends", "Where the episode ended, the price changes with `folded`. The target is 0 there.")


def check_pull(made: type) -> None:
    """The gradient at a logit is sigmoid(logit) - target, at the far ends too; and it reaches the state."""
    head = little(made)
    for terminal in (0.0, 1.0):
        for folded in (1.0, 0.9):
            logit = torch.tensor(LOGITS, requires_grad=True)
            (pull,) = slope(head.loss(logit, torch.full((len(LOGITS),), terminal), folded).sum(), logit)
            wanted = torch.tensor([1 / (1 + math.exp(-x)) for x in LOGITS]) - (1 - terminal) * folded
            agrees(
                pull, wanted, "pull", f"With terminal = {terminal:g} and folded = {folded:g} the gradient is not sigmoid(logit) - target."
            )
    x = torch.randn(6, FEATURES, requires_grad=True)
    (to_x,) = slope(head.loss(head.logit(x), torch.zeros(6)).sum(), x)
    hold(bool(to_x.any(-1).all()), "cut", "The loss gives the states no gradient: encoder and RSSM would not learn from it.")


def check_learns_ends(made: type) -> None:
    """Trained on states of which some are ends, it knows which."""
    torch.manual_seed(4)
    head = made(WorldModelConfig(units=16), 2)
    optimizer = torch.optim.Adam(head.parameters(), 3e-2)
    for _ in range(100):
        x = torch.randn(64, 2)
        optimizer.zero_grad()
        head.loss(head.logit(x), (x[:, 0] > 0.5).float()).mean().backward()
        optimizer.step()
    x = torch.randn(500, 2)
    share = float(((head.logit(x) > 0) == (x[:, 0] <= 0.5)).float().mean())
    hold(
        share > 0.9,
        "does not learn",
        f"Trained on 100 batches of states, it is right about {share:.0%} of them.",
    )


class PlainContinue(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, features):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, config.units), nn.SiLU(), nn.Linear(config.units, 1))

    def logit(self, features):
        return self.net(features)[..., 0]

    def target(self, terminal, folded):
        return (1 - terminal) * folded

    def loss(self, logit, terminal, folded=1.0):
        target = self.target(terminal, folded)
        return target * F.softplus(-logit) + (1 - target) * F.softplus(logit)


class AProbability(PlainContinue):
    def logit(self, features):
        return torch.sigmoid(super().logit(features))


class EndsAreOne(PlainContinue):
    def target(self, terminal, folded):
        return terminal


class ThroughTheSigmoid(PlainContinue):
    def loss(self, logit, terminal, folded=1.0):
        target, chance = self.target(terminal, folded), torch.sigmoid(logit)
        return -target * torch.log(chance) - (1 - target) * torch.log(1 - chance)


class Clipped(PlainContinue):
    def loss(self, logit, terminal, folded=1.0):
        target, chance = self.target(terminal, folded), torch.sigmoid(logit).clamp(1e-6, 1 - 1e-6)
        return -target * torch.log(chance) - (1 - target) * torch.log(1 - chance)


class NotFolded(PlainContinue):
    def target(self, terminal, folded):
        return 1 - terminal


class FoldedIntoTheEnd(PlainContinue):
    def target(self, terminal, folded):
        return folded - terminal * (2 * folded - 1)


class FoldedOutside(PlainContinue):
    def loss(self, logit, terminal, folded=1.0):
        return folded * super().loss(logit, terminal)


class MeanTaken(PlainContinue):
    def loss(self, logit, terminal, folded=1.0):
        return super().loss(logit, terminal, folded).mean()


CONTINUE_HEAD = Build(
    id="4.B",
    title="The continue head",
    minutes=20,
    difficulty=1,
    importance=2,
    reference=ContinueHead,
    target="dreamer_core.world_model:ContinueHead",
    suits=lambda config, features: config.norm == "none",
    properties=(
        Property("logit", "One number for each state, of any size.", check_logit, ("logit",)),
        Property("coin", "Each row pays the price of a coin, for logits of any size.", check_coin, ("loss",)),
        Property("folded", "The target is `folded` where the episode goes on, 0 where it ended.", check_folded, ("loss",)),
        Property("gradients", "The pull on a logit is sigmoid(logit) - target.", check_pull, ("logit", "loss")),
        Property("learning", "It learns which states are ends.", check_learns_ends, ("logit", "loss")),
    ),
    hints=(
        "A net with one output. It has the shape (..., 1), and `logit` gives (...).",
        "`loss` is exercise 4.6 with a target made here: 0 where terminal is 1, and `folded` where it is 0. Keep one number a row.",
        "target = (1 - terminal) * folded; then target * F.softplus(-logit) + (1 - target) * F.softplus(logit).",
    ),
    mistakes=(
        Mistake(
            "a_probability",
            AProbability,
            "`logit` gives a probability. Leave the sigmoid out: the loss and the dream both take it from the logit.",
        ),
        Mistake("ends_are_one", EndsAreOne, "Your target is `terminal`. This head says whether the episode goes *on*: 1 - terminal."),
        Mistake(
            "through_the_sigmoid",
            ThroughTheSigmoid,
            "You take the log of a sigmoid. In 32 bits sigmoid(20) is 1, and the log of 1 - 1 is infinite: use F.softplus.",
        ),
        Mistake(
            "clipped",
            Clipped,
            "You clip the probability before the log. A logit that is far off then has no gradient and stays: write it with F.softplus.",
        ),
        Mistake("not_folded", NotFolded, "`folded` is not used. Where the episode goes on, the target is `folded`."),
        Mistake(
            "folded_into_the_end",
            FoldedIntoTheEnd,
            "With a folded discount your ends have the target 1 - folded. An end stays 0: (1 - terminal) * folded.",
        ),
        Mistake("folded_outside", FoldedOutside, "`folded` multiplies your loss. It is part of the target: what the head should say."),
        Mistake("mean_taken", MeanTaken, "`loss` takes the mean. Keep one number a row: the mean is taken where all losses meet."),
    ),
)

BUILDS = [REWARD_HEAD, CONTINUE_HEAD]
