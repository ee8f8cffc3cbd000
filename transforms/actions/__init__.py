"""Actions: what the person did, from the events of a session. One pure function, `reduce_actions`.

`docs/actions.md` is the specification.
"""

from taskreel.transforms.actions.reducer import reduce_actions
from taskreel.transforms.actions.rules import (
    ACTION_SCHEMA,
    MODIFIERS,
    REDUCER_VERSION,
    ActionFlag,
    ActionOptions,
    Drop,
    Reduction,
)

__all__ = [
    "ACTION_SCHEMA",
    "MODIFIERS",
    "REDUCER_VERSION",
    "ActionFlag",
    "ActionOptions",
    "Drop",
    "Reduction",
    "reduce_actions",
]
