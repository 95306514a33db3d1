"""The trial of the techniques: worlds of planted truth, one number a technique and world, and scores."""
