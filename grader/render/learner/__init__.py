"""What the learner's loop shows: where you are, hints, solutions, milestones."""
