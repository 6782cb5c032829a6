"""Pages of tables that SQLite reads and never writes: integers wider than they need, long numbers, gaps; and damaged ones.

The format is https://sqlite.org/fileformat2.html.
"""

import struct

INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def varint(number, width=1):
    """A number of at most 64 bits in at least `width` bytes: what is longer than necessary begins with 0x80."""
    number %= 1 << 64
    if number >> 56 or width >= 9:
        return bytes(number >> shift & 0x7f | 0x80 for shift in range(57, 7, -7)) + bytes([number & 0xff])
    pieces = [number & 0x7f]
    while number := number >> 7:
        pieces.append(number & 0x7f | 0x80)
    while len(pieces) < width:
        pieces.append(0x80)
    return bytes(reversed(pieces))


def odd_value(dice):
    """A serial type and its bytes."""
    kind = dice.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 7, 12, 13))
    if kind in INTEGER_BYTES:
        width = INTEGER_BYTES[kind]
        small = dice.choice((0, 1, -1, 100, -128))
        return kind, small.to_bytes(width, "big", signed=True) if dice.random() < 0.5 else dice.randbytes(width)
    if kind == 7:
        # Any NaN is read as NULL.
        return kind, dice.choice((struct.pack(">d", dice.choice((1.0, -0.0, 0.0, 5e18, 1e300))), dice.randbytes(8), b"\x7f\xf8" + bytes(6), b"\xff\xf0" + bytes(6),
                                  b"\x7f\xf0\0\0\0\0\0\1"))
    if kind < 12:
        return kind, b""
    content = dice.choice((b"", b"abc", b"\0x", b"\xff\xfe", "ü€".encode(), dice.randbytes(dice.randrange(70))))
    return 2 * len(content) + kind, content


def odd_record(dice, columns, is_whole):
    """A record of about so many columns: perhaps fewer, or more than the table has. Of one that is not whole SQLite may say so."""
    values = [odd_value(dice) for _ in range(max(0, columns + dice.choice((0, 0, 0, 0, 0, -1, -2, 1, 3))))]
    types = b"".join(varint(type, dice.choice((1, 1, 1, 1, 2, 3, 9))) for type, _ in values)
    width = dice.choice((1, 1, 1, 2, 4))
    size = len(types) + width
    while len(varint(size, width)) + len(types) != size:
        size += 1
    return varint(size, width) + types + b"".join(content for _, content in values) + (dice.randbytes(3) if not is_whole and dice.random() < 0.3 else b"")


def odd_leaf(dice, numbers, columns, page_size, usable, largest, are_whole=True):
    """A leaf page of a table with as many of the row numbers as fit, and these. `largest` is that of a payload without overflow."""
    cells, end, taken = [], usable, []
    for number in sorted(numbers):
        record = odd_record(dice, columns, are_whole)
        cell = varint(len(record), dice.choice((1, 1, 2, 3))) + varint(number, dice.choice((1, 1, 2, 9))) + record
        cell = cell.ljust(4, b"\0")
        if len(record) <= largest and 8 + 2 * (len(cells) + 1) + sum(map(len, cells)) + len(cell) + 8 * (len(cells) + 1) <= usable:
            cells.append(cell)
            taken.append(number)
    page = bytearray(dice.randbytes(page_size))
    places = [0] * len(cells)
    for place in dice.sample(range(len(cells)), len(cells)):
        end -= len(cells[place]) + dice.choice((0, 0, 0, 1, 5))
        page[end:end + len(cells[place])] = cells[place]
        places[place] = end
    page[0:8] = struct.pack(">BHHHB", 13, 0, len(cells), end % 65536, 0)
    page[8:8 + 2 * len(cells)] = b"".join(struct.pack(">H", place) for place in places)
    return bytes(page), taken


def varint_end(content, place):
    for end in range(place + 1, place + 9):
        if end > len(content) or content[end - 1] < 0x80:
            return end
    return place + 9


def is_certain(content, page_size):
    """Whether all cells begin and end so that SQLite says the same each time: of one at the very end of a page it reads what is behind that in memory."""
    for start in range(0, len(content), page_size):
        page = content[start:start + page_size].ljust(page_size, b"\0")
        head = 100 if start == 0 else 0
        if page[head] not in (5, 13):
            continue
        array = head + (12 if page[head] == 5 else 8)
        for place in range(array, min(array + 2 * int.from_bytes(page[head + 3:head + 5], "big"), page_size - 1), 2):
            cell = int.from_bytes(page[place:place + 2], "big") % page_size
            end = varint_end(page, cell + 4 if page[head] == 5 else varint_end(page, cell))
            if end > page_size:
                return False
    return True


def damaged(dice, content, page_size):
    """A copy of a file's bytes in which something is wrong, mostly behind the first page; and what."""
    copy, told = bytearray(content), []
    pages = len(copy) // page_size
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        page = dice.randrange(pages) if dice.random() < 0.05 else dice.randrange(1, pages)
        start = page * page_size
        head = start + (100 if page == 0 else 0)
        is_interior = copy[head] in (2, 5)
        cells = min(int.from_bytes(copy[head + 3:head + 5], "big"), page_size // 4)
        array = head + (12 if is_interior else 8)
        some_cell = lambda: start + int.from_bytes(copy[(at := array + 2 * dice.randrange(max(cells, 1))):at + 2], "big") % page_size  # noqa: B023, E731
        other = dice.choice((page + 1, 1, 2, pages, pages + 1, 0, 2**31, 2**32 - 1, dice.randrange(pages) + 1))
        kind = dice.choice(("byte", "byte", "bit", "header", "pointer", "child", "child", "cell", "record", "record", "copy", "cut", "zeros"))
        place = {"byte": start + dice.randrange(page_size), "bit": start + dice.randrange(page_size), "header": head + dice.randrange(8),
                 "pointer": array + dice.randrange(2 * max(cells, 1)), "child": head + 8 if dice.random() < 0.4 else some_cell(),
                 "cell": some_cell() + dice.randrange(3), "record": some_cell() + dice.randrange(2, 30)}.get(kind, start)
        place = min(place, len(copy) - 4)
        if kind == "bit":
            copy[place] ^= 1 << dice.randrange(8)
        elif kind == "child":
            copy[place:place + 4] = other.to_bytes(4, "big")
        elif kind == "copy":
            source = dice.randrange(pages) * page_size
            copy[start:start + page_size] = copy[source:source + page_size]
        elif kind == "cut":
            if dice.random() < 0.3:
                del copy[max(page_size, place):]
                told.append((kind, place))
                break
        elif kind == "zeros":
            length = dice.choice((4, 100, page_size))
            copy[start:start + length] = bytes(len(copy[start:start + length]))
        else:
            copy[place] = dice.choice((0, 1, 0x7f, 0x80, 0xff, 5, 13, dice.randrange(256)))
        told.append((kind, place))
    return bytes(copy), told
