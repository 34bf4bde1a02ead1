"""The untrusted side: the fork server, the jail, the worker and the wire to it.

Nothing here imports the judge, a suite or the reference, so a forked worker holds none of them.
"""
