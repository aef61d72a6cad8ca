"""What each kind of device answers and what it means: YAML data, and the pure decoder that decides quality."""
