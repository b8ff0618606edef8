"""Right answers to the exercises of notebook 11, written differently from the course's own."""

import torch


def fresh_chunks(served, oldest, count, length, most):
    found = []
    while served < oldest:
        served += length
    while served + length <= count and len(found) < most:
        found.append(served)
        served += length
    return torch.tensor(found, dtype=torch.long), served


def fresh_chunks_by_range(served, oldest, count, length, most):
    lost = max(0, oldest - served + length - 1) // length
    first = served + lost * length
    starts = range(first, max(first, count - length + 1), length)[:most]
    return torch.tensor(list(starts), dtype=torch.int64), first + len(starts) * length


def block_product(x, weight):
    return torch.cat([part @ matrix for part, matrix in zip(x.chunk(len(weight), -1), weight)], -1)


def block_product_full(x, weight):
    """With the whole matrix, zeros and all."""
    return x @ torch.block_diag(*weight)


def block_product_einsum(x, weight):
    return torch.einsum("...gi,gio->...go", x.unflatten(-1, (len(weight), -1)), weight).flatten(-2)


def laprop_step(grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20):
    square = torch.lerp(square, grad * grad, 1 - beta2)
    usual = torch.sqrt(square / (1 - beta2**step)).add(eps)
    mean = torch.lerp(mean, grad / usual, 1 - momentum)
    return mean.div(1 - momentum**step), square, mean


def agc_factor(grad_norm, weight_norm, clip=0.3, floor=1e-3):
    allowed = clip * torch.maximum(weight_norm, torch.full_like(weight_norm, floor))
    return torch.where(grad_norm > allowed, allowed / grad_norm, torch.ones_like(grad_norm))


def agc_factor_by_reciprocal(grad_norm, weight_norm, clip=0.3, floor=1e-3):
    """As the official code has it: one over the excess."""
    allowed = clip * weight_norm.clamp(min=floor)
    return 1 / torch.clamp(grad_norm / allowed, min=1)


def symlog(x):
    return torch.where(x < 0, -torch.log1p(x.abs()), torch.log1p(x.abs()))


def symlog_copied(x):
    return torch.copysign(torch.log(1 + x.abs()), x)


def twohot(target, bins):
    low = ((bins <= target.unsqueeze(-1)).sum(-1) - 1).clamp(0, len(bins) - 2)
    share = ((target - bins[low]) / (bins[low + 1] - bins[low])).clamp(0, 1).unsqueeze(-1)
    places = torch.arange(len(bins))
    return (places == low.unsqueeze(-1)) * (1 - share) + (places == low.unsqueeze(-1) + 1) * share


def twohot_tents(target, bins):
    """Each bin's weight is a tent: 1 at the bin, falling to 0 at its neighbours."""
    x = target.clamp(bins[0], bins[-1]).unsqueeze(-1)
    gaps = bins[1:] - bins[:-1]
    one = torch.ones(*x.shape[:-1], 1)
    rising = torch.cat([one, (x - bins[:-1]) / gaps], -1)
    falling = torch.cat([(bins[1:] - x) / gaps, one], -1)
    return torch.minimum(rising, falling).clamp(0, 1)


def twohot_mean(logits, bins):
    parts = logits.softmax(-1) * bins
    both = parts + parts.flip(-1)
    return both[..., : len(bins) // 2].sum(-1) + parts[..., len(bins) // 2]


def twohot_mean_in_doubles(logits, bins):
    """With twice the digits the order does not matter."""
    return (torch.softmax(logits.double(), -1) * bins.double()).sum(-1).float()


RIGHT = {
    "11.1": [fresh_chunks, fresh_chunks_by_range],
    "11.2": [block_product, block_product_full, block_product_einsum],
    "11.3": [laprop_step],
    "11.4": [agc_factor, agc_factor_by_reciprocal],
    "11.5": [symlog, symlog_copied],
    "11.6": [twohot, twohot_tents],
    "11.7": [twohot_mean, twohot_mean_in_doubles],
}
