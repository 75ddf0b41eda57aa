"""What differs between two configs of a machine, in the words of Ignition. Pure.

`compare` takes two sides (document, boot part, metadata) and gives a `Diff`: entries added,
removed and changed, in a stable order, as JSON or as text, with a key that is equal for machines
with the identical change.
"""

from matchbox_sync.diff.compare import Attribute, Binary, Change, Diff, Side, compare
from matchbox_sync.diff.grouping import Keyed, group_changes, key_of, own_values
from matchbox_sync.diff.render import as_json, as_text

__all__ = [
    "Attribute",
    "Binary",
    "Change",
    "Diff",
    "Keyed",
    "Side",
    "as_json",
    "as_text",
    "compare",
    "group_changes",
    "key_of",
    "own_values",
]
