"""A simulated site: plant physics, device servers, SIP edges and calls; for the demo, rehearsals and tests."""
