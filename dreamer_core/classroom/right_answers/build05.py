"""Right answers to the builds of notebook 05, written differently from the core's."""

import torch


def row_by_row(self, window, noise=None):
    """Parts as sums over rows, divided at the end; the KL's shares by the gradient of one KL scaled at its two ends."""
    c, beliefs = self.config, self.observe(window, noise)
    count = window.first.numel()
    state = torch.cat((beliefs.h, beliefs.z), dim=-1)
    guess = self.rssm.prior(beliefs.h)
    off = (self.decoder(state) - self.standardized(window.observation)) ** 2

    def shared(parameters, share):
        return parameters * share + parameters.detach() * (1 - share)

    far = self.rssm.latent.kl(shared(beliefs.posterior, 1 - c.kl_balance), shared(guess, c.kl_balance))
    paid = torch.where(far > c.free_nats, far, torch.full_like(far, c.free_nats))
    raw = self.reward(state)
    parts = dict(
        observation=c.observation_scale * off.sum() / (2 * count),
        reward=c.reward_scale * self.reward.loss(raw, window.reward, window.first),
        kl=c.kl_scale * paid.sum() / count,
    )
    parts["continue"] = self.cont.loss(self.predict_continue(state), window.terminal).sum() / count
    if c.overshoot and window.reward.shape[1] > c.overshoot:
        parts["overshoot"] = self.overshoot_loss(beliefs, window).mean() * c.overshoot_scale
    parts["total"] = torch.stack(list(parts.values())).sum()
    rewarded = window.first < 0.5
    mean = self.reward.stats(raw)[0]
    reports = {
        "stat_reward_error": ((mean - window.reward)[rewarded] ** 2).mean() / 2 if rewarded.any() else torch.zeros(()),
        "stat_kl": far.mean(),
        "stat_prior_entropy": self.rssm.latent.entropy(guess).mean(),
        "stat_posterior_entropy": self.rssm.latent.entropy(beliefs.posterior).mean(),
    }
    return {**parts, **{name: value.detach() for name, value in reports.items()}}, beliefs


def gradients_by_hand(self):
    """autograd.grad in place of backward, one factor for all, and the burn-in by `observe`."""
    settings, chosen = self.config.replay, self.optimizers["model"]
    window = self.replay.sample(batch=settings.batch, length=settings.length + settings.burn_in)
    if settings.burn_in > 0:
        with torch.no_grad():
            h = self.model.observe(window.rows(0, settings.burn_in + 1)).h[:, -1]
        window = window.rows(settings.burn_in, None)._replace(h=h)
    losses, beliefs = self.model.loss(window)
    weights = [p for group in chosen.param_groups for p in group["params"]]
    slopes = torch.autograd.grad(losses["total"], weights, allow_unused=True)
    length = sum(s.pow(2).sum() for s in slopes if s is not None).sqrt()
    factor = min(1.0, self.config.model.clip_norm / (float(length) + 1e-6))
    for weight, slope in zip(weights, slopes):
        weight.grad = None if slope is None else slope * factor
    chosen.step()
    self.grad_steps = self.grad_steps + 1
    if settings.write_back:
        self.replay.write_back(window.index, beliefs.h.detach(), beliefs.z.detach(), self.grad_steps)
    report = {"model/grad_norm": length}
    for name in losses:
        report["model/" + name] = losses[name].detach()
    return report


RIGHT = {"5.A": [row_by_row], "5.B": [gradients_by_hand]}
