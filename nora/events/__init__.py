"""What happened, for others: the feed that people and programs read."""
