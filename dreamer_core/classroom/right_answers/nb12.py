"""Right answers to the exercises of notebook 12, written differently from the course's own."""

import torch


def value_loss(logits, returns, slow_mean, weight, bins, slow_scale=1.0):
    def towards(target):
        target = target.detach().clamp(bins[0], bins[-1]).unsqueeze(-1)
        up, down = torch.ones_like(bins), torch.ones_like(bins)
        up[:-1] = bins[1:] - bins[:-1]
        down[1:] = bins[1:] - bins[:-1]
        share = torch.where(target >= bins, 1 - (target - bins) / up, 1 - (bins - target) / down).clamp(min=0)
        return torch.logsumexp(logits, -1) - (share * logits).sum(-1)

    with torch.no_grad():
        weight = weight.clone()
    return weight * towards(returns) + weight * slow_scale * towards(slow_mean)


def value_loss_in_one(logits, returns, slow_mean, weight, bins, slow_scale=1.0):
    """Both targets' bins in one, which is allowed: the cross-entropy is linear in them."""
    from dreamer_core.paper.twohot import twohot

    target = twohot(returns.detach(), bins) + slow_scale * twohot(slow_mean.detach(), bins)
    return -(weight.detach().unsqueeze(-1) * target * logits.log_softmax(-1)).sum(-1)


def moved(percentiles, returns, shares, rate):
    ordered, _ = returns.reshape(-1).sort()
    place = shares * (len(ordered) - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=len(ordered) - 1)
    new = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return percentiles + rate * (new - percentiles)


def moved_by_quantile(percentiles, returns, shares, rate):
    low, high = (returns.flatten().quantile(float(share)) for share in shares)
    return rate * torch.stack([low, high]) + (1 - rate) * percentiles


def spread(percentiles, floor):
    width = percentiles[1] - percentiles[0]
    return torch.maximum(width, torch.full_like(width, floor))


def bounded_normal(mean_raw, std_raw, low=0.1, high=1.0):
    share = 1 / (1 + torch.exp(-(std_raw + 2)))
    return 2 * torch.sigmoid(2 * mean_raw) - 1, high * share + low * (1 - share)


def normal_log_prob(mean, std, action):
    return torch.distributions.Normal(mean, std, validate_args=False).log_prob(action).sum(dim=-1)


def normal_log_prob_by_hand(mean, std, action):
    import math

    miss = (action - mean).pow(2) / (2 * std.pow(2))
    return -torch.sum(miss + std.log() + math.log(math.sqrt(2 * math.pi)), dim=-1)


def policy_loss(log_prob, entropy, returns, value, scale, weight, entropy_scale):
    with torch.no_grad():
        pull = weight * (returns - value) / scale
        price = entropy_scale * weight
    return -log_prob * pull - price * entropy


def policy_loss_parts(log_prob, entropy, returns, value, scale, weight, entropy_scale):
    advantage = (returns.detach() - value.detach()).div(scale.detach())
    return weight.detach().neg() * (advantage * log_prob).add(entropy, alpha=entropy_scale)


def replay_returns(reward, last, terminal, dreamt, discount, lam):
    rows = reward.shape[1]
    out = torch.empty_like(reward)
    out[:, rows - 1] = dreamt[:, rows - 1]
    for k in range(rows - 2, -1, -1):
        follows = torch.where(last[:, k + 1] > 0, dreamt[:, k + 1], (1 - lam) * dreamt[:, k + 1] + lam * out[:, k + 1])
        out[:, k] = reward[:, k + 1] + discount * (1 - terminal[:, k + 1]) * follows
    return out[:, :-1]


def replay_returns_forward(reward, last, terminal, dreamt, discount, lam):
    """Row by row as a sum over all that follows."""
    rows = reward.shape[1]
    columns = []
    for start in range(rows - 1):
        total, scale = torch.zeros_like(reward[:, 0]), torch.ones_like(reward[:, 0])
        for k in range(start + 1, rows):
            total = total + scale * reward[:, k]
            scale = scale * discount * (1 - terminal[:, k])
            mix = lam * (1 - last[:, k]) if k < rows - 1 else 0.0 * last[:, k]
            total = total + scale * (1 - mix) * dreamt[:, k]
            scale = scale * mix
        columns.append(total)
    return torch.stack(columns, dim=1)


RIGHT = {
    "12.1": [value_loss, value_loss_in_one],
    "12.2": [moved, moved_by_quantile],
    "12.3": [spread],
    "12.4": [bounded_normal],
    "12.5": [normal_log_prob, normal_log_prob_by_hand],
    "12.6": [policy_loss, policy_loss_parts],
    "12.7": [replay_returns, replay_returns_forward],
}
