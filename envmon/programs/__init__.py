"""Programs of the operator's, and how they are run."""
