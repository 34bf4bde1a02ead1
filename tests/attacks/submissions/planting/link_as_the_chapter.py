# outcome: error, blocked
# link: ch5 -> {{repo}}/solutions/ch5
"""The whole chapter is a link to the folder of the solutions."""

"""Never read: what is graded is what the link leads to."""
