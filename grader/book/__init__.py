"""The book: its pages, the exercise cards on them, its two sites and how they are served."""
