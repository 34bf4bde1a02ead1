"""The English of TinyTales: the words for the keys of world.py, and the sentences."""

from __future__ import annotations

from happyllm.data.tinytales.language import Language

NAMES = (
    "Tom", "Anna", "Ben", "Lily", "Sam", "Mia", "Jack", "Rose",
    "Max", "Lucy", "Leo", "Emma", "Tim", "Nora", "Paul", "Ella",
)  # fmt: skip

AT = {
    "park": "in the park", "garden": "in the garden", "kitchen": "in the kitchen",
    "school": "at the school", "market": "at the market", "forest": "in the forest",
    "river": "at the river", "farm": "on the farm", "library": "in the library",
    "beach": "on the beach", "hill": "on the hill", "yard": "in the yard",
    "shop": "in the shop", "station": "at the station", "bridge": "on the bridge",
    "museum": "in the museum",
}  # fmt: skip

SPOTS = {
    "box": "in a box", "basket": "in a basket", "bench": "under a bench", "chair": "on a chair",
    "wall": "behind a wall", "table": "on a table", "door": "behind a door",
    "stone": "under a stone",
}  # fmt: skip

JOBS = {
    "chest": ("open the old chest", "opened the old chest"),
    "hole": ("make a hole", "made a hole"),
    "toy": ("fix the toy", "fixed the toy"),
    "ice": ("break the ice", "broke the ice"),
    "line": ("draw a line in the sand", "drew a line in the sand"),
    "lid": ("lift the lid", "lifted the lid"),
}

PURPOSES = {
    "rest": "rest", "draw": "draw a picture", "play": "play a game", "sing": "sing a song",
    "read": "read a story", "eat": "eat lunch", "wait": "wait for a friend", "dance": "dance",
}  # fmt: skip

REASONS = {
    "song": "{he} heard a nice song", "letter": "{he} got a letter", "sun": "the sun came out",
    "friend": "a friend came to visit",
    "rain": "it was raining", "brother": "{he} missed {his} brother",
    "alone": "nobody wanted to play", "plate": "{his} plate broke",
    "long_way": "the way was long", "early": "{he} got up early",
    "work": "{he} worked hard", "bag": "{his} bag was heavy",
    "thunder": "there was thunder", "dark": "it was getting dark",
    "bear": "a big bear came", "noise": "there was a loud noise",
}  # fmt: skip

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VERBS = {
    "apples": "picked", "pears": "picked", "flowers": "picked", "shells": "collected",
    "stones": "collected", "leaves": "collected", "nuts": "collected", "eggs": "collected",
}  # fmt: skip

OPENINGS = (
    "It was a warm day.", "It was a cold day.",
    "Once upon a time there was a small town.", "It was a quiet morning.",
    "The sun was shining.", "It was the first day of spring.", "The wind was soft that day.",
)  # fmt: skip

# {A} begins a sentence and {a} does not: the name, or he or she where that is clear.
TELL = {
    "go": (
        "{A} went to the {place}.", "{A} walked to the {place}.", "{A} ran to the {place}.",
        "Then {a} went to the {place}.", "After a while {a} went to the {place}.",
        "{A} took the road to the {place}.",
    ),
    "go for": (
        "{A} went to the {place} to {purpose}.", "{A} walked to the {place} to {purpose}.",
        "Then {a} went to the {place} to {purpose}.",
        "{A} wanted to {purpose}, so {he} went to the {place}.",
    ),
    "find": (
        "{A} found a {colour} {thing} {at}.", "{At} {a} found a {colour} {thing}.",
        "Look! {At} {a} found a {colour} {thing}.",
        "{A} looked around {at} and found a {colour} {thing}.",
    ),
    "see": (
        "{A} saw a {thing} {at}.", "{At} {a} saw a {thing}.", "{A} stopped and saw a {thing}.",
        "Suddenly {a} saw a {thing}.",
    ),
    "collect": (
        "{A} {verb} {count} {thing}.", "{At} {a} {verb} {count} {thing}.",
        "Then {a} {verb} {count} {thing}.",
    ),
    "like": (
        "{A} said, “I like {thing}.”", "“I like {thing},” said {name}.",
        "“What do you like?” “I like {thing},” said {name}.", "{A} liked {thing} best of all.",
    ),
    "give": (
        "{A} gave the {thing} to {other}.", "Then {a} gave the {thing} to {other}.",
        "“This is for you,” said {name} and gave the {thing} to {other}.",
        "{A} gave the {thing} to {other}, and {other} said, “Thank you.”",
    ),
    "put": (
        "{A} put the {thing} {spot}.", "Then {a} put the {thing} {spot}.",
        "{A} put the {thing} {spot} and left it there.",
    ),
    "use": (
        "{A} {did_job} with a {tool}.", "{A} took a {tool} and {did_job} with it.",
        "Then {a} {did_job} with a {tool}.",
    ),
    "feel": (
        "{A} was {thing} because {reason}.", "{A} felt {thing} because {reason}.",
        "Now {a} was {thing} because {reason}.",
    ),
    "meet": (
        "{A} met {other} {at}.", "{At} {a} met {other}.",
        "{A} met {other}. “Hello, {other}!” said {name}.",
    ),
    "eat": (
        "{A} ate {count} of the {thing}.", "Then {a} ate {count} of the {thing}.",
        "{A} was hungry and ate {count} of the {thing}.",
    ),
}  # fmt: skip

QUESTIONS = {
    "where_now": (
        ("Where is {name} now?", "Where is {name}?", "Where can I find {name}?"),
        "{name} is {at}.",
    ),
    "who_at": (("Who is {at}?", "Who is {at} now?"), "{name}."),
    "why_go": (
        ("Why did {name} go to the {place}?", "Why did {name} walk to the {place}?"),
        "To {purpose}.",
    ),
    "where_next": (("Where did {name} go after the {place0}?",), "To the {place}."),
    "what_next": (("What did {name} do after {he} {done0}?",), "{He} {done}."),
    "what_found": (
        ("What did {name} find?", "Which thing did {name} find?"),
        "A {colour} {thing}.",
    ),
    "who_found": (("Who found the {thing}?", "Who found a {colour} {thing}?"), "{name}."),
    "where_found": (
        ("Where did {name} find the {thing}?", "Where was the {thing} at first?"),
        "{At}.",
    ),
    "colour": (
        ("What colour is the {thing}?", "What is the colour of the {thing}?"),
        "It is {colour}.",
    ),
    "what_saw": (
        ("What did {name} see?", "Which animal did {name} see?"),
        "{name} saw a {thing}.",
    ),
    "who_saw": (("Who saw a {thing}?", "Who saw the {thing}?"), "{name}."),
    "how_many": (
        ("How many {thing} did {name} get?", "How many {thing} did {name} take?"),
        "{name} {verb} {count} {thing}.",
    ),
    "who_collected": (("Who got the {thing}?", "Who took {thing}?"), "{name}."),
    "what_collected": (
        ("What did {name} gather?", "What did {name} bring home?"),
        "{name} {verb} {count} {thing}.",
    ),
    "what_like": (
        ("What does {name} like?", "What does {name} like to eat?"),
        "{name} likes {thing}.",
    ),
    "who_likes": (("Who likes {thing}?", "Who likes to eat {thing}?"), "{name}."),
    "gave_to": (
        ("Who did {name} give the {thing} to?", "To whom did {name} give the {thing}?"),
        "To {other}.",
    ),
    "who_gave": (
        ("Who gave the {thing} to {other}?", "Who gave {other} the {thing}?"),
        "{name}.",
    ),
    "what_gave": (("What did {name} give to {other}?",), "The {thing}."),
    "who_has": (("Who has the {thing} now?", "Who has the {thing}?"), "{name}."),
    "who_put": (("Who put the {thing} {spot}?",), "{name}."),
    "where_put": (("Where is the {thing} now?", "Where is the {thing}?"), "{Spot}."),
    "where_held": (("Where is the {thing0} now?", "Where can I find the {thing0}?"), "{At}."),
    "with_what": (
        ("With what did {name} {do_job}?", "What did {name} use to {do_job}?"),
        "With a {tool}.",
    ),
    "who_used": (("Who {did_job}?", "Who had a {tool}?"), "{name}."),
    "why_feel": (
        ("Why was {name} {thing}?", "Why did {name} feel {thing}?"),
        "Because {reason}.",
    ),
    "how_feel": (("How did {name} feel?", "How was {name}?"), "{Thing}."),
    "who_feels": (("Who was {thing}?", "Who felt {thing}?"), "{name}."),
    "who_met": (
        ("Who did {name} meet?", "Who did {name} meet {at}?"),
        "{name} met {other}.",
    ),
    "how_many_left": (
        ("How many {thing} does {name} have left?", "How many {thing} are left?"),
        "{Left}.",
    ),
}  # fmt: skip

DONE = {
    "go": "went to the {place}",
    "find": "found a {colour} {thing}",
    "see": "saw a {thing}",
    "collect": "{verb} {count} {thing}",
    "give": "gave the {thing} to {other}",
    "put": "put the {thing} {spot}",
    "use": "{did_job} with a {tool}",
    "meet": "met {other}",
    "eat": "ate {count} of the {thing}",
}

RECAPS = (
    "In the evening {name} told {his} mother about the day:",
    "That night {name} wrote in {his} book:",
    "“What did you do today, {name}?” asked Grandmother.",
    "Before {name} went to bed, {he} thought of the day:",
)
RECAP = ("“I {done}.", " I {done}.", "”")

ENDINGS = (
    "It was a good day.", "Then everybody went home.", "And that was the end of the day.",
    "At night the stars came out.", "What a day!", "They all slept well that night.",
)  # fmt: skip

TITLES = ("{name} and the {thing}", "A day {at}", "What {name} did", "The story of {name}")

FACTS = (
    ("What does a cow give?", "Milk.", ("A cow gives milk.", "Milk comes from a cow.")),
    ("What does a hen lay?", "Eggs.", ("A hen lays eggs.", "Eggs come from a hen.")),
    ("What do bees make?", "Honey.", ("Bees make honey.", "Honey is made by bees.")),
    ("Where do fish live?", "In water.", ("Fish live in water.", "In water there are fish.")),
    ("Where do birds live?", "In trees.", ("Birds live in trees.", "A bird has a nest in a tree.")),
    ("What does a horse eat?", "Grass.", ("A horse eats grass.", "Grass is food for a horse.")),
    ("What does a rabbit eat?", "Carrots.", ("A rabbit eats carrots.", "Rabbits love carrots.")),
    ("What colour is the sky?", "Blue.", ("The sky is blue.", "On a clear day the sky is blue.")),
    ("What colour is grass?", "Green.", ("Grass is green.", "In spring the grass is green.")),
    ("What colour is snow?", "White.", ("Snow is white.", "In winter the white snow falls.")),
    ("What colour is the sun?", "Yellow.", ("The sun is yellow.", "The yellow sun is warm.")),
    ("What comes after Monday?", "Tuesday.", ("Tuesday comes after Monday.",)),
    ("What comes after Friday?", "Saturday.", ("Saturday comes after Friday.",)),
    ("What comes after spring?", "Summer.", ("Summer comes after spring.",)),
    ("What comes after summer?", "Autumn.", ("Autumn comes after summer.",)),
    ("What comes after autumn?", "Winter.", ("Winter comes after autumn.",)),
    ("When does the sun come up?", "In the morning.", ("The sun comes up in the morning.",)),
    ("When do we see the moon?", "At night.", ("We see the moon at night.",)),
    ("How many legs has a dog?", "Four.", ("A dog has four legs.", "Dogs run on four legs.")),
    ("How many legs has a bird?", "Two.", ("A bird has two legs.", "Birds hop on two legs.")),
    ("How many days has a week?", "Seven.", ("A week has seven days.", "Seven days are a week.")),
    ("What is the opposite of big?", "Small.", ("The opposite of big is small.",)),
    ("What is the opposite of hot?", "Cold.", ("The opposite of hot is cold.",)),
    ("What is ice made of?", "Water.", ("Ice is made of water.", "Ice is cold, hard water.")),
    ("What do we read?", "Books.", ("We read books.", "Books are there to be read.")),
    ("What do we use in the rain?", "An umbrella.", ("In the rain we use an umbrella.",)),
)

SYSTEMS = (
    "You are a friendly helper. You know stories and answer questions about them.",
    "You answer questions about a story in a few words.",
    "You are a helper who reads with care and answers briefly.",
)

TALKS = (
    (("Hello!", "Hi!", "Good morning!"), "Hello! Tell me a story, or ask me for one."),
    (("Who are you?", "What are you?"), "I am a small language model. I like stories."),
    (("What can you do?", "How can you help me?"), "I tell stories and answer questions."),
    (("Thank you!", "Thanks!"), "You are welcome!"),
    (("Goodbye!", "Bye!"), "Goodbye! Come back soon."),
)

UNKNOWN = "The story does not say."

LESSONS = ("“Who was listening?” asked the teacher.", "Then the teacher asked about the story.")
LESSON = "“{question}” “{answer}”"

WRITES = (
    "Tell me a story about {names}.", "Please tell a story about {names}.",
    "I would like to hear a story about {names}.",
)  # fmt: skip


class English(Language):
    """English: articles, he and she, capitals, a space between sentences."""

    code = "en"
    names = NAMES
    space = " "
    later = ("Then", "After", "Now")
    together = " and "
    tell, questions, done = TELL, QUESTIONS, DONE
    openings, endings, titles = OPENINGS, ENDINGS, TITLES
    facts, systems, talks, writes = FACTS, SYSTEMS, TALKS, WRITES
    unknown, lessons, lesson = UNKNOWN, LESSONS, LESSON
    recaps, recap = RECAPS, RECAP
    pronoun = ("he", "she")
    possessive = ("his", "her")
    at, spots, purposes, reasons = AT, SPOTS, PURPOSES, REASONS
    numbers, verbs, jobs = NUMBERS, VERBS, JOBS

    def capital(self, text: str) -> str:
        """Write the first letter large."""
        return text[0].upper() + text[1:]
