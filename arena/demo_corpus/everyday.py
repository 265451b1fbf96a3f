"""The demo's prompts about cooking, habits and the people one knows."""

from arena.demo_corpus.families import OPEN, Family, Kind, subjects_from

DISHES = Family(
    key="dish",
    kinds=(
        Kind("make", ("step",), ("How do I make {it}?", "Teach me to cook {it}.")),
        Kind("buy", ("buy",), ("What do I need for {it}?", "What should I buy to make {it}?")),
        Kind("side", ("side",), ("What goes well with {it}?", "What can I serve with {it}?")),
        Kind("taste", ("taste",), ("What should {it} taste like?", "Describe the taste of {it}.")),
        Kind("about", OPEN, ("Tell me about {it}.", "I want to try {it}.")),
        Kind("rescue", ("fault",), ("What can go wrong with {it}?", "Why did I fail to make good {it}?")),
    ),
    aspects={
        "step": ("To make {it}, {step}.", "The trick with {it} is to {step}."),
        "buy": ("For {it}, you need {buy}.", "Buy {buy} for the {it}."),
        "side": ("Serve the {it} with {side}.", "I like {it} best with {side}."),
        "taste": ("Good {it} should taste {taste}.", "Expect the {it} to be {taste}."),
        "fault": ("You spoil {it} if you {fault}.", "When you make {it}, never {fault}."),
    },
    subjects=subjects_from(
        """
        soup
            it: tomato soup
            step: roast the tomatoes first / simmer it for an hour
            buy: ripe tomatoes / basil
            side: toasted bread / a spoon of cream
            taste: fruity and warm / slightly sweet
            fault: let it boil over / forget the salt
        pancakes
            it: pancakes
            step: let the batter rest / turn them only once
            buy: eggs and flour / fresh milk
            side: maple syrup / blueberries
            taste: light and golden / buttery
            fault: stir the batter too long / heat the pan too little
        pie
            it: apple pie
            step: keep the butter cold / bake it until it is brown
            buy: sour apples / cinnamon
            side: vanilla ice cream / whipped cream
            taste: crisp and spicy / tart and sweet
            fault: roll the pastry too thick / cut it while it is hot
        rice
            it: fried rice
            step: use rice from the day before / fry it in small batches
            buy: spring onions / soy sauce
            side: a fried egg / pickled cucumber
            taste: smoky and salty / rich but not greasy
            fault: crowd the pan / add water
        curry
            it: vegetable curry
            step: toast the spices / add the coconut milk slowly
            buy: lentils and carrots / ginger
            side: steamed rice / mango chutney
            taste: hot and creamy / deeply spicy
            fault: burn the garlic / rush the onions
        salad
            it: potato salad
            step: dress the potatoes while warm / slice them thinly
            buy: waxy potatoes / mustard
            side: smoked sausages / radishes
            taste: fresh and tangy / mild and creamy
            fault: peel the potatoes too late / drown it in oil
        bread
            it: banana bread
            step: mash very ripe bananas / bake it for fifty minutes
            buy: black bananas / walnuts
            side: salted butter / a cup of tea
            taste: moist and dark / sweet and nutty
            fault: open the oven early / pick green bananas
        pasta
            it: garlic pasta
            step: save a cup of the water / warm the oil slowly
            buy: spaghetti / olive oil
            side: grated cheese / a glass of wine
            taste: simple and sharp / silky and bold
            fault: overcook the noodles / fry the garlic black
        """
    ),
)

HABITS = Family(
    key="habit",
    kinds=(
        Kind("how", ("advice",), ("How can I {do}?", "Please help me to {do}.")),
        Kind("start", ("start",), ("Give me one small step to {do}.", "How do I start to {do}?")),
        Kind("why", ("gain",), ("Why should I {do}?", "What do I gain if I {do}?")),
        Kind("about", OPEN, ("I want to {do}.", "Tell me how people {do}.")),
        Kind("trouble", ("comfort",), ("I tried to {do} and failed.", "I find it hard to {do}.")),
    ),
    aspects={
        "advice": ("If you want to {do}, {advice}.", "The best way to {do} is to {advice}."),
        "start": ("To {do}, first {start}.", "A small step to {do} is to {start}."),
        "gain": ("When you {do}, {gain}.", "It is good to {do} because {gain}."),
        "comfort": (
            "It takes time to {do}, so {start}.",
            "Everybody who tries to {do} fails at first, so {advice}.",
        ),
    },
    subjects=subjects_from(
        """
        sleep
            do: sleep better
            advice: go to bed at the same hour / keep the bedroom dark
            start: put the phone away at nine / open the window
            gain: your mind is clear / you are patient all day
        water
            do: drink more water
            advice: keep a bottle on your desk / add a slice of lemon
            start: drink a glass after waking up / carry a small cup
            gain: your head aches less / your skin looks fresh
        language
            do: learn a language
            advice: talk to somebody every day / watch films without subtitles
            start: learn five words today / label the kitchen
            gain: new friends understand you / travelling is more fun
        money
            do: save money
            advice: cook at home / write down what you spend
            start: put one coin in a jar / cancel one subscription
            gain: a broken fridge is no disaster / you can plan a holiday
        read
            do: read more books
            advice: carry a novel everywhere / join a book club
            start: read two pages tonight / borrow a thin book
            gain: you discover other worlds / your evenings become calm
        early
            do: get up early
            advice: go to bed sooner / place the alarm far away
            start: wake up five minutes earlier / prepare breakfast at night
            gain: the quiet morning is yours / you see the sun rise
        tidy
            do: keep the flat tidy
            advice: give everything its own place / clean up for ten minutes a day
            start: clear the chair / fill one bag with old things
            gain: you find your keys / guests can come any time
        run
            do: run five kilometres
            advice: run slowly and walk in between / train on three days a week
            start: buy good shoes / jog around the block
            gain: stairs become easy / your heart gets stronger
        friends
            do: make new friends
            advice: invite a neighbour for coffee / take part in a course
            start: smile at one person / ask a simple question
            gain: someone laughs with you / weekends are less lonely
        """
    ),
)

PEOPLE = Family(
    key="person",
    kinds=(
        Kind("gift", ("gift",), ("What can I give {my} as a present?", "I need a gift for {my}.")),
        Kind(
            "thanks",
            ("thanks",),
            ("Write a thank-you note to {my}.", "What can I write to {my} to say thanks?"),
            more=("wish",),
        ),
        Kind("visit", ("visit",), ("What can I do with {my} on Sunday?", "Plan an afternoon with {my}.")),
        Kind("about", OPEN, ("I want to please {my}.", "Help me to make {my} happy.")),
        Kind("praise", ("praise",), ("Say something nice about {my}.", "Write a compliment for {my}.")),
    ),
    aspects={
        "gift": ("{your} would enjoy {gift}.", "You could give {your} {gift}."),
        "thanks": ("Dear {name}, thank you for {deed}.", "{name}, I will not forget {deed}."),
        "wish": ("{name}, I hope that we can soon {visit}.", "{name}, you have {praise}."),
        "visit": ("You could {visit} with {your}.", "Ask {your} to {visit}."),
        "praise": ("{your} has {praise}.", "{your} deserves thanks for {deed}."),
    },
    subjects=subjects_from(
        """
        grandmother
            my: my grandmother
            your: your grandmother
            name: grandmother
            gift: a photo album / a soft scarf
            deed: the warm socks / your Sunday cakes
            visit: look at old pictures / play cards
            praise: a story for every day / the warmest kitchen
        brother
            my: my brother
            your: your brother
            name: brother
            gift: concert tickets / a pocket knife
            deed: the loan of your bicycle / your help with the move
            visit: play table tennis / repair the old radio
            praise: a joke for every moment / nerves of steel
        teacher
            my: my teacher
            your: your teacher
            name: teacher
            gift: a fountain pen / a pot of tulips
            deed: your patience / the extra lessons
            visit: visit the museum / discuss a poem
            praise: a clear voice / endless patience
        neighbour
            my: my neighbour
            your: your neighbour
            name: neighbour
            gift: a jar of jam / home-made biscuits
            deed: watering my plants / taking in my parcels
            visit: drink tea on the balcony / plant tomatoes
            praise: an open door / a green thumb
        friend
            my: my best friend
            your: your best friend
            name: friend
            gift: a day at the spa / a playlist of old songs
            deed: listening all night / the surprise party
            visit: walk along the canal / try the new bakery
            praise: a loyal heart / an honest answer
        aunt
            my: my aunt
            your: your aunt
            name: aunt
            gift: a silk fan / a box of pralines
            deed: the trip to the opera / your funny letters
            visit: go to the flea market / sing old hits
            praise: a wonderful laugh / great taste in hats
        """
    ),
)
