"""The instructor's wing: a class's submissions, graded in parallel, recorded, and shown."""
