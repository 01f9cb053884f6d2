"""A module to preload: who is not rung sleeps for half a minute, so that being late can have no other reason."""

from __future__ import annotations

from wake_drill import SLEEP_S

import actorlab.actor.hub as hub
import actorlab.node.sending as sending

hub.LONGEST_SLEEP_S = sending.LOOK_AGAIN_S = SLEEP_S
