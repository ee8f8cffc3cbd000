"""Actions: what the person did, from the events of a session. One pure function, `reduce_actions`."""

from taskreel.transforms.actions.old import (
    ACTION_SCHEMA,
    MODIFIERS,
    REDUCER_VERSION,
    ActionOptions,
    Drop,
    Reduction,
    reduce_actions,
)

__all__ = ["ACTION_SCHEMA", "MODIFIERS", "REDUCER_VERSION", "ActionOptions", "Drop", "Reduction", "reduce_actions"]
