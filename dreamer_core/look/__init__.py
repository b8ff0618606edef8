"""A page of a run: everything there is to see of it, in one file that opens without a network."""
