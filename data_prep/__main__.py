"""`python -m data_prep`: raw dialogues and word vectors in, one prepared folder out."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep import dense, doctor, embeddings, tensors
from data_prep.dialogues import Corpus
from data_prep.like import Like
from data_prep.prepare import EXTRA_WORDS, Settings, prepare
from data_prep.sources import SourceOptions, open_source
from dim_tf.cli.parser import Parser, telling_warnings, whole
from dim_tf.cli.parser import run as run_command
from dim_tf.data import prepared_folder, tf1_vocab
from dim_tf.data.dataset import PreparedData
from dim_tf.data.text import TextRules
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic

GENSIM = "gensim:"
# Options that say where things are, not what a prepared folder holds.
NOT_CONTENT = ("source", "out", "overwrite", "check", "debug", "url", "sha256", "cache")


def main(argv: Sequence[str]) -> int | None:
    """Runs the command."""
    args = build_parser().parse_args(argv)
    _check(args)
    rules = TextRules(args.tokeniser, lowercase=not args.keep_case)
    with telling_warnings(), open_source(args.source, _source_options(args)) as corpus:
        if args.check:
            report = doctor.examine(corpus, tensors.SIZES, rules, _known(args, corpus))
            print(report.to_text(), end="")
            return 0
        return _prepare(args, rules, corpus)


def _known(args: argparse.Namespace, corpus: Corpus) -> set[str] | None:
    """The words that the report tells from others, if there are such."""
    if args.like is not None:
        return set(args.like.words)
    if corpus.words is not None:
        return set(tf1_vocab.words_of_authors(corpus.words))
    return None


def _prepare(args: argparse.Namespace, rules: TextRules, corpus: Corpus) -> int:
    made = _Made.by(args, corpus)
    if not args.overwrite and _is_there(args.out, made):
        print(f"already prepared: {args.out}")
        return 0
    settings = Settings(
        rules=rules,
        vectors=made.vectors,
        word2vec=args.word2vec,
        extra_words=args.extra_words,
        like=args.like,
        seed=args.seed,
        dense=args.dense,
        authors_response_characters=args.authors_response_characters,
    )
    with atomic.creating_folder(args.out.resolve(), replace=args.overwrite) as folder:
        manifest, report = prepare(
            corpus, settings, folder, options=made.options, sources=made.sources
        )
    print(report)
    for split, share in manifest["coverage"].items():
        print(
            f"{split}: {share['tokens_covered']:.1%} of {share['tokens']:,} words and "
            f"{share['types_covered']:.1%} of {share['types']:,} distinct words have a vector"
        )
    counts, sizes = manifest["counts"], manifest["sizes"]
    turns = sum(table["turns"] for table in counts["tables"].values())
    print(
        f"prepared {args.out}: {turns:,} turns in {len(counts['tables'])} tables, "
        f"{counts['words']:,} words of {sizes['word_dim']} dimensions, "
        f"{sizes['char_vocab_size']} characters"
    )
    return 0


@dataclass(frozen=True)
class _Made:
    """What a prepared folder is made of: equal options and sources give an equal folder."""

    options: dict[str, Any]
    sources: list[dict[str, str]]
    vectors: Path | None

    @classmethod
    def by(cls, args: argparse.Namespace, corpus: Corpus) -> _Made:
        options = {name: value for name, value in vars(args).items() if name not in NOT_CONTENT}
        sources = [dict(source) for source in corpus.sources]
        vectors = None
        if args.vectors.startswith(GENSIM):
            vectors = embeddings.gensim_file(args.vectors.removeprefix(GENSIM))
        elif args.vectors != "none":
            vectors = Path(args.vectors)
        read = {"vectors": vectors}
        if args.like is None and args.word2vec not in ("train", "none"):
            read["word2vec"] = Path(args.word2vec)
        for role, path in read.items():
            if path is not None:
                if not path.is_file():
                    found = "the folder" if path.is_dir() else "no file"
                    raise UsageError(f"--{role}: found {found} {path}, expected a file of vectors")
                sources.append({"role": role, "name": path.name, "sha256": atomic.sha256(path)})
                options[role] = path.name
        if args.like is not None:
            options["like"] = args.like.name
            like = {"role": "like", "name": args.like.name, "sha256": args.like.sha256}
            sources.append(like)
        return cls(options, sources, vectors)


def _is_there(out: Path, made: _Made) -> bool:
    """Whether `out` is this very prepared folder; refuses if it is anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    _check_replaceable(out)
    manifest = prepared_folder.read_manifest(out)
    changed = [
        f"--{name.replace('_', '-')} {manifest.get('options', {}).get(name)} there, {value} here"
        for name, value in made.options.items()
        if manifest.get("options", {}).get(name) != value
    ]
    if manifest.get("sources") != made.sources:
        changed.append("another source, or other vectors")
    if changed:
        raise UsageError(
            f"--out: {out} was prepared otherwise ({'; '.join(changed)}); give another folder, or "
            "--overwrite to replace it"
        )
    try:
        data = PreparedData.load(out)
        for setting in data.settings():
            arrays = dense.path_of(out, data.table(*setting))
            if made.options["dense"] and not arrays.is_file():
                raise DataError("the file is missing", path=arrays)
    except DataError as error:
        raise DataError(f"{error}; --overwrite makes the folder anew") from None
    return True


def _check_replaceable(out: Path) -> None:
    """Refuses a folder that holds anything but what this command has written."""
    atomic.check_place(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    reason = "is a file"
    if out.is_dir():
        more = sorted(path.name for path in out.iterdir() if path.name not in prepared_folder.NAMES)
        reason = f"holds {more[0]}" if more else prepared_folder.why_not_ours(out)
    if reason:
        raise UsageError(
            f"--out: {out} exists and is not a prepared folder ({reason}); give the name of a new "
            "folder"
        )


def _check(args: argparse.Namespace) -> None:
    """Refuses options that contradict each other, before anything is read."""
    if args.like is not None:
        if args.word2vec is not None:
            raise UsageError("--like brings vectors of its own: leave --word2vec out")
        args.like = Like.open(args.like)
        _check_like(args)
    else:
        args.word2vec = "train" if args.word2vec is None else args.word2vec
    args.tokeniser = args.tokeniser or "authors"
    if args.check:
        return
    if args.out is None:
        raise UsageError("--out is missing: give the folder to write, or --check for a report only")
    if args.word2vec == "none" and args.vectors == "none":
        raise UsageError(
            "neither --vectors nor Word2Vec: the words would have no vectors; give --vectors FILE, "
            "or --word2vec train"
        )
    if args.authors_response_characters and not args.dense:
        raise UsageError("--authors-response-characters concerns the arrays that --dense writes")
    _check_replaceable(args.out)


def _check_like(args: argparse.Namespace) -> None:
    """Takes the rules of the other run's text; refuses others."""
    rules = args.like.rules
    if (args.tokeniser or rules.tokeniser) != rules.tokeniser or (
        args.keep_case and rules.lowercase
    ):
        theirs = f"--tokeniser {rules.tokeniser}{'' if rules.lowercase else ' --keep-case'}"
        raise UsageError(
            f"--like: {args.like.name} was made with {theirs}; leave these options out"
        )
    args.tokeniser, args.keep_case = rules.tokeniser, not rules.lowercase


def _source_options(args: argparse.Namespace) -> SourceOptions:
    return SourceOptions(
        sides=args.sides,
        candidates=args.candidates,
        seed=args.seed,
        resplit=args.resplit,
        lenient=args.check,
        cache=args.cache,
        url=args.url,
        sha256=args.sha256,
    )


def build_parser() -> Parser:
    """The options of the command."""
    defaults = SourceOptions()
    parser = Parser(prog="python -m data_prep", description=__doc__)
    parser.add_argument(
        "--source",
        required=True,
        help="sample, download, a folder or archive in the official layout, a folder of the "
        "authors' processed_*.txt, or JSON Lines",
    )
    parser.add_argument("--out", type=Path, help="the prepared folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a prepared folder")
    parser.add_argument("--check", action="store_true", help="only report on the data")
    parser.add_argument("--seed", type=_seed, default=1, help="of every random choice")

    vectors = parser.add_argument_group("words and vectors")
    vectors.add_argument(
        "--vectors",
        default="none",
        help="GloVe's or word2vec's text format (.txt, .gz, .zip), gensim:NAME, or none",
    )
    vectors.add_argument(
        "--word2vec",
        help="train (the default: on the training split), none, or a file of vectors",
    )
    vectors.add_argument(
        "--extra-words",
        type=_count,
        help=f"so many of the first words of --vectors get an id too (default: {EXTRA_WORDS}; 0 "
        "with the authors' vocab.txt)",
    )
    vectors.add_argument(
        "--like",
        help="take characters, words and vectors from this run, shipped model, or prepared folder "
        "of a run, so that the run can be trained further; --vectors is then for other words",
    )

    text = parser.add_argument_group("text")
    text.add_argument(
        "--tokeniser",
        choices=["authors", "wordpunct"],
        help="the authors' two rules (the default), or one for all text; with --like, its own",
    )
    text.add_argument("--keep-case", action="store_true", help="do not lower the case")

    own = parser.add_argument_group("own data (JSON Lines)")
    own.add_argument(
        "--sides", choices=["a", "b", "both"], default=defaults.sides, help="whose replies count"
    )
    own.add_argument("--resplit", action="store_true", help="split 80/10/10 whatever `split` says")
    own.add_argument(
        "--candidates", type=_candidates, default=defaults.candidates, help="of a turn without any"
    )

    arrays = parser.add_argument_group("plain arrays")
    arrays.add_argument("--dense", action="store_true", help="also write the model's inputs")
    arrays.add_argument(
        "--authors-response-characters",
        action="store_true",
        help="in them, only the first k candidates have characters (k: utterances), as the "
        "authors' loader has it",
    )

    download = parser.add_argument_group("download")
    download.add_argument("--url", default=defaults.url, help="where the official archive is")
    download.add_argument(
        "--sha256", type=_sha256, default=defaults.sha256, help="the sum it must have"
    )
    download.add_argument(
        "--cache", type=Path, default=defaults.cache, help="the folder that keeps it"
    )
    return parser


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 64 hexadecimal digits")
    return text.lower()


def _seed(text: str) -> int:
    return whole(text, 0, 2**31 - 1)


def _count(text: str) -> int:
    return whole(text, 0, 10**9)


def _candidates(text: str) -> int:
    return whole(text, 2, 10**6)


if __name__ == "__main__":
    sys.exit(run_command(main))
