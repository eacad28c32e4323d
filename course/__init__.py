"""An nbgrader course and what runs it."""
