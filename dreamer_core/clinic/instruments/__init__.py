"""Instruments: each answers some questions about a subject, and says which it cannot answer.

The exact ones ask an untrained agent, on scripted data, for numbers that are known on paper. Others look at a trained
agent, or at a training run: what they find is noisy, and their ranges are measured.
"""

from dreamer_core.clinic.instruments import (
    acting,
    actor,
    critic,
    divergence,
    dreams,
    losses,
    reach,
    recurrence,
    replay,
    rows,
    runs,
    steps,
    trained,
    twin,
)
from dreamer_core.clinic.instruments.reading import Instrument, Reading

EXACT: dict[str, Instrument] = {
    each.name: each
    for each in (
        rows.ROWS,
        replay.SERVED,
        replay.REFRESHED,
        recurrence.RECURRENCE,
        reach.REACH,
        losses.LOSSES,
        divergence.DIVERGENCE,
        dreams.NOISE,
        dreams.STARTS,
        critic.TARGET,
        critic.RETURNS,
        actor.DENSITY,
        actor.OBJECTIVE,
        acting.SEEN,
        acting.REPEATED,
        steps.STEPS,
    )
}
TRAINED: dict[str, Instrument] = {each.name: each for each in (trained.CALIBRATION, trained.FORESIGHT, trained.FROZEN)}
RUNS: dict[str, Instrument] = {each.name: each for each in (runs.DASHBOARD, twin.TWIN, runs.LADDER)}
INSTRUMENTS: dict[str, Instrument] = EXACT | TRAINED | RUNS

__all__ = ["EXACT", "INSTRUMENTS", "RUNS", "TRAINED", "Instrument", "Reading"]
