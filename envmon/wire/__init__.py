"""Pure codecs: bytes to values and back, shared by drivers, probes and the simulated devices. No I/O."""
