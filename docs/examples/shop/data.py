"""Invented rows for the shop: the same ones for the same seed, on every machine and with every version of Python."""

import datetime
import random

GIVEN = """Ada Bram Chiara Dilan Elif Farid Greta Hugo Inès Jonas Kaito Łucja Maren Nadia Øystein Pilar Quentin Rosa Søren Tomás Ülkü
Viktor Wanda Ximena Yusuf Zoë Anton Birgit Cedric Dörte Emil Fatou Gideon Helga Ivo Jana Kofi Lena Mikael Noor Olga Piet Renée Sami Tuva
Ursel Vera Wim Yara Zdeněk 美咲 健太 Мария Иван Ελένη""".split()
FAMILY = """Abel Brandt Castellan Dahlgren Eriksen Fontaine Grünwald Haddad Ivarsson Jansky Kowal Lindqvist Moreau Nakano Okafor Petrov
Quist Rossi Sørensen Tanaka Ulrich Vasquez Weiß Xanthos Yilmaz Zeman Ackerby Birkwood Copperfield-Lane Drumlin Eastwick Farrow Gladwyn
O'Hollis Ironside Järvinen Krupp Lachance Mühlbach Núñez Ostrander Pemberly Rademaker Stellan Thorne""".split()
PLACES = [("Ashford Vale", "GB"), ("Brückheim", "DE"), ("Côte-Neuve", "FR"), ("Drammensund", "NO"), ("Espejo", "ES"), ("Fiordland", "NZ"),
          ("Göllsdorf", "AT"), ("Harmony Falls", "US"), ("Isla Verde", "MX"), ("Jokimaa", "FI"), ("Kamishima", "JP"), ("Lakemoor", "CA"),
          ("Montealto", "IT"), ("Nieuwpolder", "NL"), ("Ørsted", "DK"), ("Porto Lindo", "PT"), ("Queensbury", "AU"), ("Riverbend", "US"),
          ("Świerkowo", "PL"), ("Tangará", "BR"), ("Uppsund", "SE"), ("Valdoro", "CH"), ("Westhaven", "US"), ("Yeni Pazar", "TR")]
ADJECTIVES = """Amber Broken Crimson Distant Electric Fading Golden Hollow Idle Jagged Kinetic Lunar Midnight Neon Opal Paper Quiet Restless
Silver Tidal Undone Velvet Wandering Xenial Yellow Zero Burning Frozen Secret Wooden""".split()
NOUNS = """Anthem Bridge Carousel Dream Engine Forest Garden Harbor Island Journey Kingdom Lantern Mirror Number Ocean Parade Quarter River
Shadow Temple Umbrella Valley Window Year Zenith Café Déjà-Vu Fjord Straße Señal Mañana""".split()
VERBS = "Chasing Counting Drifting Finding Holding Leaving Losing Painting Riding Waking Watching Writing".split()
GENRES = """Ambient Blues Bossa Chamber Choir Classical Country Dub Electronic Folk Funk Gospel Hip-Hop Jazz Klezmer Latin Metal Opera Pop
Punk Reggae Rock Schlager Soul Soundtrack""".split()
MEDIA = [("Download, compressed", False), ("Download, lossless", False), ("Compact disc", True), ("Vinyl", True), ("Film, 1080p", False)]
TITLES = ["Sales Support Agent", "IT Staff", "Buyer", "Warehouse Clerk"]
COMPANIES = ["Audio", "Broadcast", "Hotel", "Library", "Radio", "School", "Studio"]
OPINIONS = ["Could listen to this all day.", "Side B is better than side A.", "Not my cup of tea… but well played!", "Ça va, sans plus.",
            "Großartig – vom ersten bis zum letzten Ton.", "最高のアルバム", "100% recommended; the \"hidden\" track is a gem.", "Meh.",
            "It's fine.", "Очень хорошо", "The cover shows C:\\music\\cover.png, why?", "⭐️⭐️⭐️ would buy again 😀"]
NULL = None


class Dice:
    """Draws that depend on nothing but the seed: `random()` is the same in all versions, `choice` and its like are not."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, count):
        return int(self.random() * count)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def one_of(self, items):
        return items[self.below(len(items))]

    def chance(self, share):
        return self.random() < share

    def maybe(self, share, value):
        return value if self.chance(share) else NULL

    def low(self, count):
        """Small numbers more often than large ones: a few things are popular."""
        return int(count * self.random() ** 2)

    def different(self, count, limit):
        """`count` different numbers below `limit`, sorted."""
        found = set()
        while len(found) < count:
            found.add(self.below(limit))
        return sorted(found)


def day(text, days=0):
    return (datetime.date.fromisoformat(text) + datetime.timedelta(days=days)).isoformat()


def moment(text, seconds=0):
    return (datetime.datetime.fromisoformat(text) + datetime.timedelta(seconds=seconds)).isoformat(sep=" ")


def money(cents, digits=2):
    """A decimal as text, exact: 129 is 1.29."""
    unit = 10 ** digits
    return f"{cents // unit}.{cents % unit:0{digits}d}"


class Shop:
    """`tables` has the rows of each table, in the order of schema.TABLES."""

    def __init__(self, seed=1):
        self.dice = Dice(seed)
        self.tables = {}
        for make in (self.people, self.music, self.lists, self.sales, self.opinions, self.supplies, self.prices):
            make()

    def people(self):
        dice, employees, customers = self.dice, [], []
        for id in range(1, 25):
            # A chief, three heads, and everybody else below one of them or of their people.
            boss = NULL if id == 1 else 1 if id <= 4 else dice.between(2, min(4, id - 1)) if id <= 12 else dice.between(5, 12)
            title = "General Manager" if id == 1 else "Head of Department" if id <= 4 else dice.one_of(TITLES)
            employees.append([id, f"{dice.one_of(GIVEN)} {dice.one_of(FAMILY)}", title, boss, day("1960-03-01", dice.below(14_000)),
                              day("2012-01-02", dice.below(4000)), money(900_000 // (id + 1) + dice.between(250_000, 320_000)),
                              not dice.chance(0.1)])
        for id in range(1, 321):
            first, last, (city, country) = dice.one_of(GIVEN), dice.one_of(FAMILY), dice.one_of(PLACES)
            company = dice.maybe(0.2, f"{last} {dice.one_of(COMPANIES)}")
            customers.append([id, first, last, company, f"customer{id}@{country.lower()}.example",
                              dice.maybe(0.8, f"+{dice.between(1, 98)} {dice.between(100, 999)} {dice.between(1000, 9999)}"), city, country,
                              day("2018-01-01", dice.below(2000)), dice.chance(0.4), dice.maybe(0.9, dice.between(5, 12))])
        self.tables.update(employee=employees, customer=customers)

    def music(self):
        dice, artists, albums, tracks = self.dice, [], [], []
        for id in range(1, 181):
            name = dice.one_of([f"The {dice.one_of(ADJECTIVES)} {dice.one_of(NOUNS)}s", f"{dice.one_of(GIVEN)} {dice.one_of(FAMILY)}",
                                f"{dice.one_of(NOUNS)} & {dice.one_of(NOUNS)}"])
            artists.append([id, name, dice.one_of(PLACES)[1], dice.maybe(0.9, dice.between(1955, 2022)),
                            dice.maybe(0.5, f"https://artist{id}.example/")])
        for id in range(1, 321):
            cover = bytes([0x89, 0x50, 0x4E, 0x47, 0]) + bytes(dice.below(256) for _ in range(dice.between(0, 60)))
            albums.append([id, self.title(), 1 + dice.low(len(artists)), dice.maybe(0.95, day("1962-05-01", dice.below(22_500))),
                           dice.maybe(0.6, cover)])
            genre, media = dice.between(1, len(GENRES)), dice.between(1, len(MEDIA))
            for position in range(1, dice.between(6, 13)):
                milliseconds = dice.between(45_000, 620_000)
                tracks.append([len(tracks) + 1, self.title(), id, position, genre, media,
                               dice.maybe(0.7, f"{dice.one_of(GIVEN)} {dice.one_of(FAMILY)}"), milliseconds,
                               milliseconds * dice.between(16, 9000), dice.maybe(0.9, -dice.between(40, 240) / 8),
                               money(dice.one_of([79, 99, 99, 99, 129, 199]))])
        self.tables.update(artist=artists, genre=[[id, name] for id, name in enumerate(GENRES, 1)],
                           media_type=[[id, *each] for id, each in enumerate(MEDIA, 1)], album=albums, track=tracks)

    def title(self):
        dice = self.dice
        return dice.one_of([f"{dice.one_of(VERBS)} the {dice.one_of(NOUNS)}", f"{dice.one_of(ADJECTIVES)} {dice.one_of(NOUNS)}",
                            f"{dice.one_of(NOUNS)} {dice.between(1, 99)}", f"{dice.one_of(VERBS)} {dice.one_of(PLACES)[0]}"])

    def lists(self):
        dice, lists, entries = self.dice, [], []
        tracks = self.tables["track"]
        for id in range(1, 41):
            lists.append([id, f"{dice.one_of(ADJECTIVES)} {dice.one_of(['Mix', 'Evening', 'Run', 'Drive', 'Détente'])}",
                          dice.maybe(0.8, dice.between(1, 320)), dice.chance(0.7)])
            for position, track in enumerate(dice.different(dice.between(0, 100), len(tracks)), 1):
                entries.append([id, position, tracks[track][0], moment("2022-01-01 00:00:00", dice.below(90_000_000))])
        self.tables.update(playlist=lists, playlist_track=entries)

    def sales(self):
        dice, invoices, lines = self.dice, [], []
        customers, tracks = self.tables["customer"], self.tables["track"]
        for id in range(1, 1201):
            customer = customers[dice.low(len(customers))]
            issued = moment("2021-01-01 08:00:00", id * 100_000 + dice.below(90_000))
            invoices.append([id, customer[0], issued, dice.maybe(0.93, moment(issued, dice.between(30, 3_000_000))), customer[6],
                             customer[7], dice.maybe(0.15, money(dice.one_of([5, 10, 25])))])
            for _ in range(dice.between(1, 8)):
                track = tracks[dice.low(len(tracks))]
                lines.append([len(lines) + 1, id, track[0], 1 if dice.chance(0.9) else dice.between(2, 5), track[10]])
        self.tables.update(invoice=invoices, invoice_line=lines)

    def opinions(self):
        dice = self.dice
        self.tables["review"] = [
            [id, dice.between(1, 320), 1 + dice.low(320), 5 - dice.low(5), dice.maybe(0.8, dice.one_of(OPINIONS)),
             moment("2021-06-01 00:00:00", dice.below(110_000_000)), dice.chance(0.6)] for id in range(1, 901)]

    def supplies(self):
        dice = self.dice
        self.tables["supplier"] = [[id, f"{dice.one_of(FAMILY)} {dice.one_of(['Records', 'Imports', 'Handel', '& Søn'])}",
                                    dice.one_of(PLACES)[1], dice.maybe(0.8, dice.between(4, 20) / 4)] for id in range(1, 19)]
        self.tables["stock"] = [
            [album, supplier + 1, dice.between(0, 60), dice.between(5, 20), dice.maybe(0.85, day("2024-01-01", dice.below(360))),
             money(dice.between(2500, 14_000), 3)]
            for album in range(1, 321) for supplier in dice.different(dice.between(0, 3), 18)]

    def prices(self):
        dice, history = self.dice, []
        for track in self.tables["track"]:
            changes = [0, *(1 + each for each in dice.different(dice.below(3), 1400))] if dice.chance(0.35) else []
            for number, change in enumerate(changes):
                last = number + 1 == len(changes)
                history.append([len(history) + 1, track[0], day("2020-12-31", change),
                                NULL if last else day("2020-12-30", changes[number + 1]),
                                track[10] if last else money(dice.one_of([69, 89, 99, 119]))])
        self.tables["price_history"] = history
