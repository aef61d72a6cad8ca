"""The right to act: one holder at a time, and the number that fences an old one."""
