"""Writes the built-in sample, `data_prep/sample.tar.xz`: a small PERSONA-CHAT from a grammar.

    python examples/make_sample.py --out data_prep/sample.tar.xz

Two speakers tell each other about a few topics. The partner asks about one of them. The gold reply
names the value that the responding speaker's persona has for it. Of the 19 distractors

* 8 fit the context but not the persona: another value of the same topic;
* 8 fit the persona but not the context: values of topics that come later in the dialogue;
* 3 fit neither: values of the partner's other topics.

A model needs both inputs: without the persona, or without the context, nine candidates are equally
good.

A value has a *name* ("a baker") and a *kin*, something that belongs to it ("glowing ovens").
Original profiles contain the name, revised profiles the kin, and replies both; replies are what
connects the two. The words of a value occur in no other value and in no frame. A topic has a few
words of its own ("job", "career"): a question contains two of them and a reply one, whatever the
value, so only co-occurrence shows which reply answers a question.

Every sentence is a cell of a table value x frame x pattern. Each split owns some diagonals of that
table (`_SHARES`). Therefore every word, frame and pattern occurs in every split, and no sentence
occurs in two.

>>> dialogue = generate(seed=1)["test"][0]
>>> for profile in dialogue.self_profiles["original"]:
...     print(profile)
they hired me as a nurse.
i perform songs on the banjo.
i could eat waffles daily.
i moved into a lighthouse.
i joined a club for surfing.
>>> turn = dialogue.turns[0]
>>> print(turn.context[-1])
my career as a teacher means noisy classrooms , yours ?
>>> for candidate in turn.candidates[-3:]:
...     print(f"{candidate.kind}: {candidate.text}")
persona: actually my home is a lighthouse with blinking beams anyway
persona: sure my music is the banjo with plucked bluegrass really
gold: ha i earn as a nurse with hospital wards anyway
"""

from __future__ import annotations

import argparse
import io
import lzma
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "valid", "test")
VERSIONS = ("original", "revised")
PERSONAS = ("none", "self", "other", "both")
DIALOGUES = {"train": 485, "valid": 80, "test": 90}
PROFILES = 5
TURNS = (2, 3)
DISTRACTORS = {"context": 8, "persona": 8, "neither": 3}

# Diagonals of the sentence table (sum of the indices, modulo 5) that a split may use.
_SHARES = {"test": {0}, "valid": {1}, "train": {2, 3, 4}}
_DIAGONALS = 5
# How often the partner asks indirectly, if the partner's persona has the topic.
_STATEMENT_RATE = 0.5


@dataclass(frozen=True)
class Topic:
    """One thing that people say about themselves.

    Args:
        name: str. Label of the topic in this file.
        questions: tuple of str. Questions of the partner, without the question mark.
        profiles: tuple of str. Frames of original profiles, with a slot `{name}`.
        revised: tuple of str. Frames of revised profiles, with a slot `{kin}`.
        replies: tuple of str. Frames of replies, with slots `{name}` and `{kin}`.
        values: tuple of pairs (name, kin).
    """

    name: str
    questions: tuple[str, ...]
    profiles: tuple[str, ...]
    revised: tuple[str, ...]
    replies: tuple[str, ...]
    values: tuple[tuple[str, str], ...]


# Frames around a reply, around the first question, and around a later question.
REPLY_PATTERNS = tuple(
    f"{lead} {{}} {tail}"
    for lead in ["well", "oh", "honestly", "ha", "actually", "yes", "sure", "hmm", "ah", "okay"]
    for tail in ["lately", "now", "anyway", "really", "currently", "today"]
)
OPENING_PATTERNS = (
    "hello , {} ?",
    "hi there , {} ?",
    "hey you , {} ?",
    "good morning , {} ?",
    "good evening , {} ?",
)
QUESTION_PATTERNS = (
    "so , {} ?",
    "nice , {} ?",
    "cool , {} ?",
    "okay , {} ?",
    "great , {} ?",
    "i see , {} ?",
    "and {} ?",
    "then {} ?",
    "now {} ?",
    "lovely , {} ?",
)

# Frames around the partner's own reply, which turn it into a question.
STATEMENT_PATTERNS = ("{} , you ?", "{} , and you ?", "{} , yours ?")

TOPICS = (
    Topic(
        "work",
        questions=(
            "what work is your job",
            "what work is your profession",
            "which profession made your career",
            "how does your career earn money",
            "do you earn from a job",
        ),
        profiles=(
            "i am {name} by trade.",
            "i work as {name}.",
            "i make my living as {name}.",
            "i was trained as {name}.",
            "they hired me as {name}.",
        ),
        revised=(
            "{kin} will fill my week.",
            "from nine to five it is {kin}.",
            "{kin} must pay the rent.",
            "my boss trusts me around {kin}.",
            "every monday i return to {kin}.",
        ),
        replies=(
            "as {name} my job is {kin}",
            "i work as {name} with {kin}",
            "my profession is {name} with {kin}",
            "my career as {name} means {kin}",
            "i earn as {name} with {kin}",
        ),
        values=(
            ("a teacher", "noisy classrooms"),
            ("a nurse", "hospital wards"),
            ("a farmer", "muddy tractors"),
            ("a baker", "glowing ovens"),
            ("a pilot", "runway lights"),
            ("a lawyer", "court papers"),
            ("a plumber", "leaking pipes"),
            ("a barber", "sharp scissors"),
            ("a waiter", "dinner guests"),
            ("a florist", "fresh bouquets"),
        ),
    ),
    Topic(
        "pet",
        questions=(
            "is your animal a pet",
            "what creature or animal is yours",
            "what creature do you feed",
            "which companion do you feed",
            "is your pet a companion",
        ),
        profiles=(
            "i own {name}.",
            "my pet is {name}.",
            "i take care of {name}.",
            "i adopted {name}.",
            "i got {name} from a shelter.",
        ),
        revised=(
            "the door opens and i meet {kin}.",
            "at feeding time i hear {kin}.",
            "my small companion is all {kin}.",
            "my sofa is covered by {kin}.",
            "the vet admires {kin}.",
        ),
        replies=(
            "my pet is {name} with {kin}",
            "my animal is {name} with {kin}",
            "my creature is {name} with {kin}",
            "i feed {name} with {kin}",
            "my companion is {name} with {kin}",
        ),
        values=(
            ("a parrot", "green feathers"),
            ("a hamster", "squeaky wheels"),
            ("a goldfish", "bubbling bowls"),
            ("a tortoise", "wrinkled shells"),
            ("a pony", "brushed manes"),
            ("a snake", "smooth scales"),
            ("a rabbit", "floppy ears"),
            ("a kitten", "playful whiskers"),
            ("a beagle", "wagging tails"),
            ("a spider", "sticky webs"),
        ),
    ),
    Topic(
        "food",
        questions=(
            "what food or dish is best",
            "which dish do you eat",
            "what meal do you eat",
            "is your meal a snack",
            "what food do you snack on",
        ),
        profiles=(
            "my favorite dish is {name}.",
            "i could eat {name} daily.",
            "i always order {name}.",
            "nothing tastes better than {name}.",
            "i am crazy about {name}.",
        ),
        revised=(
            "my plate is full of {kin}.",
            "{kin} can make my mouth water.",
            "i pick up my fork for {kin}.",
            "the kitchen smells of {kin}.",
            "when starving i dream of {kin}.",
        ),
        replies=(
            "my food is {name} with {kin}",
            "my dish is {name} with {kin}",
            "i eat {name} with {kin}",
            "my meal is {name} with {kin}",
            "my snack is {name} with {kin}",
        ),
        values=(
            ("pizza", "melted cheese"),
            ("sushi", "raw salmon"),
            ("curry", "indian spices"),
            ("lasagna", "layered pasta"),
            ("tacos", "crispy tortillas"),
            ("pancakes", "maple syrup"),
            ("dumplings", "steamed dough"),
            ("chili", "kidney beans"),
            ("burgers", "toasted buns"),
            ("waffles", "whipped cream"),
        ),
    ),
    Topic(
        "instrument",
        questions=(
            "what music or instrument is yours",
            "which instrument does a musician need",
            "which musician can perform",
            "do you perform a song",
            "what music is your song",
        ),
        profiles=(
            "i play {name}.",
            "my instrument is {name}.",
            "i take lessons on {name}.",
            "i am a musician with {name}.",
            "i perform songs on {name}.",
        ),
        revised=(
            "my melodies need {kin}.",
            "in the orchestra i bring {kin}.",
            "{kin} will sound like heaven.",
            "my neighbours suffer from {kin}.",
            "the stage calls for {kin}.",
        ),
        replies=(
            "my music is {name} with {kin}",
            "my instrument is {name} with {kin}",
            "musician on {name} with {kin}",
            "i perform on {name} with {kin}",
            "my song needs {name} with {kin}",
        ),
        values=(
            ("the guitar", "six strings"),
            ("the piano", "ivory keys"),
            ("the drum", "beating sticks"),
            ("the violin", "horsehair bows"),
            ("the flute", "airy trills"),
            ("the trumpet", "polished brass"),
            ("the banjo", "plucked bluegrass"),
            ("the organ", "chapel pedals"),
            ("the tuba", "oompah marches"),
            ("the bagpipe", "highland kilts"),
        ),
    ),
    Topic(
        "sport",
        questions=(
            "which sport do you train",
            "how do you train your game",
            "is your game an exercise",
            "what exercise makes an athlete",
            "which sport fits an athlete",
        ),
        profiles=(
            "my sport is {name}.",
            "i train hard in {name}.",
            "i joined a club for {name}.",
            "i won a medal in {name}.",
            "i stay fit by {name}.",
        ),
        revised=(
            "my coach shouts about {kin}.",
            "my muscles are sore from {kin}.",
            "i sweat because of {kin}.",
            "on the team i face {kin}.",
            "my body got strong with {kin}.",
        ),
        replies=(
            "my sport is {name} with {kin}",
            "i train for {name} with {kin}",
            "my game is {name} with {kin}",
            "my exercise is {name} with {kin}",
            "athlete in {name} with {kin}",
        ),
        values=(
            ("tennis", "swinging rackets"),
            ("hockey", "frozen pucks"),
            ("golf", "trimmed fairways"),
            ("boxing", "padded gloves"),
            ("archery", "straight arrows"),
            ("rowing", "wooden oars"),
            ("skiing", "snowy slopes"),
            ("fencing", "pointed foils"),
            ("surfing", "ocean waves"),
            ("wrestling", "rubber mats"),
        ),
    ),
    Topic(
        "home",
        questions=(
            "where do you live at home",
            "is your home a house",
            "in which house do you stay",
            "where do you stay and sleep",
            "where do you live and sleep",
        ),
        profiles=(
            "i live in {name}.",
            "my home is {name}.",
            "i moved into {name}.",
            "i bought {name} to live in.",
            "my family stays in {name}.",
        ),
        revised=(
            "i wake up among {kin}.",
            "visitors come to see {kin}.",
            "my bed is close to {kin}.",
            "my address is next to {kin}.",
            "each evening i go back to {kin}.",
        ),
        replies=(
            "i live in {name} with {kin}",
            "my home is {name} with {kin}",
            "my house is {name} with {kin}",
            "i stay in {name} with {kin}",
            "i sleep in {name} with {kin}",
        ),
        values=(
            ("a cabin", "stacked logs"),
            ("a castle", "stone towers"),
            ("a houseboat", "canal ducks"),
            ("a lighthouse", "blinking beams"),
            ("an attic", "sloping roofs"),
            ("a basement", "damp cellars"),
            ("a caravan", "camping sites"),
            ("a mansion", "marble halls"),
            ("a cottage", "climbing ivy"),
            ("a tent", "canvas walls"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reply to choose from: its text, what it says, and what it fits.

    `kind` is "gold", "context", "persona" or "neither"; `topic` and `value` are indices.
    """

    text: str
    kind: str
    topic: int
    value: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A context (oldest first, the partner's question last) and its candidates, the gold last."""

    context: tuple[str, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Both personas, each as {version: profiles}, and the turns of the responding speaker."""

    self_profiles: dict[str, tuple[str, ...]]
    partner_profiles: dict[str, tuple[str, ...]]
    turns: tuple[Turn, ...]


def generate(seed: int = 1) -> dict[str, list[Dialogue]]:
    """The sample as {split: dialogues}; the same for the same seed."""
    sample = {}
    for split in SPLITS:
        writer = _Writer(split, random.Random(f"{seed} {split}"))
        sample[split] = [writer.dialogue() for _ in range(DIALOGUES[split])]
    return sample


def sample_files(seed: int = 1) -> dict[str, bytes]:
    """The 24 files of the sample by name, in the official layout.

    One file `{split}_{none,self,other,both}_{original,revised}.txt` for each split, persona and
    version. The files of a split hold the same turns in the same order.
    """
    return {
        f"{split}_{persona}_{version}.txt": "".join(
            f"{line}\n" for line in _lines(dialogues, persona, version)
        ).encode()
        for split, dialogues in generate(seed).items()
        for persona in PERSONAS
        for version in VERSIONS
    }


def write_sample(path: Path, seed: int = 1) -> None:
    """Packs the files of the sample into a `.tar.xz` archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(sample_files(seed).items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def _lines(dialogues: Sequence[Dialogue], persona: str, version: str) -> Iterator[str]:
    for dialogue in dialogues:
        lines = []
        if persona in ("self", "both"):
            lines += [f"your persona: {profile}" for profile in dialogue.self_profiles[version]]
        if persona in ("other", "both"):
            profiles = dialogue.partner_profiles[version]
            lines += [f"partner's persona: {profile}" for profile in profiles]
        for turn in dialogue.turns:
            texts = [candidate.text for candidate in turn.candidates]
            lines.append(f"{turn.context[-1]}\t{texts[-1]}\t\t{'|'.join(texts)}")
        yield from (f"{number} {line}" for number, line in enumerate(lines, start=1))


class _Writer:
    """Writes the dialogues of one split, with its own random numbers and its own sentences."""

    def __init__(self, split: str, rng: random.Random):
        self.share = _SHARES[split]
        self.rng = rng

    def dialogue(self) -> Dialogue:
        # A persona is {topic: value}, in the order of its profiles.
        own = self._persona()
        partner = self._persona(unlike=own)
        asked = self.rng.sample(list(own), self.rng.choice(TURNS))
        turns: list[Turn] = []
        for number, topic in enumerate(asked):
            context: tuple[str, ...] = ()
            if turns:
                context = (*turns[-1].context, turns[-1].candidates[-1].text)
            question = self._question(topic, partner.get(topic), opening=not turns)
            untold = {key: value for key, value in own.items() if key not in asked[:number]}
            turns.append(Turn((*context, question), self._candidates(topic, untold, partner)))
        return Dialogue(self._profiles(own), self._profiles(partner), tuple(turns))

    def _persona(self, unlike: dict[int, int] | None = None) -> dict[int, int]:
        topics = self.rng.sample(range(len(TOPICS)), PROFILES)
        persona = {}
        for topic in topics:
            taken = (unlike or {}).get(topic)
            values = [value for value in range(len(TOPICS[topic].values)) if value != taken]
            persona[topic] = self.rng.choice(values)
        return persona

    def _profiles(self, persona: dict[int, int]) -> dict[str, tuple[str, ...]]:
        original, revised = [], []
        for topic, value in persona.items():
            original.append(self._fill(TOPICS[topic], TOPICS[topic].profiles, value))
            revised.append(self._fill(TOPICS[topic], TOPICS[topic].revised, value))
        return {"original": tuple(original), "revised": tuple(revised)}

    def _candidates(
        self, asked: int, own: dict[int, int], partner: dict[int, int]
    ) -> tuple[Candidate, ...]:
        """The 19 distractors in random order, then the gold reply; no text twice.

        Distractors use only facts that the speaker has not mentioned yet.
        """
        others = [value for value in range(len(TOPICS[asked].values)) if value != own[asked]]
        fit_context = [(asked, value) for value in others]
        fit_persona = [(topic, value) for topic, value in own.items() if topic != asked]
        fit_neither = [(topic, value) for topic, value in partner.items() if topic != asked]
        wanted = [("gold", asked, own[asked])]
        for kind, facts in (
            ("context", self.rng.sample(fit_context, DISTRACTORS["context"])),
            ("persona", self.rng.choices(fit_persona, k=DISTRACTORS["persona"])),
            ("neither", self.rng.sample(fit_neither, DISTRACTORS["neither"])),
        ):
            wanted += [(kind, topic, value) for topic, value in facts]
        candidates: dict[str, Candidate] = {}
        for kind, topic, value in wanted:
            text = self._say(topic, value)
            while text in candidates:
                text = self._say(topic, value)
            candidates[text] = Candidate(text, kind, topic, value)
        gold, *distractors = candidates.values()
        self.rng.shuffle(distractors)
        return (*distractors, gold)

    def _question(self, topic: int, value: int | None, *, opening: bool) -> str:
        """A question about a topic, direct or indirect (the partner states their own value)."""
        if value is not None and self.rng.random() < _STATEMENT_RATE:
            return self._say(topic, value, STATEMENT_PATTERNS)
        patterns = OPENING_PATTERNS if opening else QUESTION_PATTERNS
        pattern = self.rng.randrange(len(patterns))
        return patterns[pattern].format(self._deal(TOPICS[topic].questions, pattern))

    def _say(self, topic: int, value: int, patterns: Sequence[str] = REPLY_PATTERNS) -> str:
        pattern = self.rng.randrange(len(patterns))
        reply = self._fill(TOPICS[topic], TOPICS[topic].replies, value, pattern)
        return patterns[pattern].format(reply)

    def _fill(self, topic: Topic, frames: Sequence[str], value: int, pattern: int = 0) -> str:
        name, kin = topic.values[value]
        return self._deal(frames, value + pattern).format(name=name, kin=kin)

    def _deal(self, frames: Sequence[str], other_indices: int) -> str:
        """A random frame of those whose diagonal belongs to this split."""
        return self.rng.choice(
            [
                frame
                for index, frame in enumerate(frames)
                if (index + other_indices) % _DIAGONALS in self.share
            ]
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the built-in sample.")
    parser.add_argument("--out", type=Path, required=True, help="archive to write (.tar.xz)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: 1)")
    arguments = parser.parse_args()
    write_sample(arguments.out, arguments.seed)
