"""What the public tests found, for a CI service: python tests/report.py github|gitlab

`github` prints an annotation for each failure, and appends a summary and outputs to the files that
GitHub names. `gitlab` writes public-tests.codequality.json. What your code says is shown as text.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "public-tests.json"
LANGUAGE = "en"
MOST = 10  # GitHub shows so many annotations of a step


def say(en, zh):
    return zh if LANGUAGE == "zh" else en


def main(service):
    try:
        found = json.loads(RESULTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        print(say("The public tests did not run to their end.", "公开测试没有运行到底。"))
        return 1
    if service == "gitlab":
        gitlab(found)
    else:
        github(found)
    return 0


def github(found):
    failed = [one for one in found if one["outcome"] != "passed"]
    for one in failed[:MOST]:
        print(annotation(one))
    passed = len(found) - len(failed)
    append("GITHUB_STEP_SUMMARY", "\n".join(summary(found, passed)) + "\n")
    append("GITHUB_OUTPUT", f"passed={passed}\ntotal={len(found)}\n")


def annotation(one):
    message = plain(f"{one['claim']} {one['message']}")
    place = f"file={value(one['file'])},line={int(one['line'])},title={value(one['exercise'])}"
    return f"::error {place}::{data(message)}"


def data(text):
    """A text as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def value(text):
    """A text as the value of a property of a workflow command."""
    return data(plain(text)).replace(":", "%3A").replace(",", "%2C")


def plain(text):
    """A text in one line, without characters that a terminal would obey."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:2000]
    )
    return shown.replace("##", "#\\x23")  # an older form of commands begins so


def summary(found, passed):
    yield say(
        f"### Public tests: {passed} of {len(found)} pass",
        f"### 公开测试：{len(found)} 个中通过 {passed} 个",
    )
    yield ""
    yield say("| Exercise | Passed | First failure |", "| 练习 | 通过 | 第一处未通过 |")
    yield "|---|---|---|"
    for name in dict.fromkeys(one["exercise"] for one in found):
        theirs = [one for one in found if one["exercise"] == name]
        failed = [one for one in theirs if one["outcome"] != "passed"]
        first = cell(f"{failed[0]['claim']} {failed[0]['message']}") if failed else ""
        yield f"| {cell(name)} | {len(theirs) - len(failed)}/{len(theirs)} | {first} |"
    yield ""
    yield say(
        "This is advice. The grade comes from the instructor's own run.",
        "仅供参考。成绩以教师自己的评测为准。",
    )


def cell(text):
    """A text as a cell of a table, with nothing in it that Markdown or HTML would read."""
    return re.sub(r"([^\w\s])", lambda found: f"&#{ord(found[0])};", plain(text))


def gitlab(found):
    entries = [
        {
            "description": plain(f"{one['claim']} {one['message']}"),
            "check_name": one["exercise"],
            "fingerprint": hashlib.sha256(ascii(one["test"]).encode()).hexdigest(),
            "severity": "major",
            "location": {"path": plain(one["file"]), "lines": {"begin": max(1, int(one["line"]))}},
        }
        for one in found
        if one["outcome"] != "passed"
    ]
    path = ROOT / "public-tests.codequality.json"
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def append(name, text):
    """Add to a file that the service names; outside it there is none."""
    if os.environ.get(name):
        with open(os.environ[name], "a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "github"))
