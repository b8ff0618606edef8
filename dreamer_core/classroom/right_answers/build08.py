"""A right answer to the build of notebook 08, written differently from the core's."""

import torch

from dreamer_core.sac import squashed_sample, tanh_normal_log_prob


def step_by_step(self, batch, optimizer):
    """One call of the policy for all states, returns in a loop of their own, two backward passes, averages by hand."""
    settings, alpha = self.config, self.alpha
    steps = batch.reward.shape[1]
    mean, log_std = self.actor(batch.state)
    log_prob = tanh_normal_log_prob(mean[:, :-1], log_std[:, :-1], batch.pre_tanh)

    alive = [batch.weight]
    for t in range(steps - 1):
        alive.append(alive[-1] * batch.cont[:, t])
    counts = torch.stack(alive, dim=1)

    with torch.no_grad():

        def worth():
            u, chance = squashed_sample(mean, log_std, torch.randn(mean.shape))
            one, other = self.q_target(batch.state, u.tanh())
            return torch.minimum(one, other) - alpha * chance

        value, guess = worth(), 0
        for _ in range(settings.baseline_samples):
            guess = guess + worth()[:, :-1] / settings.baseline_samples
        goal = torch.empty_like(batch.reward)
        ahead = value[:, -1]
        for t in range(steps - 1, -1, -1):
            goal[:, t] = batch.reward[:, t] + settings.gamma * batch.cont[:, t] * ahead
            if t > 0:
                ahead = settings.lam * (goal[:, t] - alpha * log_prob[:, t]) + (1 - settings.lam) * value[:, t]
        better = goal - alpha * log_prob - guess
        if settings.normalize_advantage:
            share = 0.05 if int(self.updates) > 0 else 1.0
            self.advantage_std.copy_((1 - share) * self.advantage_std + share * (better - better.mean()).pow(2).mean().sqrt())
            better = better / max(float(self.advantage_std), 1e-3)

    one, other = self.q(batch.state[:, :-1], batch.pre_tanh.tanh())
    fit = (counts * ((one - goal) ** 2 + (other - goal) ** 2)).mean()
    follow = -(counts * better * log_prob).mean()
    optimizer.zero_grad()
    follow.backward()
    fit.backward()
    norms = [torch.nn.utils.clip_grad_norm_(list(part.parameters()), settings.clip_norm) for part in (self.actor, self.q)]
    optimizer.step()
    for slow, fast in zip(self.q_target.parameters(), self.q.parameters()):
        slow.data.mul_(settings.polyak).add_(fast.data, alpha=1 - settings.polyak)
    self.updates += 1
    return {
        "critic_loss": fit.detach(),
        "actor_loss": follow.detach(),
        "q_mean": torch.stack([one, other]).detach().mean(),
        "return_mean": goal.mean(),
        "entropy": -log_prob.detach().mean(),
        "actor_grad_norm": norms[0],
        "critic_grad_norm": norms[1],
    }


RIGHT = {"8.A": [step_by_step]}
