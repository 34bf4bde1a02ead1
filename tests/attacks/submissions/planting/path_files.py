# outcome: failed
# beside: evil.pth
# beside: ch5/evil.pth
# beside: happyllm.egg-link
# beside: pyvenv.cfg
"""Plants .pth files, an egg-link and a virtual environment's settings."""

PLANTED = """import pathlib; pathlib.Path(r"{{marker}}/PWNED").write_text("ran")
{{repo}}
"""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
