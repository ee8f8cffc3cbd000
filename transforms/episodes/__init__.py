"""Episodes: where one task ends and the next begins. One pure function, `cut_episodes`.

What the person marked comes first. Without marks, the cuts that make the session cheapest to tell: `docs/episodes.md`.
"""

from taskreel.transforms.episodes.cut import cut_episodes
from taskreel.transforms.episodes.model import SEGMENTER_VERSION, Episode, EpisodeOptions, Task

__all__ = ["SEGMENTER_VERSION", "Episode", "EpisodeOptions", "Task", "cut_episodes"]
