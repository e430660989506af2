"""Stack files as values: services with their fields in one form, whatever form the file uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from fixtures.errors import CutoverError
from fixtures.sizes import parse_memory
from verify.audit.fields import Mount, Port, Use, assigned, mount_of, ports_of, use_of
from verify.audit.interpolation import Filled
from verify.audit.located import Located, read
from verify.audit.words import Image, Words, image, words

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_EXAMPLE: Final = "Write it as Docker takes it: docker stack config -c FILE says what is wrong."


@dataclass(eq=False)
class Service:
    """One service of a stack file."""

    name: str
    stack: Stack
    body: Located

    @property
    def subject(self) -> str:
        """What exceptions call it: `stack/service`."""
        return f"{self.stack.name}/{self.name}"

    def get(self, path: str) -> Located | None:
        """Return what is at a dotted path of the service."""
        return self.body.get(path)

    def text(self, path: str, default: str = "") -> str:
        """Return a scalar's text."""
        found = self.get(path)
        return found.text if found is not None else default

    def near(self, path: str) -> Located:
        """Return what is at a path, or the nearest thing above it that is there."""
        while path:
            found = self.get(path)
            if found is not None:
                return found
            path = path.rpartition(".")[0]
        return self.body

    def _number(self, path: str, default: int) -> int:
        found = self.get(path)
        if found is None:
            return default
        try:
            return int(found.text)
        except ValueError:
            raise self.stack.wrong(found, f"services.{self.name}.{path}", "is no number") from None

    @cached_property
    def is_global(self) -> bool:
        """One task on every node that fits."""
        return self.text("deploy.mode").startswith("global")

    @cached_property
    def is_job(self) -> bool:
        """Ends by itself, and is done then."""
        return self.text("deploy.mode").endswith("-job")

    @cached_property
    def replicas(self) -> int:
        """How many tasks are asked for (1 where nothing is said; of a global service too)."""
        return 1 if self.is_global else self._number("deploy.replicas", 1)

    @cached_property
    def parallelism(self) -> int:
        """How many tasks are updated at once; 0 is all."""
        return self._number("deploy.update_config.parallelism", 1)

    @cached_property
    def constraints(self) -> list[Located]:
        """Placement constraints."""
        found = self.get("deploy.placement.constraints")
        return found.list() if found is not None else []

    def memory(self, kind: str) -> int | None:
        """Return `limits` or `reservations` of memory in bytes, None where none is set."""
        path = f"deploy.resources.{kind}.memory"
        found = self.get(path)
        if found is None:
            return None
        try:
            return parse_memory(found.text)
        except ValueError as error:
            raise self.stack.wrong(found, f"services.{self.name}.{path}", str(error)) from error

    @cached_property
    def image(self) -> Image:
        """The image reference."""
        return image(self.text("image"))

    @cached_property
    def environment(self) -> dict[str, Located]:
        """Environment variables; one that is passed on without a value is null.

        Those of an `env_file` stand at the line that names the file.
        """
        found = self.get("environment")
        entries = found.list() if found is not None else []
        own = found.map() if found is not None else {}
        return {**self._of_files(), **own, **dict(assigned(entry) for entry in entries)}

    @cached_property
    def env_files(self) -> list[tuple[Path, Located]]:
        """Files of variables, which Docker reads from beside the stack file."""
        found = self.get("env_file")
        entries = (found.list() or [found]) if found is not None else []
        folder = Path(self.stack.path).parent
        return [(folder / entry.text, entry) for entry in entries if entry.text]

    def _of_files(self) -> dict[str, Located]:
        variables: dict[str, Located] = {}
        for path, entry in self.env_files:
            if not path.is_file():
                continue
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    text = line.strip()
                    name, read = assigned(replace(entry, filled=Filled(text, text)))
                    variables[name] = read
        return variables

    def passed_on(self, name: str) -> bool:
        """Whether a variable has no value here, and so has that of whoever deploys."""
        return self.environment[name].value is None

    @cached_property
    def commands(self) -> list[tuple[str, Words]]:
        """What is run in the container, by its field: entrypoint, command, health check."""
        fields = ("entrypoint", "command", "healthcheck.test")
        found = ((name, self.get(name)) for name in fields)
        return [(name, words(each)) for name, each in found if each is not None]

    @cached_property
    def ports(self) -> list[Port]:
        """Published ports, ranges one by one."""
        found = self.get("ports")
        ports: list[Port] = []
        for entry in found.list() if found is not None else []:
            try:
                ports += ports_of(entry)
            except ValueError as error:
                raise self.stack.wrong(entry, f"services.{self.name}.ports", str(error)) from error
        return ports

    @cached_property
    def mounts(self) -> list[Mount]:
        """Volumes, bind mounts and tmpfs."""
        found = self.get("volumes")
        mounts = [mount_of(entry) for entry in (found.list() if found is not None else [])]
        tmpfs = self.get("tmpfs")
        folders = (tmpfs.list() or [tmpfs]) if tmpfs is not None else []
        return mounts + [Mount("tmpfs", "", e.text.split(":")[0], False, e) for e in folders]

    def uses(self, kind: str) -> list[Use]:
        """Return the networks, secrets or configs that the service names."""
        found = self.get(kind)
        if found is None:
            return []
        if isinstance(found.value, dict):
            return [Use(name, "", entry) for name, entry in found.map().items()]
        return [use_of(entry, kind) for entry in found.list()]


@dataclass(eq=False)
class Stack:
    """One stack file. `path` is as it was given, and its stem is the stack's name."""

    name: str
    path: str
    root: Located
    lines: list[str] = field(repr=False)

    @cached_property
    def services(self) -> list[Service]:
        """The services, in file order."""
        found = self.root.get("services")
        return [Service(name, self, body) for name, body in (found.map() if found else {}).items()]

    def declared(self, kind: str) -> dict[str, Located]:
        """Return the networks, volumes, secrets or configs that the file declares."""
        found = self.root.get(kind)
        return found.map() if found is not None else {}

    def wrong(self, at: Located, field_name: str, what: str) -> CutoverError:
        """Return the error for something that cannot be read."""
        return CutoverError(what, where=f"{self.path}:{at.line}: {field_name}", remedy=_EXAMPLE)

    def line_of(self, at: Located, needle: str) -> int:
        """Return the line of `at` that has the text `needle`, or its own."""
        for number in range(at.first, min(at.last, len(self.lines)) + 1):
            if needle in self.lines[number - 1]:
                return number
        return at.line


def load(path: Path, variables: Mapping[str, str]) -> Stack:
    """Read a stack file. Raises `CutoverError` naming file, line, field and remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CutoverError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise CutoverError("is not UTF-8 text", where=str(path), remedy="Check it.") from error
    return parse(text, variables, name=path.stem, source=str(path))


def parse(text: str, variables: Mapping[str, str], *, name: str, source: str) -> Stack:
    """Read a stack file's text; `source` names it in errors and findings."""
    stack = Stack(name, source, read(text, variables, source=source), text.splitlines())
    if not _NAME.fullmatch(name):
        raise CutoverError(
            f"{name!r} cannot name a stack",
            where=source,
            remedy="Rename the file: a-z, 0-9, - and _.",
        )
    services = stack.root.get("services")
    if services is None or not services.map():
        raise CutoverError(
            "no services", where=f"{source}: services", remedy="A stack file needs a services map."
        )
    for kind in ("networks", "volumes", "secrets", "configs"):
        found = stack.root.get(kind)
        if found is not None and not isinstance(found.value, dict):
            raise stack.wrong(found, kind, "is not a mapping of names")
    for service in stack.services:
        where = f"services.{service.name}"
        if not isinstance(service.body.value, dict):
            raise stack.wrong(service.body, where, "is not a mapping")
        if not service.text("image"):
            raise stack.wrong(service.body, f"{where}.image", "no image")
        for key in ("deploy", "healthcheck"):
            found = service.get(key)
            if found is not None and not isinstance(found.value, dict):
                raise stack.wrong(found, f"{where}.{key}", "is not a mapping")
        for key in ("ports", "volumes"):
            found = service.get(key)
            if found is not None and not isinstance(found.value, list):
                raise stack.wrong(found, f"{where}.{key}", "is not a list")
        # What cannot be read is said before anything is judged.
        _ = service.replicas, service.parallelism, service.ports, service.mounts
        _ = service.memory("limits"), service.memory("reservations")
    return stack
