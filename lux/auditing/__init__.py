"""The audit: from a model and a survey to the evidence, and from the evidence to a verdict."""
