"""The words of the built-in sample: topics, their values, and the frames that talk about them.

A value has two faces: its *name* ("a baker") and its *kin*, something that goes with it ("glowing
ovens"). Original profiles say the name, revised profiles the kin, replies the name and now and
then both. No content word belongs to two values, to two topics, or to a value and a frame, and
every value of a topic fits every frame of that topic.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One thing that people say about themselves.

    Args:
        name: What the topic is called here; no text contains it on purpose.
        questions: How the other speaker asks about it, without the question mark.
        profiles: Frames of original profiles; `{name}` is filled in.
        revised: Frames of revised profiles; `{kin}` is filled in.
        replies: Frames of replies; `{name}`, and in some `{kin}` too, is filled in.
        values: Pairs (name, kin).
    """

    name: str
    questions: tuple[str, ...]
    profiles: tuple[str, ...]
    revised: tuple[str, ...]
    replies: tuple[str, ...]
    values: tuple[tuple[str, str], ...]


# What is put around a reply, around the question that opens a dialogue, and around a later one.
REPLY_PATTERNS = tuple(
    f"{lead} {{}} {tail}"
    for lead in (
        "well ,",
        "oh ,",
        "honestly ,",
        "ha ,",
        "actually ,",
        "yes ,",
        "sure ,",
        "hmm ,",
        "ah ,",
        "okay ,",
    )
    for tail in ("lately", "now", "anyway", "really", "currently", "again")
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
STATEMENT_PATTERNS = (
    "{} , and you ?",
    "{} , you too ?",
    "{} , you ?",
    "{} , how about you ?",
    "{} , what about you ?",
)

TOPICS = (
    Topic(
        "work",
        questions=(
            "what do you do for work",
            "what is your job",
            "how do you earn money",
            "which profession is yours",
            "what career did you choose",
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
            "i am {name}",
            "people know me as {name}",
            "i became {name}",
            "i am {name} and see {kin}",
            "being {name} means {kin}",
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
            ("a miner", "deep tunnels"),
            ("a dentist", "aching teeth"),
        ),
    ),
    Topic(
        "pet",
        questions=(
            "do you have any pets",
            "which animal do you own",
            "is there a pet around",
            "what creature do you feed",
            "are you an animal person",
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
            "i look after {name}",
            "i keep {name}",
            "{name} lives with me",
            "i keep {name} with {kin}",
            "{name} with {kin} is mine",
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
            ("a goose", "webbed feet"),
            ("a goat", "curved horns"),
        ),
    ),
    Topic(
        "food",
        questions=(
            "what is your favorite food",
            "what do you like to eat",
            "which dish makes you hungry",
            "what would you order for lunch",
            "what meal do you prefer",
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
            "{name} for me",
            "i love {name}",
            "i never refuse {name}",
            "i love {name} with {kin}",
            "{name} and {kin} for me",
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
            ("omelettes", "beaten eggs"),
            ("meatloaf", "minced beef"),
        ),
    ),
    Topic(
        "instrument",
        questions=(
            "do you play any music",
            "which instrument do you play",
            "are you a musician",
            "what would you play in a band",
            "can you perform a song",
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
            "i practise {name}",
            "{name} keeps me up late",
            "i am good at {name}",
            "i practise {name} with {kin}",
            "{name} and {kin} thrill me",
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
            ("the accordion", "squeezed bellows"),
            ("the saxophone", "smoky jazz"),
        ),
    ),
    Topic(
        "sport",
        questions=(
            "do you do any sport",
            "how do you stay fit",
            "which game do you train for",
            "what exercise do you get",
            "are you an athlete",
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
            "i compete in {name}",
            "i am into {name}",
            "{name} gets me moving",
            "i compete in {name} with {kin}",
            "{name} and {kin} get me moving",
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
            ("cricket", "fallen wickets"),
            ("judo", "knotted belts"),
        ),
    ),
    Topic(
        "home",
        questions=(
            "where do you live",
            "what is your home like",
            "which place do you call home",
            "what kind of house is yours",
            "where do you stay at night",
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
            "i settled in {name}",
            "{name} is where i sleep",
            "i rent {name}",
            "i rent {name} with {kin}",
            "{name} gives me {kin}",
        ),
        values=(
            ("a cabin", "stacked logs"),
            ("a castle", "stone towers"),
            ("a houseboat", "canal water"),
            ("a lighthouse", "blinking beams"),
            ("an attic", "sloping roofs"),
            ("a basement", "damp cellars"),
            ("a caravan", "camping sites"),
            ("a mansion", "marble halls"),
            ("a cottage", "climbing ivy"),
            ("a tent", "canvas walls"),
            ("an igloo", "icy blocks"),
            ("a penthouse", "skyline views"),
        ),
    ),
    Topic(
        "hobby",
        questions=(
            "what is your hobby",
            "how do you relax",
            "what do you do for fun",
            "how do you spend your free time",
            "which pastime do you enjoy",
        ),
        profiles=(
            "my hobby is {name}.",
            "i relax with {name}.",
            "i spend my free time on {name}.",
            "i enjoy {name} after hours.",
            "my pastime is {name}.",
        ),
        revised=(
            "my shelf is packed with {kin}.",
            "sundays are made for {kin}.",
            "{kin} can calm me down.",
            "on holiday i carry {kin}.",
            "i forget the clock over {kin}.",
        ),
        replies=(
            "i am busy with {name}",
            "i got hooked on {name}",
            "{name} makes me happy",
            "i am busy with {name} and {kin}",
            "{name} and {kin} make me happy",
        ),
        values=(
            ("knitting", "woollen yarn"),
            ("pottery", "wet clay"),
            ("gardening", "planted seeds"),
            ("chess", "captured knights"),
            ("photography", "camera lenses"),
            ("origami", "folded squares"),
            ("sewing", "threaded needles"),
            ("astronomy", "distant galaxies"),
            ("fishing", "wriggling worms"),
            ("calligraphy", "black ink"),
            ("juggling", "flying balls"),
            ("painting", "watercolour brushes"),
        ),
    ),
    Topic(
        "vehicle",
        questions=(
            "what do you drive",
            "how do you get to town",
            "which car is yours",
            "what vehicle do you use",
            "how do you travel on roads",
        ),
        profiles=(
            "i drive {name}.",
            "my vehicle is {name}.",
            "i go to town by {name}.",
            "i travel everywhere by {name}.",
            "i saved up to buy {name}.",
        ),
        revised=(
            "traffic jams show me {kin}.",
            "my garage is ready for {kin}.",
            "across the country i have {kin}.",
            "my commute comes with {kin}.",
            "a mechanic repaired {kin}.",
        ),
        replies=(
            "i steer {name}",
            "{name} brings me around",
            "i count on {name}",
            "i steer {name} with {kin}",
            "{name} with {kin} is my ride",
        ),
        values=(
            ("a truck", "heavy cargo"),
            ("a scooter", "buzzing engines"),
            ("a van", "sliding doors"),
            ("a jeep", "rocky trails"),
            ("a convertible", "folding tops"),
            ("a motorcycle", "leather jackets"),
            ("a limousine", "tinted glass"),
            ("a taxi", "paying passengers"),
            ("a minibus", "spare seats"),
            ("a sedan", "plain bumpers"),
            ("a tram", "steel rails"),
            ("a bicycle", "oiled chains"),
        ),
    ),
)
