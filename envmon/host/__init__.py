"""The host this process runs on: its threads, the programs it starts, how many files it may hold open."""
