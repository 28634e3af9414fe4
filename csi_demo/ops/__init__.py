"""Running the page: its speed, its load, its replicas, and publishing its weights."""
