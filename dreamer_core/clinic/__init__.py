"""The clinic: agents with one fault each, and what finds it. `faults` and `subject` first; `patient` is what a learner meets."""
