"""Right answers to notebook 03, written differently from the core's."""

import torch
from torch.nn import functional as F


def dream_step_by_parts(rssm, h, z, action, noise):
    """A name for each part."""
    following = rssm.step(h, z, action)
    parameters = rssm.prior(following)
    return following, rssm.latent.sample(parameters, noise)


def dream_step_by_hand(rssm, h, z, action, noise):
    """The step written out instead of called: right for v1's recurrence alone."""
    following = rssm.cell(rssm.input(torch.cat((z, action), dim=1)), h)
    parameters = rssm.prior(following)
    return following, rssm.latent.sample(parameters, noise)


def sample_by_addcmul(mean, std, noise):
    return torch.addcmul(mean, std, noise)


def sample_by_stretching(mean, std, noise):
    z = noise * std
    z = z + mean
    return z


def kl_by_torch(mean_q, std_q, mean_p, std_p):
    normal = torch.distributions.Normal
    return torch.distributions.kl_divergence(normal(mean_q, std_q), normal(mean_p, std_p)).sum(dim=-1)


def kl_by_variances(mean_q, std_q, mean_p, std_p):
    each = torch.log(std_p / std_q) + (std_q**2 + (mean_q - mean_p) ** 2) / (2 * std_p**2) - 0.5
    return torch.sum(each, -1)


def balanced_by_maximum(kl_dyn, kl_rep, balance, free_nats):
    free = torch.full_like(kl_dyn, free_nats)
    return balance * torch.maximum(kl_dyn, free) + (1 - balance) * torch.maximum(kl_rep, free)


def balanced_by_where(kl_dyn, kl_rep, balance, free_nats):
    parts = [torch.where(kl > free_nats, kl, torch.full_like(kl, free_nats)) for kl in (kl_dyn, kl_rep)]
    return parts[0] * balance + parts[1] - parts[1] * balance


def unimix_by_softmax(logits, unimix):
    return (1 - unimix) * torch.softmax(logits, -1) + unimix / logits.shape[-1]


def unimix_by_lerp(logits, unimix):
    probs = F.softmax(logits, dim=-1)
    return torch.lerp(probs, torch.full_like(probs, 1 / probs.size(-1)), unimix)


def through_by_parentheses(probs, one_hot):
    return one_hot.detach() + (probs - probs.detach())


def through_by_difference(probs, one_hot):
    return probs + (one_hot - probs).detach()


def bound_in_two_parts(q, prior, log_likelihood):
    reconstruction = torch.einsum("...k,...k->...", q, log_likelihood)
    return reconstruction - F.kl_div(prior.log(), q, reduction="none").sum(dim=-1)


def bound_by_entropy(q, prior, log_likelihood):
    entropy = torch.special.entr(q).sum(-1)
    return (q * torch.log(prior * log_likelihood.exp())).sum(-1) + entropy


RIGHT = {
    "3.1": [dream_step_by_parts, dream_step_by_hand],
    "3.2": [sample_by_addcmul, sample_by_stretching],
    "3.3": [kl_by_variances, kl_by_torch],
    "3.4": [balanced_by_maximum, balanced_by_where],
    "3.5": [unimix_by_softmax, unimix_by_lerp],
    "3.6": [through_by_parentheses, through_by_difference],
    "3.7": [bound_in_two_parts, bound_by_entropy],
}
