"""`discover`: measures and names what CSI's latents do, or the photo editor's. `traverse`: shows it on a photo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import weights
from ..errors import UsageError
from ..photo.reading import read_file
from ..pixels import png
from .common import write_file, write_json
from .complete import add_hole, read_recipe

ROWS = 8  # controls on a sheet, where none are named


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the commands to the parser."""
    discover = commands.add_parser(
        "discover", help="measure what each latent of CSI changes, and name those without a name; or what sliders do"
    )
    discover.add_argument("--method", default="csi", help="csi, or a method with sliders for attributes")
    discover.add_argument("--data", type=Path, required=True, help="a Parquet pack of frames")
    discover.add_argument("--limit", type=int, default=128, help="faces that are filled or edited")
    discover.add_argument("--model", choices=("csi", "ian"), default="csi", help="ian: the photo editor's")
    discover.add_argument(
        "--leave-out",
        nargs="+",
        default=(),
        metavar="SLIDER",
        help="of a method with sliders: not to be offered, for people do not see what networks do",
    )
    discover.add_argument("--json", type=Path, help="default: latents.json of the model's weights")
    discover.set_defaults(run=_discover)

    traverse = commands.add_parser("traverse", help="a sheet of what CSI's controls change in a photo's hole")
    traverse.add_argument("photo", type=Path)
    add_hole(traverse)
    what = traverse.add_mutually_exclusive_group()
    what.add_argument("--controls", nargs="+", metavar="NAME", help=f"default: the {ROWS} strongest in the hole")
    what.add_argument(
        "--grid", nargs=2, metavar="NAME", help="two controls, every value of one with every of the other"
    )
    traverse.add_argument("--seed", type=int, default=0)
    traverse.add_argument("--out", type=Path, required=True, help="a PNG")
    traverse.set_defaults(run=_traverse, method="csi", samples=1, settings=[], hint=[], no_blend=False, no_refine=False)


def _discover(options: argparse.Namespace) -> None:
    if options.method != "csi":
        _discover_sliders(options)
        return
    import torch

    from ..data import read_pack
    from ..methods.csi import CSIMethod
    from ..pixels import to_float
    from ..research.studies.discovery.discover import discover
    from ..sampling import compiled

    if options.limit < 2:
        raise UsageError(f"--limit {options.limit} is out of range: 2 or more, for standard errors")
    frames = to_float(read_pack(options.data))
    if options.model == "ian":
        from ..research.studies.discovery.editor import discover_editor

        _written(options, discover_editor(frames, options.limit))
        return
    compiled.code.prepare().join()  # all faces are filled the same way
    found = discover(CSIMethod(torch.float32), frames, options.limit)
    for entry in found["latents"]:
        print(f"z{entry['index']:<3} {entry['name']:28} {entry['evidence']}")
    every, threshold = len(found["latents"]), found["threshold"]
    print(f"{found['active']} of {every} latents change the mean hole pixel by more than {threshold}")
    _written(options, found)


def _written(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Says what the named controls do, and writes all that was found."""
    for entry in found["named"] if "named" in found else found["attributes"]:
        print(f"{entry.get('name', entry['attribute']):20} {entry['evidence']}")
    found = found | {"command": options.line}
    if options.json:
        write_json(found, options.json)
    else:
        weights.save_latents(options.model if options.method == "csi" else options.method, found)


def _discover_sliders(options: argparse.Namespace) -> None:
    from ..methods import load_method
    from ..methods.attributes import AttributeMethod, AttributeSliders
    from ..research.studies.controls import evaluate_controls, offered

    method = load_method(options.method)
    if not isinstance(method, AttributeMethod):
        raise UsageError(f"--method {options.method} has no sliders for attributes")
    method.sliders = AttributeSliders(options.method, method.sliders.names, everything=True)
    figures = evaluate_controls(options.data, options.method, limit=options.limit)
    _written(options, offered(method, figures, options.data.parent, options.leave_out))


def _traverse(options: argparse.Namespace) -> None:
    from ..traversal import grid_sheet, strongest, traversal_sheet

    photo = read_file(options.photo)
    recipe, method = read_recipe(options)
    subject = recipe.subject(photo, options.photo.name)
    if options.grid:
        sheet = grid_sheet(subject, method, options.grid, options.seed)
    else:
        names = options.controls or strongest(subject, method, ROWS)
        sheet = traversal_sheet(subject, method, names, options.seed)
    write_file(png(sheet), options.out)
