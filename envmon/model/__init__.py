"""The vocabulary every other floor speaks: readings, events, effects, verdicts. Values only, no behaviour."""
