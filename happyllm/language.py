"""The language that the reader of the commands' messages has."""

from __future__ import annotations

import locale
import os
from typing import Literal


def readers_language() -> Literal["en", "zh"]:
    """What HAPPYLLM_LANG says, else the locale: Chinese, or else English."""
    told = os.environ.get("HAPPYLLM_LANG", "")
    if not told:
        of_locale = ("LC_ALL", "LC_MESSAGES", "LANG")
        told = next((os.environ[name] for name in of_locale if os.environ.get(name)), "")
        told = told or (locale.getlocale()[0] or "")
    return "zh" if told.lower().startswith("zh") else "en"
