"""What notebooks are handed and nobody is asked to write."""
