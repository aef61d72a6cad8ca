"""The decisions: pure functions from (world, policy, event) to (world, effects, decisions). ``advance`` is the door."""
