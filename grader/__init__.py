"""The grader of Happy-LLM: it runs a learner's code, compares, and names the mistake."""
