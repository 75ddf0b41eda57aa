"""A site's component that makes a role's config about 60 kB, the size that the promises name.

Scripts and units of real components are text that compresses well; so is this.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

FILES = 15
FILE_BYTES = 5_500
PROFILES = ("etcd-member-kubernetes-control-plane", "kubernetes-node")
_WORDS = 400


def write_payload(site: Path) -> None:
    """Write a site's templates (ENJOLIVER_TEMPLATES) into `site`; always the same bytes."""
    dice = random.Random(60)
    words = [_word(dice) for _ in range(_WORDS)]
    component = site / "snippets" / "payload"
    (component / "files").mkdir(parents=True)
    files = []
    for number in range(FILES):
        name = f"files/part-{number}"
        (component / name).write_text(_text(dice, words))
        files.append(
            {
                "path": f"/etc/enjoliver/payload/part-{number}",
                "mode": 0o644,
                "contents": {"local": name},
            }
        )
    # JSON is YAML.
    (component / "snippet.yaml").write_text(json.dumps({"storage": {"files": files}}, indent=1))
    (site / "profiles").mkdir()
    for profile in PROFILES:
        (site / "profiles" / f"{profile}.yaml").write_text(json.dumps({"add": ["payload"]}))


def _word(dice: random.Random) -> str:
    return "".join(dice.choice("abcdefghijklmnopqrstuvwxyz-_=/") for _ in range(dice.randint(3, 9)))


def _text(dice: random.Random, words: list[str]) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < FILE_BYTES:
        lines.append(" ".join(dice.choices(words, k=8)) + "\n")
    return "".join(lines)
