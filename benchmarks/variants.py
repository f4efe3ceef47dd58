"""Compares variants of networks and recipe on equal budgets: same data, same order of pairs, same seed, same minutes each.

    python -m benchmarks.variants benchmarks/variants.toml --data datasets/faces --minutes 4 --out runs/variants

Each ``[[variant]]`` names what it changes: ``sizes`` (of the preset), ``losses``, ``schedule``, ``optimiser``. Every variant is a run of its
own below ``--out``; a second call goes on with those that are not finished. The table (variants.md, variants.json) has the figures of held-out
people beside parameters and GMAC per driven frame; pictures are in each run's folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from mmfa_components.errors import ConfigError, MMFAError, did_you_mean
from pipelines.config.load import read_toml
from pipelines.training.schema import Data, TrainPipeline, train_schema
from pipelines.training.session import NO_JUDGES, run_session
from plugins.mmfa import presets
from plugins.mmfa.presets import Sizes, preset, preset_of
from plugins.mmfa.sizes import size_table
from plugins.mmfa.training.options import Options

TABLES = ("losses", "schedule", "optimiser")
FIGURES = ("psnr", "landmark_distance", "mouth", "eyes")


@attrs.frozen
class Variant:
    """A name, the sizes of its networks, and its training file."""

    name: str
    sizes: Sizes
    pipeline: TrainPipeline


def changed(value: Any, changes: dict[str, Any], where: str) -> Any:
    """An attrs object with some fields changed, lists as tuples. Raises ConfigError for a field it has not."""
    fields = attrs.fields_dict(type(value))
    for key in changes:
        if key not in fields:
            raise ConfigError(f"there is no {key!r} here", where=where, fix=did_you_mean(key, fields))
    try:
        return attrs.evolve(value, **{k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error), where=where) from error


def read_variants(path: Path, base: TrainPipeline) -> list[Variant]:
    """The variants of a file. Raises ConfigError when it cannot be read or names what does not exist."""
    rows = read_toml(path).get("variant")
    if not isinstance(rows, list) or not rows:
        raise ConfigError("holds no [[variant]] tables", where=str(path), fix="see benchmarks/variants.toml")
    variants = []
    for number, row in enumerate(rows):
        name = str(row.get("name", number))
        where = f"{path}: variant {name!r}"
        unknown = [key for key in row if key not in ("name", "sizes", *TABLES)]
        if unknown:
            raise ConfigError(f"there is no table {unknown[0]!r}", where=where, fix=did_you_mean(unknown[0], ("sizes", *TABLES)))
        sizes = changed(attrs.evolve(preset(base.model.preset).sizes, name=name), row.get("sizes", {}), f"{where}, sizes")
        tables = {table: changed(getattr(base, table), row.get(table, {}), f"{where}, {table}") for table in TABLES}
        model = attrs.evolve(base.model, preset=name)
        variants.append(Variant(name, sizes, attrs.evolve(base, model=model, **tables)))
    if len({v.name for v in variants}) < len(variants):
        raise ConfigError("two variants have one name", where=str(path))
    return variants


def compare(variants: list[Variant], out: Path, console: Console, judges: Any = NO_JUDGES) -> list[dict[str, Any]]:
    """Train each variant that has no result yet; a row of figures each."""
    rows: list[dict[str, Any]] = []
    for variant in variants:
        presets.PRESETS[variant.name] = preset_of(variant.sizes)
        sizes = size_table(variant.name)
        row: dict[str, Any] = {
            "variant": variant.name,
            "parameters": sum(s.parameters for s in sizes if s.per in ("portrait", "driven frame")),
            "gmac": round(sum(s.gmac for s in sizes if s.per == "driven frame"), 2),
        }
        done = out / variant.name / "result.json"
        if done.is_file():
            row |= json.loads(done.read_text(encoding="utf-8"))
        else:
            console.print(f"{variant.name}: {row['parameters']} parameters, {row['gmac']} GMAC per driven frame")
            run = attrs.evolve(variant.pipeline.run, folder=str(out / variant.name))
            pipeline = attrs.evolve(variant.pipeline, run=run)
            result = run_session(pipeline, console, judges=judges)
            if result.interrupted:
                raise KeyboardInterrupt
            found = {"pairs": result.samples, "pairs_per_second": round(result.images_per_second, 1), **result.figures}
            done.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            row |= found
        rows.append(row)
        write_table(rows, out)
    return rows


def write_table(rows: list[dict[str, Any]], out: Path) -> None:
    """variants.json and variants.md."""
    (out / "variants.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    names = ["variant", "parameters", "gmac", "pairs", "pairs_per_second", *FIGURES]
    lines = ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    for row in rows:
        cells = [f"{row[n]:.3f}" if n in FIGURES and n in row else str(row.get(n, "")) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    (out / "variants.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", type=Path, help="a TOML file with [[variant]] tables")
    parser.add_argument("--data", required=True, help="a data set of prepare_dataset.toml with held-out people")
    parser.add_argument("--out", type=Path, default=Path("runs/variants"))
    parser.add_argument("--minutes", type=float, default=4.0, help="of each variant")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--start", default="", help="weights every variant starts from; sizes must fit")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    base = train_schema(Options)(data=Data(folder=options.data))
    run = attrs.evolve(base.run, minutes=options.minutes, batch=options.batch, device=options.device, picture=0, save=0, tensorboard=False)
    base = attrs.evolve(base, run=run, model=attrs.evolve(base.model, preset=options.preset, start=options.start))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        rows = compare(read_variants(options.variants, base), options.out, console)
    except MMFAError as error:
        console.print(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        console.print("interrupted: finished variants are kept; run the same command again to go on")
        return 130
    console.print(f"{len(rows)} variants: {options.out / 'variants.md'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
