"""Commands that measure on held-out faces: `evaluate` and its kin."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import weights
from ..errors import UsageError
from ..methods import available_methods, load_method
from .common import FAMILIES, positive, settings_of, write_json

EDITOR_PARTS = ("reconstructions", "strokes", "transfer", "latency")
STROKE_FACES = 128


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the commands to the parser."""
    some = f"one or more of {', '.join(available_methods())}"
    evaluate = _command(commands, "evaluate", "figures on held-out frames, inside the hole only", _evaluate, False)
    evaluate.add_argument(
        "--photos",
        type=Path,
        metavar="FILE|FOLDER",
        help="instead of --data: whole photos, a pack or a folder of them, filled as `complete` does",
    )
    evaluate.add_argument("--method", nargs="+", default=["csi"], help=some)
    evaluate.add_argument(
        "--mask", nargs="+", help=f"random or strokes (a fresh one a picture), {FAMILIES}; or several"
    )
    evaluate.add_argument(
        "--controls",
        nargs="*",
        metavar="NAME",
        help="instead: how far a method's controls, all or these, move the attributes that they are for; with --photos "
        "whether refining keeps that",
    )
    evaluate.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE", dest="settings")
    evaluate.add_argument(
        "--contact-sheet",
        type=Path,
        help="a PNG: of the first 16 masked, true, 4 samples; of all photos true, masked, as drawn, refined",
    )
    evaluate.add_argument("--workers", type=int, default=0, help="processes of one thread each; 0: this one alone")

    samples = _command(commands, "evaluate-samples", "how far pictures drawn from a prior are from faces", _samples)
    samples.add_argument("--method", nargs="+", default=["dcgan", "vae"], help=some)
    samples.add_argument("--contact-sheet", type=Path, help="a PNG of the first 64; with several methods, NAME-METHOD")

    variety = _command(
        commands, "evaluate-variety", "on how many faces a method's samples differ in expression", _variety
    )
    variety.add_argument("--method", nargs="+", default=["csi"], help=some)
    variety.add_argument("--mask", default="mouth", help=FAMILIES)

    descent = _command(commands, "evaluate-descent", "DCGAN's fast search for z against the faithful one", _descent)
    descent.add_argument("--mask", default="center", help=FAMILIES)

    guidance = _command(
        commands, "evaluate-guidance", "Ham et al.'s table anew: completion with attributes and without", _guidance
    )
    guidance.add_argument("--mask", default="center", help=FAMILIES)
    guidance.add_argument(
        "--trained", nargs="+", type=Path, default=(), help="folders of other attribute VAEs, whose rows are added"
    )

    editor = _command(
        commands, "evaluate-editor", "the photo editor: reconstructions, samples, strokes, speed", _editor
    )
    editor.add_argument("--what", nargs="+", choices=EDITOR_PARTS, default=EDITOR_PARTS)
    editor.add_argument("--contact-sheet", type=Path, help="FILE.png: FILE-samples.png and others are written")

    _command(commands, "evaluate-attributes", "how well the face network recognises attributes", _attributes)
    _command(commands, "evaluate-alignment", "how exactly faces are found in turned, scaled pictures", _alignment)


def _command(
    commands: argparse._SubParsersAction, name: str, text: str, run, needs_data: bool = True
) -> argparse.ArgumentParser:
    """A command that takes a pack, a limit and a seed, and prints, writes or records its figures."""
    command = commands.add_parser(name, help=text)
    command.add_argument("--data", type=Path, required=needs_data, help="a Parquet pack of aligned faces")
    command.add_argument("--limit", type=int)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--json", type=Path)
    command.add_argument("--record", action="store_true", help="write the figures into the weights' metrics.json")
    command.set_defaults(run=run)
    return command


def _report(options: argparse.Namespace, figures: dict[str, Any], model: str, name: str) -> None:
    """Prints figures, and records them under a name in a model's metrics.json where that is wanted."""
    print(json.dumps(figures, indent=1))
    if options.record:
        weights.record_test(model, name, figures | {"command": options.line})


def _evaluate(options: argparse.Namespace) -> None:
    positive(options.limit)
    if (options.data is None) == (options.photos is None):
        raise UsageError("--data or --photos is needed, and only one of them")
    if options.controls is not None:
        _controls(options)
        return
    if not options.mask:
        raise UsageError("--mask is needed, or --controls in its place")
    from ..research.studies.tables import table

    if not 0 <= options.workers <= 256:
        raise UsageError(f"--workers {options.workers} is out of range: 0 to 256")
    if options.settings and options.record:
        raise UsageError("--record is for the defaults: it goes without --set")
    for method in options.method:
        if options.record and method in available_methods() and not weights.available(method):
            raise UsageError(f"{method} has no weights, beside which --record would write: use --json")
    runs = [(mask, method) for mask in options.mask for method in options.method]
    rows = []
    for mask, method in runs:
        sheet = options.contact_sheet
        if sheet and len(runs) > 1:
            sheet = sheet.with_stem(f"{sheet.stem}-{method}-{mask.replace(':', '-')}")
        for name, row in _rows(options, mask, method, sheet):
            rows.append({"mask": mask, "method": method} | row)
            _report(options, row, method, name)
    if options.json:
        content = rows[0] if len(rows) == 1 else {"rows": rows}
        write_json(content | {"command": options.line}, options.json)
    if len(rows) > 1:
        print(table(rows))


def _rows(
    options: argparse.Namespace, mask: str, method: str, sheet: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures of a method and a mask, and what they are called where they are recorded."""
    from ..research.studies.shared import Study

    controls, tuning = load_method(method).split(settings_of(options.settings))
    data = options.photos or options.data
    study = Study(method, data, mask, options.limit, options.seed, sheet, options.workers, controls, tuning)
    if options.photos:
        from ..research.studies.photos import evaluate_photos

        for row in evaluate_photos(study):
            yield f"photos {mask} {'refined' if row['refine'] else 'as drawn'}", row
    else:
        from ..research.studies.fills import evaluate

        yield mask, evaluate(study)


def _controls(options: argparse.Namespace) -> None:
    from ..research.studies.controls import evaluate_controls
    from ..research.studies.tables import CONTROL_COLUMNS, table

    words = ("mask", "contact_sheet", "workers", "settings")
    if any(getattr(options, word) for word in words) or len(options.method) > 1:
        raise UsageError("--controls goes without what fills are drawn with: each control has its own hole")
    (method,) = options.method
    if options.photos:
        from ..research.studies.photos import KEPT_COLUMNS, evaluate_kept

        rows = evaluate_kept(method, options.photos, options.controls, limit=options.limit, seed=options.seed)
        figures = {"n": rows[0]["n"], "controls": rows}
        _report(options, figures, method, "photos controls")
        print(table(rows, KEPT_COLUMNS))
        _write(options, figures)
        return
    figures = evaluate_controls(options.data, method, only=options.controls, limit=options.limit, seed=options.seed)
    _report(options, figures, method, "controls")
    print(table(figures["controls"], CONTROL_COLUMNS))
    _write(options, figures)


def _write(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    if options.json:
        write_json(figures | {"command": options.line}, options.json)


def _samples(options: argparse.Namespace) -> None:
    from ..research.studies.samples import evaluate_samples

    positive(options.limit)
    every: dict[str, Any] = {}
    for method in options.method:
        sheet = options.contact_sheet
        if sheet and len(options.method) > 1:
            sheet = sheet.with_stem(f"{sheet.stem}-{method}")
        every[method] = evaluate_samples(
            method, options.data, limit=options.limit, seed=options.seed, contact_sheet=sheet
        )
        _report(options, every[method], method, "samples")
    _write(options, every)


def _variety(options: argparse.Namespace) -> None:
    from ..research.studies.tables import table
    from ..research.studies.variety import COLUMNS, evaluate_variety

    positive(options.limit)
    rows = []
    for method in options.method:
        row = evaluate_variety(method, options.data, options.mask, limit=options.limit, seed=options.seed)
        rows.append({"mask": options.mask, "method": method} | row)
        _report(options, row, method, f"variety {options.mask}")
    print(table(rows, COLUMNS))
    _write(options, {"rows": rows})


def _descent(options: argparse.Namespace) -> None:
    from ..research.studies.descent import evaluate_descent

    positive(options.limit)
    figures = evaluate_descent(options.data, options.mask, limit=options.limit, seed=options.seed)
    _report(options, figures, "dcgan", f"descent {options.mask}")
    _write(options, figures)


def _guidance(options: argparse.Namespace) -> None:
    from ..research.studies.guidance import COLUMNS, evaluate_guidance
    from ..research.studies.tables import table

    positive(options.limit)
    figures = evaluate_guidance(options.data, options.mask, trained=options.trained, limit=options.limit)
    _report(options, figures, "vae-attributes", f"guidance {options.mask}")
    print(table(figures["rows"], COLUMNS))
    _write(options, figures)


def _editor(options: argparse.Namespace) -> None:
    from ..research.studies import editing

    positive(options.limit)
    every: dict[str, Any] = {}
    for part in options.what:
        if part == "reconstructions":
            every[part] = editing.evaluate_reconstructions(
                options.data, limit=options.limit, seed=options.seed, sheet=options.contact_sheet
            )
        elif part == "strokes":
            every[part] = editing.evaluate_strokes(
                options.data, limit=options.limit or STROKE_FACES, sheet=options.contact_sheet
            )
        elif part == "transfer":
            every[part] = editing.evaluate_transfer()
        else:
            from ..ops.painting import measure_strokes

            every[part] = measure_strokes()
        _report(options, every[part], "ian", part)
    _write(options, every)


def _attributes(options: argparse.Namespace) -> None:
    from ..research.studies.recognition import evaluate_attributes

    positive(options.limit)
    figures = evaluate_attributes(options.data, limit=options.limit)
    _report(options, figures, "attributes", "attributes")
    _write(options, figures)


def _alignment(options: argparse.Namespace) -> None:
    from ..research.studies.finding import evaluate_alignment

    positive(options.limit)
    figures = evaluate_alignment(options.data, limit=options.limit, seed=options.seed)
    _report(options, figures, "aligner", "alignment")
    _write(options, figures)
