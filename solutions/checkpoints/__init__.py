"""The recipes behind the shipped checkpoints: every module here with a table RECIPES is found by itself."""
