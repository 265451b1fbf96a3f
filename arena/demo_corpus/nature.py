"""The demo's prompts about animals, places and weather."""

from arena.demo_corpus.families import OPEN, Family, Kind, subjects_from

ANIMALS = Family(
    key="animal",
    kinds=(
        Kind(
            "story",
            ("story",),
            ("Tell me a short story about {it}.", "Write a little story with {it} in it."),
            more=("ending",),
        ),
        Kind("look", ("look",), ("What does {it} look like?", "How do I recognise {it}?")),
        Kind("food", ("food",), ("What does {it} eat?", "What is the favourite food of {it}?")),
        Kind("home", ("home",), ("Where does {it} live?", "Where could I see {it}?")),
        Kind("about", OPEN, ("Tell me about {it}.", "What do you know about {it}?")),
        Kind("name", ("name",), ("Suggest a name for {it}.", "How should I call {it} in my story?")),
    ),
    aspects={
        "story": (
            "One evening, {it} called {name} went out to look for {food}.",
            "Once there was {it} called {name} who lived {home}.",
        ),
        "ending": (
            "In the end, {it} with {look} became a good friend.",
            "When the moon rose, {it} fell asleep {home}.",
        ),
        "look": ("{it} has {look}.", "You know {it} by {look}."),
        "food": ("{it} eats {food}.", "Nothing makes {it} happier than {food}."),
        "home": ("{it} lives {home}.", "You may find {it} {home}."),
        "name": ("{name} is a good name for {it}.", "I would call {it} {name}."),
    },
    subjects=subjects_from(
        """
        cat
            it: a cat
            look: soft fur and green eyes / white paws and a long tail
            food: fish / a bowl of milk
            home: by the warm stove / on a sunny roof
            name: Minka / Tiger
        dog
            it: a dog
            look: a wet nose and a wagging tail / floppy ears and kind eyes
            food: a big bone / crunchy biscuits
            home: beside the front door / on an old blanket
            name: Bruno / Lucky
        fox
            it: a fox
            look: a red coat and a bushy tail / pointed ears and black feet
            food: wild berries / mice
            home: at the edge of the wood / in a den under the hill
            name: Rusty / Ember
        owl
            it: an owl
            look: round eyes and silent wings / brown feathers and a hooked beak
            food: beetles / mice
            home: in a hollow oak / in the church tower
            name: Luna / Professor
        hedgehog
            it: a hedgehog
            look: thousands of tiny spines / a pointed nose and short legs
            food: worms / fat slugs
            home: under a pile of leaves / in the garden hedge
            name: Prickles / Pepper
        bee
            it: a bee
            look: golden stripes and thin wings / a furry back
            food: sweet nectar / yellow pollen
            home: in a busy hive / near the clover field
            name: Honey / Dot
        horse
            it: a horse
            look: a shining mane and strong legs / large gentle eyes
            food: fresh hay / apples
            home: in a quiet stable / on the green meadow
            name: Star / Thunder
        squirrel
            it: a squirrel
            look: a tail as long as its body / red fur and quick paws
            food: hazelnuts / pine seeds
            home: high up in a pine tree / in the city park
            name: Hazel / Flick
        otter
            it: an otter
            look: thick fur and webbed feet / long whiskers and a flat head
            food: river crabs / trout
            home: along the clear river / in a bank of stones
            name: Ripple / Skipper
        """
    ),
)

PLACES = Family(
    key="place",
    kinds=(
        Kind("describe", ("sight",), ("Describe a morning {at}.", "What does it look like {at}?")),
        Kind("activity", ("activity",), ("What can I do {at}?", "How could I spend a day {at}?")),
        Kind("pack", ("pack",), ("What should I pack for a day {at}?", "What do I need for a trip to {it}?")),
        Kind("about", OPEN, ("Tell me about {it}.", "I have never been to {it}.")),
        Kind("sound", ("sound",), ("What can I hear {at}?", "Which sounds belong to {it}?")),
        Kind(
            "postcard",
            ("postcard",),
            ("Write a postcard from {it}.", "Send me a greeting from {it}."),
            more=("plan",),
        ),
    ),
    aspects={
        "sight": ("{at}, you can see {sight}.", "The morning {at} begins with {sight}."),
        "activity": ("{at}, you can {activity}.", "Many people go to {it} to {activity}."),
        "pack": ("For a day {at}, pack {pack}.", "Do not go to {it} without {pack}."),
        "sound": ("{at}, you can hear {sound}.", "Listen to {sound} {at}."),
        "postcard": (
            "Greetings from {it}, where I want to {activity}.",
            "As I write to you, I hear {sound} {at}.",
        ),
        "plan": ("Today I saw {sight} {at}.", "Next time {at}, I will bring {pack}."),
    },
    subjects=subjects_from(
        """
        beach
            it: the beach
            at: at the beach
            sight: small waves and white sand / gulls above the water
            activity: build a castle of sand / collect shells
            pack: a towel / sun cream
            sound: the waves / crying gulls
        forest
            it: the forest
            at: in the forest
            sight: sunlight between the trees / moss on old trunks
            activity: look for mushrooms / follow a hidden path
            pack: sturdy boots / a map
            sound: a woodpecker / the wind in the leaves
        lake
            it: the lake
            at: at the lake
            sight: mist over still water / a wooden pier
            activity: row a small boat / swim to the island
            pack: a fishing rod / a picnic basket
            sound: jumping fish / oars in the water
        market
            it: the market
            at: at the market
            sight: baskets full of apples / flowers in every colour
            activity: taste different cheeses / buy ripe tomatoes
            pack: a big bag / some coins
            sound: sellers calling out their prices / a street musician
        harbour
            it: the harbour
            at: at the harbour
            sight: fishing boats coming home / nets drying in the sun
            activity: watch the ships / eat fried fish
            pack: a warm jacket / binoculars
            sound: a ship's horn / ropes against the masts
        library
            it: the library
            at: in the library
            sight: long shelves of books / a reading lamp by the window
            activity: read in a deep armchair / borrow a novel
            pack: a notebook / reading glasses
            sound: turning pages / a whisper between the shelves
        mountain
            it: the mountain
            at: on the mountain
            sight: snow on the peaks / a valley full of clouds
            activity: hike to the hut / count the peaks
            pack: a rope / a bottle of water
            sound: cow bells / falling stones
        """
    ),
)

WEATHER = Family(
    key="weather",
    kinds=(
        Kind("why", ("cause",), ("Why is there {it}?", "Where does {it} come from?")),
        Kind("child", ("image",), ("Explain {it} to a child.", "What can {it} be compared with?")),
        Kind("enjoy", ("enjoy",), ("What is nice to do when there is {it}?", "How can I enjoy {it}?")),
        Kind("about", OPEN, ("Tell me about {it}.", "What do you know about {it}?")),
        Kind("signs", ("sign",), ("How can I tell that there will be {it}?", "What are the signs of {it}?")),
    ),
    aspects={
        "cause": ("There is {it} when {cause}.", "We get {it} because {cause}."),
        "image": ("Think of {it} as {image}.", "To a child, {it} can be {image}."),
        "enjoy": ("When there is {it}, {enjoy}.", "The best thing to do in {it} is to {enjoy}."),
        "sign": ("Before {it} comes, {sign}.", "Expect {it} as soon as {sign}."),
    },
    subjects=subjects_from(
        """
        rain
            it: rain
            cause: drops in the clouds grow heavy / warm air rises and cools
            image: a shower for the flowers / tears of a passing cloud
            enjoy: jump into puddles / bake a cake
            sign: the swallows fly low / the sky turns grey
        snow
            it: snow
            cause: water freezes inside the clouds / the air is below zero
            image: a white blanket / feathers from a giant pillow
            enjoy: build a snowman / pull out the sledge
            sign: the air smells crisp / the clouds look yellow
        thunder
            it: thunder
            cause: lightning heats the air / hot air bursts apart
            image: a drum behind the hills / furniture moved upstairs
            enjoy: count the seconds / tell ghost stories
            sign: the air feels sticky / dark towers stand in the west
        fog
            it: fog
            cause: damp air cools near the ground / a cold night follows a wet day
            image: a cloud that sat down / milk poured over the fields
            enjoy: light a candle / walk slowly and listen
            sign: the meadows start to steam / the moon has a ring
        wind
            it: wind
            cause: air flows from high to low pressure / the sun warms the land unevenly
            image: the breath of the sky / an invisible broom
            enjoy: fly a kite / sail a paper boat
            sign: thin clouds race by / the treetops begin to sway
        frost
            it: frost
            cause: the ground loses its warmth at night / dew turns to ice
            image: sugar on the grass / silver paint on the window
            enjoy: draw on the window / drink hot chocolate
            sign: the stars are very bright / the night is still and clear
        """
    ),
)
