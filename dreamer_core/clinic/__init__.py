"""The clinic: agents with one fault each, the instruments that find it, and `examine` for one's own agent.

someone = patient(7)        # look, write a hypothesis, look again, diagnose, cure
print(examine(agent))       # what is healthy in an agent of yours, and what is not
"""

from dreamer_core.clinic.examine import Report, examine
from dreamer_core.clinic.faults import FAULTS
from dreamer_core.clinic.instruments import INSTRUMENTS
from dreamer_core.clinic.patient import Patient, causes, patient, tools

__all__ = ["FAULTS", "INSTRUMENTS", "Patient", "Report", "causes", "examine", "patient", "tools"]
