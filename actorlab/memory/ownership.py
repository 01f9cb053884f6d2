"""Ownership: who else, of this machine's users, could have written a file, or could write into a folder.

Edge (the user database); used before anything is read that makes code run: a configuration, what is kept of an actor.
Root is trusted, and so is a group that has the user as its only member.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat


def foreign_owner(found: os.stat_result) -> int | None:
    """Return the uid of a file's owner if it is neither ours nor root's."""
    return None if found.st_uid in (0, os.geteuid()) else found.st_uid


def other_writers(found: os.stat_result) -> str:
    """Return who may write to a file beside its owner, as a sentence names them; "" if nobody may."""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid):
        return f"the members of group {found.st_gid}"
    return ""


def _is_private_group(gid: int) -> bool:
    """Whether a group has the user as its only member: many systems give each user one and a umask of 002.

    Root is never taken to have one: what root runs is worth a chmod.
    """
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    mine = user.pw_uid != 0 and user.pw_gid == gid and group.gr_name == user.pw_name
    return mine and set(group.gr_mem) <= {user.pw_name}
