"""The grader of Happy-LLM: it runs a learner's code, compares it with the reference, names the mistake."""
