"""Training, studies and metrics: how the models came to be, and how good they are."""
