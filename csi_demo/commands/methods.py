"""`methods`: every way of filling a hole, and what `--set` takes for it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ..methods import Control, Method, available_methods, load_method

FIELDS = ("name", "label", "help", "minimum", "maximum", "step", "default", "kind")


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    methods = commands.add_parser("methods", help="every method with its controls and options: what --set takes")
    methods.add_argument("--method", nargs="+", help=f"some of {', '.join(available_methods())}; default: all")
    methods.add_argument("--verbose", action="store_true", help="latents without a name, too, and what was measured")
    methods.add_argument("--json", action="store_true", help="as JSON, on standard output")
    methods.set_defaults(run=_methods)


def _methods(options: argparse.Namespace) -> None:
    found = [load_method(name) for name in options.method or available_methods()]
    if options.json:
        print(json.dumps({"methods": [described(method) for method in found]}, indent=1))
        return
    for method in found:
        print(f"{method.name} ({method.label}): {method.description}")
        for title, some in (("controls", method.controls), ("options", method.options)):
            if some:
                print(f"  {title}")
                print("\n".join(_lines(some, options.verbose)))


def described(method: Method) -> dict[str, Any]:
    """A method as JSON has it; a control's default is null where the picture decides."""
    what: dict[str, Any] = {"name": method.name, "label": method.label, "description": method.description}
    for title, some in (("controls", method.controls), ("options", method.options)):
        what[title] = [{field: getattr(control, field) for field in FIELDS} for control in some]
    return what


def _lines(controls: Sequence[Control], verbose: bool) -> list[str]:
    """A line for each, words first; figures, and latents without a name, where they are asked for."""
    shown = [control for control in controls if verbose or control.kind != "latent"]
    width = max((len(control.name) for control in shown), default=0)
    lines = []
    for control in shown:
        start = "as the picture has it" if control.default is None else f"{control.default:g}"
        spread = f"{control.minimum:g} … {control.maximum:g}"
        said = [control.label] if control.label.replace(" ", "_") != control.name else []
        said += [control.help] if verbose or not control.kind else []
        lines.append(f"    {control.name:{width}}  {spread:12}  {start:21}  {': '.join(said)}".rstrip())
    if hidden := len(controls) - len(shown):
        lines.append(f"    and {hidden} latents without a name, which --verbose lists")
    return lines
