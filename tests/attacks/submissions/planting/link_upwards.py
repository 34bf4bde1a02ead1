# outcome: error, blocked
# link: ch5/helper.py -> ../../class/alice/ch5/repeat_kv.py
"""Its helper is a relative link that climbs out of the submission to another student's."""

from ch5.helper import repeat_kv  # noqa: F401
