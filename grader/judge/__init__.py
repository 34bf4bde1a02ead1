"""The trusted side: it runs the hidden suites and compares what comes back; student code never runs here."""
