"""Around the models: speed, load, the Hub."""
