"""Right answers to notebook 00's exercises, written differently from the references."""

import numpy as np


def angle_from_the_sine_and_the_side(observation):
    cos, sin = observation[..., 0], observation[..., 1]
    away = np.arccos(np.clip(cos / np.hypot(cos, sin), -1, 1))
    return np.where(sin < 0, -away, away)


def angle_of_a_complex_number(observation):
    return np.angle(observation[..., 0] + 1j * observation[..., 1])


def apart_by_the_shorter_way(one, other):
    turn = np.abs(one - other) % 360
    return np.minimum(turn, 360 - turn)


def apart_by_the_cosine(one, other):
    return np.degrees(np.arccos(np.clip(np.cos(np.radians(one - other)), -1, 1)))


def seconds_step_by_step(off, limit):
    for step, degrees in enumerate(off):
        if degrees > limit:
            return step / 20
    return len(off) / 20


def seconds_by_a_running_product(off, limit):
    return float(np.cumprod(off <= limit).sum()) / 20


RIGHT = {
    "0.1": [angle_from_the_sine_and_the_side, angle_of_a_complex_number],
    "0.2": [apart_by_the_shorter_way, apart_by_the_cosine],
    "0.3": [seconds_step_by_step, seconds_by_a_running_product],
}
