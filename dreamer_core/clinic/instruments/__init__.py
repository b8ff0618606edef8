"""Instruments: each answers some questions about a subject, and says which it cannot answer.

The exact ones come first: they ask an untrained agent, on scripted data, for numbers that are known on paper.
"""

from dreamer_core.clinic.instruments import acting, actor, critic, divergence, dreams, losses, reach, recurrence, replay, rows, steps
from dreamer_core.clinic.instruments.reading import Instrument, Reading

EXACT: dict[str, Instrument] = {
    instrument.name: instrument
    for instrument in (
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
INSTRUMENTS: dict[str, Instrument] = EXACT

__all__ = ["EXACT", "INSTRUMENTS", "Instrument", "Reading"]
