"""The names of the isolations, from strong to weak; `jail` says what each of them is."""

from typing import Literal

Isolation = Literal["namespaces+landlock", "landlock+uid", "landlock", "process"]
STRENGTHS: tuple[Isolation, ...] = ("namespaces+landlock", "landlock+uid", "landlock", "process")
