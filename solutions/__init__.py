"""Reference implementations, one plain module a topic."""
