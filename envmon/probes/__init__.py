"""What places probe calls through an edge, to prove that the backup answers."""
