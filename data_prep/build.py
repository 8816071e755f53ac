"""Builds a prepared folder, unless an equal one exists; never replaces other files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep import dense
from data_prep.dialogues import Corpus
from data_prep.prepare import Settings, prepare
from data_prep.speaker_sentences import installed_tagger
from dim_tf.data import prepared_folder
from dim_tf.data.dataset import PreparedData
from dim_tf.data.text import TextRules
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic

# Options that do not change the content of a prepared folder.
NOT_CONTENT = ("source", "out", "overwrite", "check", "debug", "url", "sha256", "cache")
# Parts of the key that are no options, and how messages name them.
NO_OPTIONS = {
    "tagger": "NLTK's tagger is installed",
    "unknown_split": "unknown words are split",
}


@dataclass(frozen=True)
class BuildKey:
    """Options and sources of a prepared folder: equal keys give equal folders."""

    options: dict[str, Any]
    sources: list[dict[str, str]]

    @classmethod
    def of(cls, corpus: Corpus, settings: Settings, options: Mapping[str, Any]) -> BuildKey:
        """The key of a corpus, its settings and all options of the command line."""
        options = {name: value for name, value in options.items() if name not in NOT_CONTENT}
        sources = [dict(source) for source in corpus.sources]
        files = {"vectors": settings.vectors}
        if settings.like is None and settings.word2vec not in ("train", "none"):
            files["word2vec"] = Path(settings.word2vec)
        for role, path in files.items():
            if path is not None:
                if not path.is_file():
                    found = "the folder" if path.is_dir() else "no file"
                    raise UsageError(f"--{role}: found {found} {path}, expected a file of vectors")
                sources.append({"role": role, "name": path.name, "sha256": atomic.sha256(path)})
                options[role] = path.name
        if settings.like is not None:
            name, sha256 = settings.like.name, settings.like.sha256
            sources.append({"role": "like", "name": name, "sha256": sha256})
            options["like"] = name
            options["unknown_split"] = True  # not in folders of 0.1.0
        if options.get("speaker_sentences"):
            options["tagger"] = installed_tagger() is not None
        return cls(options, sources)


def build(
    corpus: Corpus,
    settings: Settings,
    out: Path,
    options: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> str:
    """Prepares a corpus into the folder `out`, unless it is up to date; returns a report.

    The manifest records `options`, all options of the command line.

    Raises:
        UsageError: `out` exists and is another folder, or a file of vectors is missing.
        DataError: The corpus, a file of vectors or an existing folder is damaged.
    """
    key = BuildKey.of(corpus, settings, options)
    if not overwrite and is_up_to_date(out, key, settings.rules):
        return f"already prepared: {out}"
    with atomic.creating_folder(out, replace=overwrite) as folder:
        manifest, report = prepare(
            corpus, settings, folder, options=key.options, sources=key.sources
        )
    lines = [report]
    for split, share in manifest["coverage"].items():
        lines.append(
            f"{split}: {share['tokens_covered']:.1%} of {share['tokens']:,} words of its distinct "
            f"sentences and {share['types_covered']:.1%} of its {share['types']:,} distinct words "
            "have a vector"
        )
    counts, sizes = manifest["counts"], manifest["sizes"]
    turns = sum(table["turns"] for table in counts["tables"].values())
    lines.append(
        f"prepared {out}: {turns:,} turns in {len(counts['tables'])} tables, "
        f"{counts['words']:,} words of {sizes['word_dim']} dimensions, "
        f"{sizes['char_vocab_size']} characters"
    )
    return "\n".join(lines)


def is_up_to_date(out: Path, key: BuildKey, rules: TextRules) -> bool:
    """Whether a folder was prepared with this key and these rules; raises if it is another one."""
    if is_free(out):
        return False
    check_replaceable(out)
    manifest = prepared_folder.read_manifest(out)
    options = manifest.get("options", {})
    changed = []
    for name, value in key.options.items():
        if options.get(name) != value:
            shown = NO_OPTIONS.get(name, f"--{name.replace('_', '-')}")
            changed.append(f"{shown}: found {options.get(name)}, expected {value}")
    if manifest.get("sources") != key.sources:
        changed.append("another source, or other vectors")
    if manifest["text"].nfc != rules.nfc:  # the rest is in the options
        changed.append(f"Unicode's NFC: found {manifest['text'].nfc}, expected {rules.nfc}")
    if changed:
        raise UsageError(
            f"--out: {out} was prepared with other options ({'; '.join(changed)}); give another "
            "folder, or --overwrite to replace it"
        )
    try:
        data = PreparedData.load(out)
        for name in manifest["counts"]["tables"]:
            table = data.table(*name.split("_"))
            arrays = dense.path_of(out, table)
            if key.options["dense"] and not arrays.is_file():
                raise DataError("the file is missing", path=arrays)
    except DataError as error:
        raise DataError(f"{error}; --overwrite prepares the folder again") from None
    return True


def check_replaceable(out: Path) -> None:
    """Raises `UsageError` if a folder holds other files than a prepared folder has."""
    atomic.check_place(out)
    if is_free(out):
        return
    reason = "it is a file"
    if out.is_dir():
        other = sorted(p.name for p in out.iterdir() if p.name not in prepared_folder.NAMES)
        reason = f"it holds {other[0]}" if other else prepared_folder.why_not_prepared(out)
    if reason:
        found = f"{out} exists and is not a prepared folder ({reason})"
        raise UsageError(f"--out: {found}; give the name of a new folder")


def is_free(out: Path) -> bool:
    """Whether a path does not exist or is an empty folder."""
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))
