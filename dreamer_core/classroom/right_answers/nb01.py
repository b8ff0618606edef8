"""Right answers to notebook 01's exercises, written differently from the references."""

import numpy as np
import torch


def rows_one_by_one(observation, action, reward, terminated):
    steps = len(action)
    rewards, firsts, terminals, actions = torch.zeros(steps + 1), torch.zeros(steps + 1), torch.zeros(steps + 1), []
    for t in range(steps + 1):
        if t > 0:
            rewards[t] = reward[t - 1]
        firsts[t] = t == 0
        terminals[t] = t == steps and terminated
        actions.append(action[t] if t < steps else torch.zeros(action.shape[1]))
    return rewards, firsts, terminals, torch.stack(actions)


def rows_by_padding(observation, action, reward, terminated):
    number = torch.arange(len(observation))
    pad = torch.nn.functional.pad
    return pad(reward, (1, 0)), (number == 0).float(), (number == len(reward)).float() * terminated, pad(action, (0, 0, 0, 1))


def returns_by_a_table_of_weights(reward, gamma):
    delay = torch.arange(len(reward))[None] - torch.arange(len(reward))[:, None]
    weight = torch.where(delay >= 0, gamma ** delay.clamp(min=0).float(), torch.zeros(()))
    return weight @ reward


def returns_by_definition(reward, gamma):
    total = torch.zeros(len(reward))
    for t in range(len(reward)):
        for k in range(len(reward) - t):
            total[t] += gamma**k * reward[t + k]
    return total


def ending_case_by_case(terminated, truncated):
    if terminated:
        return True, True
    return bool(truncated), False


def rescale_from_the_bottom(action, low, high):
    return low + (action + 1) / 2 * (high - low)


def rescale_as_a_mixture(action, low, high):
    return (1 - action) / 2 * low + (1 + action) / 2 * high


def velocity_by_cross_and_dot(before, after, dt):
    cross = before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]
    return torch.atan2(cross, (before * after).sum(-1)) / dt


def velocity_with_a_loop_for_the_turns(before, after, dt):
    turn = torch.atan2(after[..., 1], after[..., 0]) - torch.atan2(before[..., 1], before[..., 0])
    turn = torch.where(turn > np.pi, turn - 2 * np.pi, turn)
    return torch.where(turn < -np.pi, turn + 2 * np.pi, turn) / dt


RIGHT = {
    "1.1": [rows_one_by_one, rows_by_padding],
    "1.2": [returns_by_a_table_of_weights, returns_by_definition],
    "1.3": [ending_case_by_case],
    "1.4": [rescale_from_the_bottom, rescale_as_a_mixture],
    "1.5": [velocity_by_cross_and_dot, velocity_with_a_loop_for_the_turns],
}
