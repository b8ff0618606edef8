"""The exercises of notebook 08: what the critic regresses on, and the two ways an actor climbs."""

import math

import torch
from torch import Tensor

from dreamer_core import returns, sac
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations, gradient
from dreamer_core.sac import Action

# --- 8.1 the H-step return -----------------------------------------------------------------------


def h_step_return(reward: Tensor, cont: Tensor, last: Tensor, gamma: float) -> Tensor:
    """R_0 = r_1 + gamma c_1 (r_2 + gamma c_2 (... + gamma c_H last)), r_{t+1} in reward[:, t]: (N, H), (N, H), (N,) -> (N,)."""
    future = last
    for t in reversed(range(reward.shape[1])):
        future = reward[:, t] + gamma * cont[:, t] * future
    return future


def discounts(cont: Tensor, gamma: float) -> Tensor:
    """What a number that arrives 0, 1, .. H steps after the first reward counts: (N, H) -> (N, H + 1)."""
    return torch.cat([torch.ones_like(cont[:, :1]), torch.cumprod(gamma * cont, 1)], 1)


def observe_h_step_return(f) -> Observations:
    reward, last = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([40.0])

    def of(*cont: float) -> Tensor:
        return f(reward.clone(), torch.tensor([cont]), last.clone(), 0.5)

    two = f(torch.tensor([[1.0, 0.0], [0.0, 4.0]]), torch.ones(2, 2), torch.tensor([0.0, 16.0]), 0.5)
    return {
        "the return where the dream goes on for sure": of(1, 1, 1),
        "the return where the second step goes on with probability 0.5": of(1, 0.5, 1),
        "the return where the second step is the last": of(1, 0, 1),
        "the return of a single step": f(torch.tensor([[2.0]]), torch.ones(1, 1), torch.tensor([10.0]), 0.5),
        "the return where the third step goes on with probability 0.5": of(1, 1, 0.5),
        "the returns of two dreams": two,
    }


def expected_h_step_return() -> Observations:
    return {
        "the return where the dream goes on for sure": torch.tensor([7.75]),  # 1 + (2 + (3 + 40 / 2) / 2) / 2
        "the return where the second step goes on with probability 0.5": torch.tensor([4.875]),  # 1 + (2 + (3 + 40 / 2) / 4) / 2
        "the return where the second step is the last": torch.tensor([2.0]),  # 1 + 2 / 2
        "the return of a single step": torch.tensor([7.0]),  # 2 + 10 / 2
        "the return where the third step goes on with probability 0.5": torch.tensor([5.25]),  # 1 + (2 + (3 + 40 / 4) / 2) / 2
        "the returns of two dreams": torch.tensor([1.0, 6.0]),  # 1 and 4 / 2 + 16 / 4
    }


H_STEP_RETURN = Exercise(
    id="8.1",
    title="An H-step return by hand",
    minutes=6,
    difficulty=1,
    importance=3,
    reference=h_step_return,
    target=None,
    observe=observe_h_step_return,
    expected=expected_h_step_return,
    gradients=False,
    looks=(
        Look("3 dreams of 5 steps", lambda d: (d.normal(3, 5), d.uniform(0, 1, 3, 5), d.normal(3), d.number(0.5, 0.95))),
        Look("7 dreams of 4 steps", lambda d: (d.normal(7, 4), d.uniform(0, 1, 7, 4), d.normal(7), d.number(0.5, 0.95))),
        Look("a dream of 1 step", lambda d: (d.normal(4, 1), d.uniform(0, 1, 4, 1), d.normal(4), 0.7)),
        Look("a single dream", lambda d: (d.normal(1, 6), d.uniform(0, 1, 1, 6), d.normal(1), 0.9)),
        Look("dreams that end, and some that go on", lambda d: (d.normal(5, 7), 1 - d.mask(5, 7, share=0.1), d.normal(5), 0.8), draws=4),
        Look("gamma = 0", lambda d: (d.normal(2, 4), d.uniform(0, 1, 2, 4), d.normal(2), 0.0)),
        Look("gamma = 1", lambda d: (d.normal(2, 4), d.uniform(0, 1, 2, 4), d.normal(2), 1.0)),
    ),
    mistakes=(
        Mistake(
            "last_one_step_early",
            lambda reward, cont, last, gamma: (reward * discounts(cont, gamma)[:, :-1]).sum(1) + discounts(cont, gamma)[:, -2] * last,
            "The last value is discounted once too little: it belongs to the state after the last reward, so it counts gamma to the "
            "power H, not H - 1.",
        ),
        Mistake(
            "rewards_one_step_late",
            lambda reward, cont, last, gamma: (reward * discounts(cont, gamma)[:, 1:]).sum(1) + discounts(cont, gamma)[:, -1] * last,
            "Every reward is discounted once too often: reward[:, t] was given its own gamma * cont[:, t]. That factor belongs to "
            "what follows it. The first reward counts in full.",
        ),
        Mistake(
            "front_to_back",
            lambda reward, cont, last, gamma: h_step_return(reward.flip(1), cont.flip(1), last, gamma),
            "The loop runs from the first step to the last. What follows a step has to be known before it: go backwards, `reversed(...)`.",
        ),
        Mistake(
            "cont_ignored",
            lambda reward, cont, last, gamma: h_step_return(reward, torch.ones_like(cont), last, gamma),
            "cont plays no part yet: what follows a step counts only with the probability that the dream goes on.",
        ),
        Mistake(
            "last_reward_left_out",
            lambda reward, cont, last, gamma: h_step_return(reward[:, :-1], cont[:, :-1], last, gamma),
            "The loop leaves out the last reward: `range(H - 1)` ends one step early. All H columns are rewards to be collected.",
        ),
        Mistake(
            "cont_cuts_its_own_reward",
            lambda reward, cont, last, gamma: h_step_return(reward * cont, cont, last, gamma),
            "cont[:, t] also cuts reward[:, t]. The reward of the last step still arrives; only what follows it does not.",
        ),
        Mistake(
            "no_bootstrap",
            lambda reward, cont, last, gamma: h_step_return(reward, cont, torch.zeros_like(last), gamma),
            "The rewards are right, but the value of the last state is missing: the dream stops after H steps, the world does not.",
        ),
        Mistake(
            "no_discount",
            lambda reward, cont, last, gamma: h_step_return(reward, cont, last, 1.0),
            "gamma plays no part yet: each step into the future counts gamma times the one before.",
        ),
    ),
    hints=(
        "Begin at the end. What is the return from the last state, before any reward?",
        "Going backwards, each step turns `future` into `reward + gamma * cont * future`.",
        "future = last; for t in reversed(range(reward.shape[1])): future = reward[:, t] + gamma * cont[:, t] * future",
    ),
)


# --- 8.2 the lambda-return -----------------------------------------------------------------------


def dreams() -> dict[str, Tensor]:
    """Two dreams of four steps with numbers that are all different: what a lambda-return takes."""
    return {
        "reward": torch.tensor([[1.0, 2.0, 4.0, 8.0], [-1.0, 0.5, -3.0, 2.0]]),
        "cont": torch.tensor([[1.0, 0.8, 1.0, 0.5], [0.9, 1.0, 0.25, 1.0]]),
        "value": torch.tensor([[10.0, 20.0, 30.0, 40.0], [-5.0, 7.0, 3.0, 9.0]]),
        "bonus": torch.tensor([[0.3, 0.1, 0.7, 0.9], [0.2, -0.4, 0.6, -0.8]]),
    }


def observe_lambda_return(f) -> Observations:
    seen = {}
    for lam, name in ((0.0, "one step"), (1.0, "H steps"), (0.6, "a mix")):
        seen[f"the return at lam = {lam} ({name})"] = f(*dreams().values(), 0.9, lam)
    single = {name: values[:, :1] for name, values in dreams().items()}
    seen["the return of dreams of one step"] = f(*single.values(), 0.9, 0.6)
    return seen


def n_step_mix(reward: Tensor, cont: Tensor, value: Tensor, bonus: Tensor, gamma: float, lam: float) -> Tensor:
    """The lambda-return by its definition: (1 - lam) sum_n lam^(n-1) G_n, with all weight that is left on the longest."""

    def total(row: int, start: int, n: int) -> float:
        found, scale = 0.0, 1.0
        for t in range(start, start + n):
            found += scale * float(reward[row, t])
            scale *= gamma * float(cont[row, t])
            found += scale * float(value[row, t] if t == start + n - 1 else bonus[row, t])
        return found

    number, horizon = reward.shape
    out = torch.zeros(number, horizon)
    for row in range(number):
        for start in range(horizon):
            longest = horizon - start
            mix = sum((1 - lam) * lam ** (n - 1) * total(row, start, n) for n in range(1, longest))
            out[row, start] = mix + lam ** (longest - 1) * total(row, start, longest)
    return out


def recursion(reward, cont, value, bonus, gamma, lam, last=None, mixed=None):
    """The backward pass with its two free places, for the mistakes: what follows the last step, and what is mixed with the recursion."""
    last = value[:, -1] if last is None else last
    mixed = value if mixed is None else mixed
    found = [reward[:, -1] + gamma * cont[:, -1] * last]
    for t in reversed(range(reward.shape[1] - 1)):
        found.append(reward[:, t] + gamma * cont[:, t] * ((1 - lam) * mixed[:, t] + lam * (bonus[:, t] + found[-1])))
    return torch.stack(found[::-1], 1)


def after(column):
    """Each column replaced by the one after it; the last stays."""
    return torch.cat([column[:, 1:], column[:, -1:]], 1)


LAMBDA_RETURN = Exercise(
    id="8.2",
    title="The lambda-return",
    minutes=15,
    difficulty=3,
    importance=3,
    reference=returns.lambda_return,
    target="dreamer_core.returns:lambda_return",
    observe=observe_lambda_return,
    expected=lambda: observe_lambda_return(n_step_mix),
    gradients=False,
    looks=(
        Look("3 dreams of 5 steps", lambda d: (d.normal(3, 5), d.uniform(0, 1, 3, 5), d.normal(3, 5), d.normal(3, 5), 0.9, 0.6)),
        Look("7 dreams of 4 steps", lambda d: (d.normal(7, 4), d.uniform(0, 1, 7, 4), d.normal(7, 4), d.normal(7, 4), 0.8, 0.7)),
        Look("a dream of 1 step", lambda d: (d.normal(4, 1), d.uniform(0, 1, 4, 1), d.normal(4, 1), d.normal(4, 1), 0.7, 0.3)),
        Look("a single dream", lambda d: (d.normal(1, 6), d.uniform(0, 1, 1, 6), d.normal(1, 6), d.normal(1, 6), 0.8, 0.95)),
        Look(
            "dreams that end, and some that go on",
            lambda d: (d.normal(5, 7), 1 - d.mask(5, 7, share=0.1), d.normal(5, 7), d.normal(5, 7), 0.8, 0.5),
            draws=4,
        ),
        Look("lambda = 0", lambda d: (d.normal(2, 4), d.uniform(0, 1, 2, 4), d.normal(2, 4), d.normal(2, 4), 0.9, 0.0)),
        Look("lambda = 1", lambda d: (d.normal(2, 4), d.uniform(0, 1, 2, 4), d.normal(2, 4), d.normal(2, 4), 0.9, 1.0)),
        Look("gamma = 0", lambda d: (d.normal(2, 4), d.uniform(0, 1, 2, 4), d.normal(2, 4), d.normal(2, 4), 0.0, 0.5)),
        Look("gamma = 1", lambda d: (d.normal(2, 4), d.uniform(0, 1, 2, 4), d.normal(2, 4), d.normal(2, 4), 1.0, 0.5)),
    ),
    mistakes=(
        Mistake(
            "all_off_by_one",
            lambda reward, cont, value, bonus, gamma, lam: recursion(*map(after, (reward, cont, value, bonus)), gamma, lam),
            "The formula's index was taken for the column. The t + 1 of r_{t+1}, c_{t+1} and V_{t+1} is column t: R_t begins with "
            "reward[:, t].",
        ),
        Mistake(
            "cont_ignored",
            lambda reward, cont, value, bonus, gamma, lam: recursion(reward, torch.ones_like(cont), value, bonus, gamma, lam),
            "cont plays no part yet: what follows step t counts gamma * cont[:, t].",
        ),
        Mistake(
            "last_bonus_read",
            lambda reward, cont, value, bonus, gamma, lam: recursion(
                reward, cont, value, bonus, gamma, lam, last=value[:, -1] + lam * bonus[:, -1]
            ),
            "The last state's entropy is counted twice: its soft value holds it already. The last column of bonus is never read, so the "
            "last step needs a line of its own.",
        ),
        Mistake(
            "bonus_beside_value",
            lambda reward, cont, value, bonus, gamma, lam: recursion(reward, cont, value, bonus, gamma, lam, mixed=value + bonus),
            "The bonus was added to the value too, which counts the entropy twice: v is a soft value. Only the recursion needs the bonus.",
        ),
        Mistake(
            "no_bonus",
            lambda reward, cont, value, bonus, gamma, lam: recursion(reward, cont, value, torch.zeros_like(bonus), gamma, lam),
            "The bonus is missing: R_{t+1} begins with the action at t + 1 already taken, so that action's entropy term has to be added.",
        ),
        Mistake(
            "lam_swapped",
            lambda reward, cont, value, bonus, gamma, lam: recursion(reward, cont, value, bonus, gamma, 1 - lam),
            "lam and 1 - lam are swapped: at lam = 0 only the value of the next state counts, at lam = 1 only the recursion.",
        ),
        Mistake(
            "columns_off_by_one",
            lambda reward, cont, value, bonus, gamma, lam: recursion(reward, cont, value, after(bonus), gamma, lam, mixed=after(value)),
            "value and bonus were read one column too late: value[:, t] already is V_{t+1} and bonus[:, t] the bonus of a_{t+1}. "
            "All four columns t belong together.",
        ),
        Mistake(
            "time_reversed",
            lambda reward, cont, value, bonus, gamma, lam: recursion(reward, cont, value, bonus, gamma, lam).flip(1),
            "The numbers are right, but in the wrong order: the list was filled from the end, so it has to be turned round.",
        ),
    ),
    hints=(
        "Begin at the end, where nothing can be mixed: R_{H-1} = reward + gamma * cont * value of the last state.",
        "For every earlier t the future is `(1 - lam) * value[:, t] + lam * (bonus[:, t] + R_{t+1})`. Collect, then turn the list round.",
        "Loop `for t in reversed(range(H))`; future = value[:, -1] if t == H - 1 else the mix; append reward[:, t] + gamma * cont[:, t] * "
        "future; return torch.stack(found[::-1], 1).",
    ),
)


# --- 8.3 the soft value as a baseline ------------------------------------------------------------


def observe_soft_baseline(f) -> Observations:
    q = torch.tensor([[1.0, 5.0], [3.0, 2.0]])  # (2 critics, K = 2): the smaller ones are 1 and 2
    log_prob = torch.tensor([-1.0, -3.0])
    grid = torch.arange(24.0).reshape(2, 3, 2, 2).sin() * 3  # (2, K, N, H)
    return {
        "the baseline of one state": f(q, log_prob, 0.5),
        "the baseline without entropy (alpha = 0)": f(q.clone(), log_prob.clone(), 0.0),
        "the baselines of a batch (N, H)": f(grid, torch.arange(12.0).reshape(3, 2, 2).cos(), 0.2),
    }


def expected_soft_baseline() -> Observations:
    grid = torch.empty(2, 2)
    for n in range(2):
        for h in range(2):
            values = []
            for k in range(3):
                q = [3 * math.sin(critic * 12 + k * 4 + n * 2 + h) for critic in range(2)]
                values.append(min(q) - 0.2 * math.cos(k * 4 + n * 2 + h))
            grid[n, h] = sum(values) / 3
    return {
        "the baseline of one state": torch.tensor(2.5),  # (1 + 0.5) and (2 + 1.5), averaged
        "the baseline without entropy (alpha = 0)": torch.tensor(1.5),
        "the baselines of a batch (N, H)": grid,
    }


SOFT_BASELINE = Exercise(
    id="8.3",
    title="The soft value as a baseline",
    minutes=6,
    difficulty=2,
    importance=3,
    reference=sac.soft_baseline,
    target="dreamer_core.sac:soft_baseline",
    runs_with='the preset "advantage"',
    observe=observe_soft_baseline,
    expected=expected_soft_baseline,
    gradients=False,
    looks=(
        Look("3 actions at 4 x 5 states", lambda d: (d.normal(2, 3, 4, 5), d.normal(3, 4, 5), d.number(0.1, 0.9))),
        Look("1 action at 5 states", lambda d: (d.normal(2, 1, 5), d.normal(1, 5), 0.3)),
        Look("6 actions at one state", lambda d: (d.normal(2, 6), d.normal(6), 1.5)),
        Look("alpha = 0", lambda d: (d.normal(2, 3, 4), d.normal(3, 4), 0.0)),
    ),
    mistakes=(
        Mistake(
            "entropy_sign",
            lambda q, log_prob, alpha: (q.amin(0) + alpha * log_prob).mean(0),
            "The entropy has the wrong sign: it is minus the mean of log pi, so the soft value subtracts alpha * log_prob.",
        ),
        Mistake(
            "no_entropy",
            lambda q, log_prob, alpha: q.amin(0).mean(0) + 0 * log_prob.mean(0),
            "This is E[Q]. The soft value is E[Q] + alpha H: the entropy term -alpha * log_prob is missing.",
        ),
        Mistake(
            "no_alpha",
            lambda q, log_prob, alpha: (q.amin(0) - log_prob).mean(0),
            "The entropy counts in full: weigh it with alpha.",
        ),
        Mistake(
            "minimum_of_means",
            lambda q, log_prob, alpha: q.mean(1).amin(0) - alpha * log_prob.mean(0),
            "Each critic was averaged first and the smaller average taken. Take the smaller critic at each action, then average.",
        ),
        Mistake(
            "mean_of_critics",
            lambda q, log_prob, alpha: (q.mean(0) - alpha * log_prob).mean(0),
            "The two critics were averaged. SAC trusts the smaller of the two.",
        ),
        Mistake(
            "larger_critic",
            lambda q, log_prob, alpha: (q.amax(0) - alpha * log_prob).mean(0),
            "The larger critic was taken. The smaller of the two guards against a Q that promises too much.",
        ),
        Mistake(
            "sum_over_actions",
            lambda q, log_prob, alpha: (q.amin(0) - alpha * log_prob).sum(0),
            "The K actions were added up. An expectation is estimated by their mean.",
        ),
    ),
    hints=(
        "Two axes disappear: the two critics (axis 0 of q) and the K actions. In which order, and by what?",
        "The smaller critic first: q.amin(0) is (K, ...), like log_prob.",
        "(q.amin(0) - alpha * log_prob).mean(0)",
    ),
)


# --- 8.4 the advantage ---------------------------------------------------------------------------


def observe_soft_advantage(f) -> Observations:
    log_prob = torch.tensor([[-2.0, 1.0]], requires_grad=True)
    advantage = f(torch.tensor([[5.0, 3.0]]), log_prob, torch.tensor([[4.0, 6.0]]), 0.5)
    column = f(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [-0.5]]), torch.tensor([[3.0], [1.0]]), 0.0)
    return {
        "the advantage": advantage.detach(),
        "the gradient that leaves through the advantage": gradient(advantage.sum(), log_prob),
        "the advantage without entropy (alpha = 0)": column,
    }


SOFT_ADVANTAGE = Exercise(
    id="8.4",
    title="The advantage",
    minutes=5,
    difficulty=2,
    importance=3,
    reference=sac.soft_advantage,
    target="dreamer_core.sac:soft_advantage",
    runs_with='the preset "advantage"',
    observe=observe_soft_advantage,
    expected=lambda: {
        "the advantage": torch.tensor([[2.0, -3.5]]),  # 5 + 1 - 4 and 3 - 0.5 - 6
        "the gradient that leaves through the advantage": torch.zeros(1, 2),
        "the advantage without entropy (alpha = 0)": torch.tensor([[-2.0], [1.0]]),
    },
    looks=(
        Look("3 dreams of 5 steps", lambda d: (d.normal(3, 5), d.normal(3, 5), d.normal(3, 5), d.number(0.1, 0.9))),
        Look("7 dreams of 4 steps", lambda d: (d.normal(7, 4), d.normal(7, 4), d.normal(7, 4), d.number(0.1, 0.9))),
        Look("a single number", lambda d: (d.normal(1), d.normal(1), d.normal(1), 0.4)),
        Look("alpha = 0", lambda d: (d.normal(4, 2), d.normal(4, 2), d.normal(4, 2), 0.0)),
        Look("alpha = 2", lambda d: (d.normal(4, 2), d.normal(4, 2), d.normal(4, 2), 2.0)),
    ),
    mistakes=(
        Mistake(
            "gradient_not_stopped",
            lambda returns, log_prob, baseline, alpha: returns - alpha * log_prob - baseline,
            "The value is right, but a gradient still leaves through log_prob. The advantage is a number that scores the action, "
            "not a function to be improved: detach it.",
        ),
        Mistake(
            "entropy_twice",
            lambda returns, log_prob, baseline, alpha: (returns - 2 * alpha * log_prob - baseline).detach(),
            "The entropy of this action is counted twice. R holds that of the later steps, so it is added here once, and no more.",
        ),
        Mistake(
            "no_entropy",
            lambda returns, log_prob, baseline, alpha: (returns - baseline).detach(),
            "The entropy of this action is missing. The baseline holds it, so both sides must: otherwise the advantage is off by alpha H.",
        ),
        Mistake(
            "entropy_sign",
            lambda returns, log_prob, baseline, alpha: (returns + alpha * log_prob - baseline).detach(),
            "The entropy has the wrong sign: a surprising action (small log pi) earns a bonus, -alpha * log_prob.",
        ),
        Mistake(
            "baseline_minus_returns",
            lambda returns, log_prob, baseline, alpha: (baseline - returns + alpha * log_prob).detach(),
            "The sign is turned round: an action is good where its return lies above the baseline.",
        ),
        Mistake(
            "baseline_added",
            lambda returns, log_prob, baseline, alpha: (returns - alpha * log_prob + baseline).detach(),
            "The baseline is added. It is what the policy gets on average anyway, so subtract it.",
        ),
        Mistake(
            "no_baseline",
            lambda returns, log_prob, baseline, alpha: (returns - alpha * log_prob).detach(),
            "The baseline is missing. The gradient would be right on average, and far noisier.",
        ),
    ),
    hints=(
        "What did this action bring, entropy included? What does the policy bring on average? And should a gradient pass?",
        "This action brought `returns - alpha * log_prob`. The average is `baseline`.",
        "(returns - alpha * log_prob - baseline).detach()",
    ),
)


# --- 8.5 the score-function loss -----------------------------------------------------------------

PAYS = (1.0, 5.0)  # what each of two actions pays


def observe_score_actor_loss(f) -> Observations:
    advantage = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    weight = torch.tensor([[1.0, 0.5], [1.0, 0.0]])
    log_prob = torch.tensor([[-1.0, -2.0], [0.5, 1.0]], requires_grad=True)
    loss = f(advantage, log_prob, weight)
    # Two actions, pi(1) = sigmoid(theta) = 3/4: four dreams, of which three take action 1, are the policy exactly.
    theta = torch.tensor(math.log(3.0), requires_grad=True)
    chosen = torch.tensor([[0.0], [1.0], [1.0], [1.0]])
    taken = torch.nn.functional.logsigmoid((2 * chosen - 1) * theta)  # log pi of the action taken, (4, 1)
    paid = chosen * PAYS[1] + (1 - chosen) * PAYS[0]
    ascent = [-gradient(f(paid - baseline, taken, torch.ones(4, 1)), theta) for baseline in (0.0, 4.0)]
    return {
        "the gradient that reaches log pi": gradient(loss, log_prob),
        "the ascent direction on two actions": ascent[0],
        "the ascent direction on two actions with a baseline": ascent[1],
    }


def expected_score_actor_loss() -> Observations:
    def mean_pay(theta: float) -> float:
        p = 1 / (1 + math.exp(-theta))
        return (1 - p) * PAYS[0] + p * PAYS[1]

    slope = (mean_pay(math.log(3) + 1e-4) - mean_pay(math.log(3) - 1e-4)) / 2e-4  # of the true expectation
    return {
        "the gradient that reaches log pi": torch.tensor([[-0.5, 0.125], [-0.125, 0.0]]),  # -A w / 4
        "the ascent direction on two actions": torch.tensor(slope),
        "the ascent direction on two actions with a baseline": torch.tensor(slope),
    }


SCORE_ACTOR_LOSS = Exercise(
    id="8.5",
    title="The score-function loss",
    minutes=6,
    difficulty=2,
    importance=3,
    reference=sac.score_actor_loss,
    target="dreamer_core.sac:score_actor_loss",
    runs_with='the preset "advantage"',
    observe=observe_score_actor_loss,
    expected=expected_score_actor_loss,
    value_is_free=True,
    looks=(
        Look("3 dreams of 5 steps", lambda d: (d.data(d.normal(3, 5)), d.normal(3, 5), d.data(d.uniform(0, 1, 3, 5)))),
        Look("7 dreams of 4 steps", lambda d: (d.data(d.normal(7, 4)), d.normal(7, 4), d.data(d.uniform(0, 1, 7, 4)))),
        Look("a single dream", lambda d: (d.data(d.normal(1, 4)), d.normal(1, 4), d.data(d.uniform(0, 1, 1, 4)))),
        Look("dreams of 1 step", lambda d: (d.data(d.normal(6, 1)), d.normal(6, 1), d.data(d.uniform(0, 1, 6, 1)))),
        Look("steps that do not count", lambda d: (d.data(d.normal(4, 6)), d.normal(4, 6), d.data(d.mask(4, 6)))),
    ),
    mistakes=(
        Mistake(
            "sign",
            lambda advantage, log_prob, weight: (advantage * log_prob * weight).mean(),
            "The sign is turned round: an optimiser goes down, so what should grow enters the loss with a minus.",
        ),
        Mistake(
            "log_prob_detached",
            lambda advantage, log_prob, weight: -(advantage * log_prob.detach() * weight).mean(),
            "No gradient reaches log pi, and that is the only way to the actor. The advantage is held fixed, log_prob is not.",
        ),
        Mistake(
            "probability_for_its_log",
            lambda advantage, log_prob, weight: -(advantage * log_prob.exp() * weight).mean(),
            "The probability took the place of its logarithm. The samples come with probability pi already, so what is left of "
            "its gradient is grad pi / pi = grad log pi.",
        ),
        Mistake(
            "no_weight",
            lambda advantage, log_prob, weight: -(advantage * log_prob).mean(),
            "The weight plays no part yet: steps after a dream's likely end should count little.",
        ),
        Mistake(
            "sum",
            lambda advantage, log_prob, weight: -(advantage * log_prob * weight).sum(),
            "The steps were added up. The loss is their mean, so that its size does not depend on how many dreams there are.",
        ),
        Mistake(
            "sum_over_time",
            lambda advantage, log_prob, weight: -(advantage * log_prob * weight).sum(1).mean(),
            "The steps of a dream were added up and only the dreams averaged. The loss is the mean over both axes.",
        ),
        Mistake(
            "weighted_average",
            lambda advantage, log_prob, weight: -(advantage * log_prob * weight).sum() / weight.sum(),
            "The sum was divided by the sum of the weights. Divide by the number of steps (a plain mean), as the critics' loss does.",
        ),
    ),
    hints=(
        "Whose gradient is `A * grad log pi`, if A is a constant?",
        "The loss is minus the mean of a product of three tensors.",
        "-(advantage * log_prob * weight).mean()",
    ),
)


# --- 8.6 the pathwise loss -----------------------------------------------------------------------

ALPHA, NOISE = 0.3, (0.5, -1.0, 0.2)


def two_critics(state: Tensor, action: Tensor) -> Tensor:
    """A pair of critics with known slopes; which of them is smaller depends on the state: (..., 1), (..., 1) -> (2, ...)."""
    s, a = state[..., 0], action[..., 0]
    return torch.stack([s - (a - 0.4).square(), 2 * a - s])


def observe_pathwise_actor_loss(f) -> Observations:
    mean = torch.tensor([[0.2], [-0.5], [1.0]], requires_grad=True)
    log_std = torch.tensor([[-0.3], [0.1], [-1.0]], requires_grad=True)
    noise = torch.tensor(NOISE).unsqueeze(1)
    pre_tanh = mean + log_std.exp() * noise
    normal = torch.distributions.Normal(mean, log_std.exp()).log_prob(pre_tanh)
    log_prob = (normal - torch.log(1 - torch.tanh(pre_tanh).square())).sum(-1, keepdim=True)
    action = Action(pre_tanh.unsqueeze(1), log_prob)  # (3, 1, A) and (3, 1)
    state = torch.tensor([[[-1.0]], [[0.5]], [[2.0]]])  # (3, 1, F)
    loss = f(two_critics, state, action, ALPHA, torch.tensor([[1.0], [0.5], [2.0]]))
    to_mean, to_log_std = gradient(loss, mean, log_std)
    return {
        "the gradient that reaches the actor's mean": to_mean.squeeze(1),
        "the gradient that reaches the actor's log std": to_log_std.squeeze(1),
    }


def expected_pathwise_actor_loss() -> Observations:
    states, weights = (-1.0, 0.5, 2.0), (1.0, 0.5, 2.0)
    actor = [0.2, -0.5, 1.0, -0.3, 0.1, -1.0]  # three means, three log stds

    def loss(numbers: list[float]) -> float:
        total = 0.0
        for n in range(3):
            mean, std = numbers[n], math.exp(numbers[3 + n])
            a = math.tanh(mean + std * NOISE[n])
            log_prob = -0.5 * NOISE[n] ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi) - math.log(1 - a**2)
            q = min(states[n] - (a - 0.4) ** 2, 2 * a - states[n])
            total -= weights[n] * (q - ALPHA * log_prob) / 3
        return total

    slopes = []
    for number in range(6):
        up, down = list(actor), list(actor)
        up[number], down[number] = actor[number] + 1e-4, actor[number] - 1e-4
        slopes.append((loss(up) - loss(down)) / 2e-4)
    return {
        "the gradient that reaches the actor's mean": torch.tensor(slopes[:3]),
        "the gradient that reaches the actor's log std": torch.tensor(slopes[3:]),
    }


def pathwise(q, state, u, log_prob, alpha, weight, pick=lambda both: both.amin(0), squash=torch.tanh):
    """The loss with its free places, for the mistakes."""
    return -((pick(q(state, squash(u))) - alpha * log_prob) * weight).mean()


def minimum_of_losses(q, state, action, alpha, weight):
    """The smaller of the two critics' whole means."""
    both = q(state, torch.tanh(action.pre_tanh))
    return -torch.stack([((one - alpha * action.log_prob) * weight).mean() for one in both]).amin()


def pathwise_inputs(
    d: Draw, rows: tuple[int, ...], features: int, size: int, alpha: float = 0.7, spread: float = 1.0, high: float = 0.0
) -> tuple:
    """Two smooth critics, states, an action whose two parts carry gradients of their own, alpha and weights."""
    mix, pull = d.normal(2, features, size), d.normal(2, size)

    def q(state: Tensor, action: Tensor) -> Tensor:
        return torch.stack([((state @ mix[i]) * action + pull[i] * action.square()).sum(-1) + high for i in range(2)])

    action = Action(d.leaf("action.pre_tanh", spread * d.normal(*rows, size)), d.leaf("action.log_prob", d.normal(*rows)))
    return q, d.data(d.normal(*rows, features)), action, alpha, d.data(d.uniform(0, 1, *rows))


PATHWISE_ACTOR_LOSS = Exercise(
    id="8.6",
    title="The pathwise loss",
    minutes=8,
    difficulty=2,
    importance=3,
    reference=sac.pathwise_actor_loss,
    target="dreamer_core.sac:pathwise_actor_loss",
    observe=observe_pathwise_actor_loss,
    expected=expected_pathwise_actor_loss,
    value_is_free=True,
    looks=(
        Look("5 states and actions of 2 numbers", lambda d: pathwise_inputs(d, (5,), 4, 2), draws=5),
        Look("3 dreams of 4 steps", lambda d: pathwise_inputs(d, (3, 4), 2, 1)),
        Look("a single state", lambda d: pathwise_inputs(d, (1,), 3, 2)),
        Look("states that do not count", lambda d: pathwise_inputs(d, (6,), 3, 2)[:4] + (d.data(d.mask(6)),)),
        Look("alpha = 0", lambda d: pathwise_inputs(d, (5,), 3, 2, alpha=0.0)),
        Look("critics that promise much", lambda d: pathwise_inputs(d, (5,), 3, 2, high=20.0)),
        Look("actions that are saturated", lambda d: pathwise_inputs(d, (7,), 3, 2, spread=6.0)),
    ),
    mistakes=(
        Mistake(
            "action_detached",
            lambda q, state, action, alpha, weight: pathwise(q, state, action.pre_tanh.detach(), action.log_prob, alpha, weight),
            "The loss is right, but no gradient passes through the action into Q (a detach or no_grad in between?). That path is the whole "
            "idea: without it only the entropy is learned.",
        ),
        Mistake(
            "entropy_moves_nothing",
            lambda q, state, action, alpha, weight: pathwise(q, state, action.pre_tanh, action.log_prob.detach(), alpha, weight),
            "The entropy moves nothing: `alpha * action.log_prob` is missing, or log_prob is cut off. Nothing would hold the policy's "
            "spread up, and it would collapse. The actor climbs the soft value, Q - alpha * log_prob.",
        ),
        Mistake(
            "no_tanh",
            lambda q, state, action, alpha, weight: pathwise(q, state, *action, alpha, weight, squash=lambda u: u),
            "Q was given u. The action it knows is tanh(u).",
        ),
        Mistake(
            "sign",
            lambda q, state, action, alpha, weight: -pathwise(q, state, *action, alpha, weight),
            "The sign is turned round: an optimiser goes down, so the soft value enters the loss with a minus.",
        ),
        Mistake(
            "entropy_sign",
            lambda q, state, action, alpha, weight: pathwise(q, state, *action, -alpha, weight),
            "The entropy has the wrong sign, so the policy is rewarded for being sure. The soft value is Q - alpha * log_prob.",
        ),
        Mistake(
            "mean_of_critics",
            lambda q, state, action, alpha, weight: pathwise(q, state, *action, alpha, weight, lambda both: both.mean(0)),
            "The two critics were averaged. The actor climbs the smaller of the two, state by state.",
        ),
        Mistake(
            "minimum_of_means",
            minimum_of_losses,
            "Each critic was averaged over all states first, and the smaller average taken. The smaller critic is chosen state by state, "
            "before the mean.",
        ),
        Mistake(
            "no_weight",
            lambda q, state, action, alpha, weight: pathwise(q, state, *action, alpha, torch.ones_like(weight)),
            "The weight plays no part yet: steps after a dream's likely end should count little.",
        ),
    ),
    hints=(
        "Which three things does the soft value of the sampled action need? And where may nothing be detached?",
        "Both critics at the action: q(state, torch.tanh(action.pre_tanh)), shape (2, ...). Take the smaller, subtract alpha * log_prob.",
        "value = q(state, torch.tanh(action.pre_tanh)).amin(0) - alpha * action.log_prob; return -(value * weight).mean()",
    ),
)

EXERCISES = [H_STEP_RETURN, LAMBDA_RETURN, SOFT_BASELINE, SOFT_ADVANTAGE, SCORE_ACTOR_LOSS, PATHWISE_ACTOR_LOSS]
