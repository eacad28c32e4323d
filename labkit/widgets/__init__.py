"""Controls that compute in the page."""
