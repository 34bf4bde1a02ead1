"""For the author of an exercise: the views that are built from the reference, and their checks."""
