"""Returns of imagined trajectories, as pure functions.

Time: reward[:, t] and cont[:, t] belong to the step from s_t to s_{t+1}. They arrive *with*
s_{t+1} (row t + 1 of the replay convention), so index 0 is the first consequence of a_0.
"""

import torch
from torch import Tensor


def soft_value(q: Tensor, log_prob: Tensor, alpha: float | Tensor) -> Tensor:
    """One-sample soft value Q(s, a) - alpha log pi(a | s), a ~ pi. Elementwise.

    Its mean over actions is E[Q] + alpha H.
    """
    return q - alpha * log_prob


def backup(reward: Tensor, cont: Tensor, value: Tensor, gamma: float) -> Tensor:
    """What a step is worth, seen from before it: r + gamma c v. Elementwise.

    Args:
        reward: that arrives with the state reached. cont: 0 if the episode truly ended there, 1
            if it went on (also past a time limit), or the probability of going on.
        value: of the state reached. gamma: discount.
    """
    return reward + gamma * cont * value


def for_ever(reward: Tensor, cont: Tensor, gamma: float, most: int) -> Tensor:
    """What one and the same step is worth if it is taken again and again, r / (1 - gamma c), with no more than `most` rewards added up."""
    return reward / (1 - gamma * cont).clamp(min=1 / most)


def one_step_spread(reward: Tensor, cont: Tensor, gamma: float) -> float:
    """How far the returns of R recorded steps are spread, in the units of the rewards: (R,), (R,) -> a number.

        spread = std[r + gamma c v],    v = E[r] / (1 - gamma E[c])

    v is what a state is worth on average to whoever took these steps: the one value that is its own
    mean backup. The spread is how far one step's reward and end lead away from it. Rewards k times
    as large have k times the spread; where nothing ends, a constant added to them changes v alone.

    Returns of more than R rewards are not thought of (gamma = 1). Rewards that are all equal, where
    nothing ends, have the spread 0.

    Source: return-based scaling (Schaul et al., arXiv 2105.05347), V[r] + V[gamma c] E[G^2], with v in
    the place of a sampled return G, and with the covariance of r and c.
    """
    reward, cont = reward.double(), cont.double()
    level = for_ever(reward.mean(), cont.mean(), gamma, len(reward))
    spread = backup(reward, cont, level, gamma).std(correction=0)
    return float(spread) if spread > 1e-9 * reward.abs().max() else 0.0


def hoped_value(reward: Tensor, cont: Tensor, gamma: float) -> float:
    """What a state would be worth if the best of R recorded steps could be taken for ever: (R,), (R,) -> max r / (1 - gamma c).

    Optimism in the face of uncertainty: critics that start there make what is unknown look worth a visit. As in `one_step_spread`, no
    more than R rewards are added up.

    Source: R-max (Brafman and Tennenholtz, Journal of Machine Learning Research 3, 2002), with the best reward seen in the place of
    the best there is.
    """
    return float(for_ever(reward.double(), cont.double(), gamma, len(reward)).max())


def lambda_return(reward: Tensor, cont: Tensor, value: Tensor, bonus: Tensor, gamma: float, lam: float) -> Tensor:
    """The lambda-return, from the one-step target (lam = 0) to the H-step return (lam = 1).

        R_t = r_{t+1} + gamma c_{t+1} [(1 - lam) v_{t+1} + lam (bonus_{t+1} + R_{t+1})],    R_{H-1} = r_H + gamma c_H v_H

    Args:
        reward, cont: (N, H), r_{t+1} and c_{t+1} in column t.
        value: (N, H), v_{t+1} in column t: the soft value of each state reached. It carries that state's
            entropy already.
        bonus: (N, H), the entropy term -alpha log pi(a_{t+1} | s_{t+1}) of the action actually
            taken, for soft returns; zeros for plain ones. The last column is never read: the
            last state's entropy is in its value, and must not be counted twice.
        gamma: discount. lam: the mix.

    Returns:
        (N, H). Source: DreamerV3 (arXiv 2301.04104v2), "Critic learning", with the soft value in
        the place of v.
    """
    last = value[:, -1]
    returns = []
    for t in reversed(range(reward.shape[1])):
        if t == reward.shape[1] - 1:
            future = last
        else:
            future = (1 - lam) * value[:, t] + lam * (bonus[:, t] + returns[-1])
        returns.append(backup(reward[:, t], cont[:, t], future, gamma))
    return torch.stack(returns[::-1], 1)


def alive_weight(cont: Tensor) -> Tensor:
    """How probable it is that the dream is still running when a_t is taken: (N, H) -> (N, H).

    1 for the first step, then the running product of the continue probabilities.
    """
    return torch.cumprod(torch.cat([torch.ones_like(cont[:, :1]), cont[:, :-1]], 1), 1)
