"""The words of the built-in sample: topics, their values, and the frames that talk about them.

A value has two faces: its *name* ("a baker") and its *kin*, something that goes with it ("glowing
ovens"). Original profiles say the name, revised profiles the kin, replies both: that is where the
two can be learnt to belong together. The words of a value occur in no other value and no frame.

A topic has a few words of its own ("job", "career"). A question says two of them and a reply one,
whatever its value, so that no more than their neighbourhood tells which reply answers a question.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One thing that people say about themselves.

    Args:
        name: What the topic is called in this file.
        questions: How the other speaker asks about it, without the question mark.
        profiles: Frames of original profiles; `{name}` is filled in.
        revised: Frames of revised profiles; `{kin}` is filled in.
        replies: Frames of replies; `{name}` and `{kin}` are filled in.
        values: Pairs (name, kin).
    """

    name: str
    questions: tuple[str, ...]
    profiles: tuple[str, ...]
    revised: tuple[str, ...]
    replies: tuple[str, ...]
    values: tuple[tuple[str, str], ...]


# Around a reply, around the question that opens a dialogue, and around a later question.
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

# Around a reply of the partner's own, which asks by telling.
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
