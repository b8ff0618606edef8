"""Pictures for the notebooks: functions that take arrays and return a figure."""
