"""Prepare dialogues and word vectors for training: `python -m data_prep`."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data_prep import tensors
from data_prep.build import build, check_replaceable
from data_prep.data_report import build_report
from data_prep.embeddings import vectors_file
from data_prep.like import VocabularySource
from data_prep.prepare import EXTRA_WORDS, Settings, known_words, reading_rules
from data_prep.sources import SourceOptions, open_source
from dim_tf.cli.parser import Parser, print_warnings, run as run_command, seed, whole
from dim_tf.data.text import TextRules
from dim_tf.errors import UsageError

COUNT = partial(whole, low=0, high=10**9)
PROFILES = partial(whole, low=1, high=10**3)
CANDIDATES = partial(whole, low=2, high=10**6)


def main(argv: Sequence[str]) -> int | None:
    """Runs the command."""
    args = build_parser().parse_args(argv)
    _check(args)
    like = None if args.like is None else VocabularySource.open(args.like)
    rules = _rules(args, like)
    names = {field.name for field in dataclasses.fields(SourceOptions)} & vars(args).keys()
    options = SourceOptions(lenient=args.check, **{name: getattr(args, name) for name in names})
    with print_warnings(), open_source(args.source, options) as corpus:
        if args.check:
            reading = reading_rules(rules, like)
            report = build_report(corpus, tensors.SIZES, reading, known_words(corpus, like))
            print(report.to_text(), end="")
            absent = [(n, t.gold_absent) for n, t in report.tables.items() if t.gold_absent]
            for name, count in absent:
                print(
                    f"error: {name}: {count:,} turns lack the gold reply among their candidates, "
                    "which only --check accepts",
                    file=sys.stderr,
                )
            return 1 if absent else 0
        settings = Settings(
            rules=rules,
            vectors=vectors_file(args.vectors),
            word2vec=args.word2vec or ("train" if like is None else None),
            extra_words=args.extra_words,
            like=like,
            seed=args.seed,
            dense=args.dense,
        )
        chosen = {"word2vec": settings.word2vec, "tokeniser": rules.tokeniser}
        chosen["keep_case"] = not rules.lowercase
        given = {**vars(args), **chosen}
        print(build(corpus, settings, args.out, given, overwrite=args.overwrite))


def _check(args: argparse.Namespace) -> None:
    """Refuses contradictions before anything is read."""
    if args.like is not None and args.word2vec is not None:
        raise UsageError("--like brings its own vectors: leave --word2vec out")
    if args.check:
        return
    if args.out is None:
        raise UsageError("--out is missing: give the folder to write, or --check for a report only")
    if args.word2vec == "none" and args.vectors == "none":
        raise UsageError("words need vectors: give --vectors FILE, or --word2vec train")
    check_replaceable(args.out)


def _rules(args: argparse.Namespace, like: VocabularySource | None) -> TextRules:
    """The text rules: those of `--like`, or those that the options choose."""
    if like is None:
        return TextRules(args.tokeniser or "authors", not args.keep_case, nfc=True)
    rules = like.rules
    if args.tokeniser not in (None, rules.tokeniser) or (args.keep_case and rules.lowercase):
        theirs = f"--tokeniser {rules.tokeniser}{'' if rules.lowercase else ' --keep-case'}"
        found = f"{like.name} was made with {theirs}"
        raise UsageError(f"--like: {found}; leave these options out")
    return rules


def build_parser() -> Parser:
    """The options of the command."""
    defaults = SourceOptions()
    parser = Parser(prog="python -m data_prep", description="Prepare dialogues for training.")
    add = parser.add_argument
    add(
        "--source",
        required=True,
        help="read sample, download, a folder or archive of the official files or of the authors' "
        "processed ones, or JSON Lines",
    )
    add("--out", type=Path, help="write the prepared folder to this path")
    add("--overwrite", action="store_true", help="replace a prepared folder")
    add("--check", action="store_true", help="report on the data without writing")
    add("--seed", type=seed, default=1, help="seed all random choices")

    add = parser.group("words and vectors").add_argument
    add(
        "--vectors", default="none", help="read a GloVe or word2vec text file, gensim:NAME, or none"
    )
    add(
        "--word2vec",
        metavar="FILE",
        help="add vectors by Word2Vec: train them (train, the default), read FILE, or none",
    )
    add(
        "--extra-words",
        type=COUNT,
        metavar="N",
        help=f"give ids to this many of the first words of --vectors (default: {EXTRA_WORDS}; 0 "
        "with the authors' vocab.txt)",
    )
    add(
        "--like",
        help="take characters, words and vectors from this run, pretrained model or prepared "
        "folder, to train its weights further; --vectors then gives new words vectors",
    )

    add = parser.group("text").add_argument
    add(
        "--tokeniser",
        choices=["authors", "wordpunct"],
        help="apply the authors' two rules, or one rule to all text (default: authors)",
    )
    add("--keep-case", action="store_true", help="do not lowercase the text")

    add = parser.group("own data (JSON Lines)").add_argument
    add(
        "--sides",
        choices=["a", "b", "both"],
        default=defaults.sides,
        help="make turns of the replies of these speakers",
    )
    add("--resplit", action="store_true", help="split 80/10/10 and ignore the field `split`")
    add(
        "--candidates",
        type=CANDIDATES,
        metavar="N",
        default=defaults.candidates,
        help="set the number of candidates, gold included, of turns that list none",
    )
    add(
        "--speaker-sentences",
        type=PROFILES,
        metavar="N",
        help="make personas of at most N sentences that the same speaker says in other dialogues; "
        "needs speaker_a and speaker_b",
    )

    add = parser.group("padded arrays").add_argument
    add("--dense", action="store_true", help="also write the inputs as padded arrays")

    add = parser.group("download").add_argument
    add("--url", default=defaults.url, help="download the archive from this address")
    add(
        "--sha256", type=_sha256, default=defaults.sha256, help="expect this SHA-256 of the archive"
    )
    add("--cache", type=Path, default=defaults.cache, help="keep the archive in this folder")
    return parser


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 64 hexadecimal digits")
    return text.lower()


if __name__ == "__main__":
    sys.exit(run_command(main))
