"""What a daemon remembers at its start: the world as the journal has it, and by what policy people give orders.

Rules
  - Without a memory that can be read it observes and adopts what the edges show.
  - A configuration that is looser than the policy in force waits for two people. Until they accept it the pagers and
    the groups in force stay, and orders over HTTPS wait where it would let in somebody new: what a second person is
    for must not be for the first one to change, and those who were on call read of it.
"""

import logging
from dataclasses import replace

from envmon.config.compile_people import pagers_of, people_of
from envmon.config.settings import Settings
from envmon.core import snapshot
from envmon.core.guard import objections
from envmon.core.world import World, initial
from envmon.journal.store import Journal
from envmon.model.event import PolicyLoaded, Stamp

log = logging.getLogger(__name__)


def remembered(journal: Journal, at: Stamp) -> World:
    """The world as the journal remembers it, on the clock of ``at``."""
    text = journal.latest_snapshot()
    if text is None:
        log.warning("the journal holds no memory: starting in observe, the position is read from the edges")
        return initial()
    try:
        return snapshot.load(text, at)
    except ValueError as error:
        log.error("starting in observe, the position is read from the edges: %s", error)  # noqa: TRY400 - no bug
        return initial()


def guarded(settings: Settings, world: World, at: Stamp) -> Settings:
    """The settings to start with, where the policy in force goes on: it says who is paged and who gives orders."""
    old, new = world.policy, settings.policy
    if old is None or not objections(world, PolicyLoaded(at, new, settings.digest, "")):
        return settings
    kept = replace(settings, people=people_of(old.groups) if old.groups else settings.people)
    if not set(new.certified) <= set(old.certified):
        kept = replace(kept, orders=None)
    try:
        return replace(kept, pagers=pagers_of(old.pagers) or settings.pagers)
    except ValueError as error:
        log.error("the pagers of the configuration are used, though nobody has accepted it: %s", error)  # noqa: TRY400 - no bug
        return kept
