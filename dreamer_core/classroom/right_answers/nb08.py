"""Right answers to the exercises of notebook 08, written differently from the course's own."""

import torch


def h_step_return(reward, cont, last, gamma):
    total, scale = torch.zeros_like(last), torch.ones_like(last)
    for t in range(reward.shape[1]):
        total = total + scale * reward[:, t]
        scale = scale * gamma * cont[:, t]
    return total + scale * last


def h_step_return_at_once(reward, cont, last, gamma):
    factors = torch.cumprod(torch.cat([torch.ones_like(cont[:, :1]), gamma * cont], 1), 1)
    return (factors * torch.cat([reward, last[:, None]], 1)).sum(1)


def lambda_return(reward, cont, value, bonus, gamma, lam):
    out = torch.empty_like(reward)
    following = value[:, -1]
    for t in range(reward.shape[1] - 1, -1, -1):
        out[:, t] = reward[:, t] + gamma * cont[:, t] * following
        if t > 0:
            following = (1 - lam) * value[:, t - 1] + lam * (bonus[:, t - 1] + out[:, t])
    return out


def lambda_return_forward(reward, cont, value, bonus, gamma, lam):
    """Row by row as a sum of temporal differences."""
    horizon = reward.shape[1]
    columns = []
    for start in range(horizon):
        total, scale = 0.0, 1.0
        for t in range(start, horizon):
            total = total + scale * reward[:, t]
            scale = scale * gamma * cont[:, t]
            share = 1 - lam if t < horizon - 1 else 1.0
            total = total + scale * share * value[:, t]
            if t < horizon - 1:
                scale = scale * lam
                total = total + scale * bonus[:, t]
        columns.append(total)
    return torch.stack(columns, dim=-1)


def soft_baseline(q, log_prob, alpha):
    smaller = torch.minimum(q[0], q[1])
    return smaller.mean(dim=0) - alpha * log_prob.mean(dim=0)


def soft_advantage(returns, log_prob, baseline, alpha):
    with torch.no_grad():
        return returns - baseline - alpha * log_prob


def soft_advantage_parts_detached(returns, log_prob, baseline, alpha):
    """Each part detached by itself."""
    soft = returns.detach() - alpha * log_prob.detach()
    return soft.sub(baseline.detach())


def score_actor_loss(advantage, log_prob, weight):
    return torch.mean(-log_prob * (advantage * weight))


def score_actor_loss_summed(advantage, log_prob, weight):
    return -(advantage * log_prob * weight).sum() / advantage.numel()


def pathwise_actor_loss(q, state, action, alpha, weight):
    first, second = q(state, action.pre_tanh.tanh())
    return ((alpha * action.log_prob - torch.minimum(first, second)) * weight).mean()


RIGHT = {
    "8.1": [h_step_return, h_step_return_at_once],
    "8.2": [lambda_return, lambda_return_forward],
    "8.3": [soft_baseline],
    "8.4": [soft_advantage, soft_advantage_parts_detached],
    "8.5": [score_actor_loss, score_actor_loss_summed],
    "8.6": [pathwise_actor_loss],
}
