"""The learner's wing: workspaces, and later progress, watching, hints and milestones."""
