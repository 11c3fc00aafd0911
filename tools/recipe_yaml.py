"""YAML text <-> plain values that know their line.

PyYAML's safe loader reads the text; on top of it duplicate keys, aliases, tags, several documents and deep
nesting are refused, dates stay text, and `1e-3` is a number (YAML 1.1 alone would make it text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..runtime.errors import InputError

Place = tuple[str | int, ...]
"""Keys and indices from the top of the document to a value."""

LARGEST_TEXT = 1 << 20
DEEPEST = 24

_NUMBER = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")


@dataclass(frozen=True)
class Document:
    """Values of a YAML document and the line (from 1) or origin of each of its keys and items."""

    name: str
    values: Any
    lines: Mapping[Place, int | str] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """ "file:line" of the deepest part of `place` that is in the document."""
        for length in range(len(place), -1, -1):
            line = self.lines.get(place[:length])
            if isinstance(line, str):
                return line
            if line is not None:
                return f"{self.name}:{line}"
        return self.name


class _Loader(yaml.SafeLoader):
    """The safe loader without dates and with numbers such as 1e-3."""


class _Dumper(yaml.SafeDumper):
    """The safe dumper with the same idea of what looks like a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write anchors: what is written twice stands there twice."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key."""
        super().increase_indent(flow, False)


for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {
        first: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:timestamp"]
        for first, rules in _class.yaml_implicit_resolvers.items()
    }
    _class.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def read_document(
    data: bytes, name: str, example: str = "edgepress recipes shows examples"
) -> Document:
    """Read one YAML document; `name` stands in messages, `example` in that of an empty file.

    Raises:
        InputError: not UTF-8, too large, empty, not YAML, or YAML beyond plain mappings, lists and scalars.
    """
    if len(data) > LARGEST_TEXT:
        raise InputError(f"{len(data)} bytes are no recipe", where=name, hint="give a YAML file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"not UTF-8 text (byte 0x{data[error.start]:02x})",
            where=f"{name}:{line}",
            hint="save the file as UTF-8",
        ) from error
    lines: dict[Place, int | str] = {}
    try:
        _refuse_beyond_plain(text, name)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise InputError("the file is empty", where=name, hint=example)
            values = _Builder(loader, name, lines).build(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(
            f"not valid YAML: {error.problem or error.context}",
            where=f"{name}:{line}",
            hint="check indentation, colons and quotes around this line",
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML: {' '.join(str(error).split())}", where=name) from error
    return Document(name, values, lines)


def read_scalar(text: str, name: str) -> Any:
    """The value of a short piece of YAML, such as what stands right of `=` in an override."""
    if not text.strip():
        return None
    return read_document(text.encode("utf-8", "surrogateescape"), name).values


def write_document(values: Any) -> str:
    """YAML text of plain values, keys in their order; `read_document` gives equal values."""
    return yaml.dump(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


def _refuse_beyond_plain(text: str, name: str) -> None:
    """Judge the event stream: nothing is built before it is known to be plain and shallow."""
    depth, documents = 0, 0
    for event in yaml.parse(text, Loader=_Loader):
        line = f"{name}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError("anchors and aliases are not read", where=line, hint="write it out")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise InputError(f"tag {tag!r} is not read", where=line, hint="write plain values")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if documents > 1:
            raise InputError("more than one document", where=line, hint="one recipe a file")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise InputError(f"nested deeper than {DEEPEST} levels", where=line)


class _Builder:
    """Turns nodes into values and notes the line of each."""

    def __init__(self, loader: _Loader, name: str, lines: dict[Place, int | str]):
        self.loader, self.name, self.lines = loader, name, lines

    def build(self, node: yaml.Node, place: Place) -> Any:
        """Value of `node`, which stands at `place`."""
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key_node.tag == "tag:yaml.org,2002:merge":
                raise InputError("a key must be a plain word", where=f"{self.name}:{line}")
            if key in values:
                first = self.lines[(*place, key)]
                raise InputError(
                    f"key {key!r} stands here and in line {first}",
                    where=f"{self.name}:{line}",
                    hint="remove one of them",
                )
            self.lines[(*place, key)] = line
            values[key] = self.build(value_node, (*place, key))
        return values

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self.loader.construct_object(node)
        except (
            ValueError
        ) as error:  # "0b", "1:99:" and their like resolve to numbers that do not exist
            raise InputError(
                f"{node.value!r} is no number: {error}",
                where=f"{self.name}:{node.start_mark.line + 1}",
                hint="quote it if it is meant as text",
            ) from error
