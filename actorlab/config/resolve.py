"""Resolving: from `package.module:Name` in a file to the class or function it means.

Edge: **importing a module runs its code**, so a configuration file is as powerful as a program. `allowed_modules`
narrows what a file may name; it is given by whoever loads the file, never by the file. A refusal is a SpecError that
says what is wrong and which name is near.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pykka

from ..errors import SpecError
from .suggest import did_you_mean


def resolve_actor(target: str, allowed_modules: Iterable[str] | None = None) -> type[pykka.Actor]:
    """Import the actor class that `target` names."""
    found = resolve(target, allowed_modules)
    if isinstance(found, type) and issubclass(found, pykka.Actor):
        return found
    what = f"the class {found.__qualname__}" if isinstance(found, type) else f"a {type(found).__name__}"
    raise SpecError(target, f"{what} is no actor: let it be a class derived from actorlab.Actor")


def resolve_function(target: str, allowed_modules: Iterable[str] | None = None) -> Callable[..., Any]:
    """Import the function that `target` names; one that takes other than three arguments is refused."""
    found: object = resolve(target, allowed_modules)
    if not callable(found):
        raise SpecError(target, f"a {type(found).__name__} cannot be called; name a function (node, options, report)")
    try:
        inspect.signature(found).bind(None, {}, None)
    except TypeError:
        raise SpecError(target, "must take three arguments: (node, options, report)") from None
    except ValueError:  # a builtin without a signature: calling it will tell
        pass
    return found


def resolve(target: str, allowed_modules: Iterable[str] | None = None) -> Any:
    """Import what `target` names; SpecError if it is not allowed, not there, or its import raised."""
    module_name, _, qualified = target.partition(":")
    if allowed_modules is not None:
        allowed = tuple(allowed_modules)
        if not any(module_name == prefix or module_name.startswith(f"{prefix}.") for prefix in allowed):
            raise SpecError(target, f"module {module_name!r} is not allowed; allowed: {', '.join(allowed) or 'none'}")
    found: Any = _import(module_name, target)
    for name in qualified.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            near = did_you_mean(name, _names_of(found))
            holder = f"module {module_name!r}" if isinstance(found, ModuleType) else f"{found.__qualname__}"
            raise SpecError(target, f"{holder} has no {name!r}{near}") from None
    return found


def _import(module_name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module_name == missing.name or module_name.startswith(f"{missing.name}.")):
            raise SpecError(target, _no_such_module(missing.name)) from None
        raise SpecError(target, f"importing {module_name!r} failed: {missing} ({_where(missing)})") from None
    except (Exception, SystemExit) as error:
        # SystemExit too: a script without a __main__ guard would otherwise end the command in silence
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise SpecError(target, f"importing {module_name!r} raised {reason} ({_where(error)})") from None


def _no_such_module(name: str) -> str:
    parent, _, leaf = name.rpartition(".")
    if not parent:
        return f"there is no module {name!r}: it must be installed, or lie in the directory the command is started in"
    package = importlib.import_module(parent)
    if not hasattr(package, "__path__"):
        return f"{parent!r} is a module, not a package, so there is no {name!r}"
    siblings = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return f"package {parent!r} has no module {leaf!r}{did_you_mean(leaf, siblings)}"


def _names_of(holder: object) -> list[str]:
    return [name for name in vars(holder) if not name.startswith("_")] if hasattr(holder, "__dict__") else []


def _where(error: BaseException) -> str:
    """Return file and line of the innermost frame of user code; the import machinery is left out."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    last = [frame for frame in frames if frame.filename not in (importlib.__file__, __file__)] or frames
    return f"{last[-1].filename}:{last[-1].lineno}"
