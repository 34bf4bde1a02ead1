"""The trusted side: it runs the hidden suites and compares; no learner's code runs here."""
