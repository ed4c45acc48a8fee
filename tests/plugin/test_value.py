"""Python values cross the wire unchanged, or as something near them; never with an error."""

import collections
import contextlib
import enum
import pathlib
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx import _engine

DEPTH_MAX = 1000


def canon(value):
    """A text that is the same for two values only if they and all types inside are."""
    kind = type(value)
    if kind is float:
        inner = struct.pack(">d", value).hex()
    elif kind is complex:
        inner = struct.pack(">dd", value.real, value.imag).hex()
    elif kind in (list, tuple):
        inner = ",".join(map(canon, value))
    elif kind in (set, frozenset):
        inner = ",".join(sorted(map(canon, value)))
    elif kind is dict:
        inner = ",".join(f"{canon(k)}:{canon(v)}" for k, v in value.items())
    elif kind is int:
        inner = hex(value)  # repr and str refuse more than 4300 digits
    else:
        assert kind in (type(None), bool, str, bytes), kind
        inner = repr(value)
    return f"{kind.__name__}({inner})"


def cross(value):
    encoded, lossy = _engine.encode(value)
    assert type(encoded) is bytes
    return _engine.decode(encoded), lossy


def crosses_exactly(value):
    arrived, lossy = cross(value)
    assert canon(arrived) == canon(value)
    assert lossy == 0


texts = st.text(st.characters(), max_size=40)  # lone surrogates included
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.complex_numbers()
    | texts
    | st.binary(max_size=40)
)
keys = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
values = st.recursive(
    leaves | keys,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(keys, inner, max_size=6)
        | st.sets(keys, max_size=6)
        | st.frozensets(keys, max_size=6)
    ),
    max_leaves=20,
)


@given(values)
@settings(max_examples=100, deadline=None)
def test_decode_of_encode_is_the_identity(value):
    crosses_exactly(value)


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_value_or_a_value_error(body):
    with contextlib.suppress(ValueError):
        crosses_exactly(_engine.decode(body))


@given(values, st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_are_a_value_or_a_value_error(value, data):
    body = bytearray(_engine.encode(value)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        _engine.decode(bytes(body))


@given(values)
@settings(max_examples=50, deadline=None)
def test_a_cut_value_is_a_value_error(value):
    body = _engine.encode(value)[0]
    for size in range(len(body)):
        with pytest.raises(ValueError):
            _engine.decode(body[:size])
    with pytest.raises(ValueError):
        _engine.decode(body + b"\xc0")


@pytest.mark.parametrize(
    "value",
    [
        *(sign * 2**bits + off for bits in (0, 5, 7, 8, 15, 16, 31, 32, 63, 64, 65, 4000)
          for sign in (1, -1) for off in (-1, 0, 1)),
        10**20_000,  # more digits than int() and str() accept
        0.0, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324, sys.float_info.max,
        complex(-0.0, float("nan")),
        "", "\0", "ä€😀", "\ud800", "a\udcffb", "\ud83d\ude00",
        *("x" * n for n in (31, 32, 255, 256, 65535, 65536)),
        *(b"\xff" * n for n in (0, 255, 256, 65535, 65536)),
        *([None] * n for n in (15, 16, 65535, 65536)),
        *(dict.fromkeys(range(n)) for n in (15, 16, 65535, 65536)),
        (), ((),), set(), frozenset(), {frozenset({(1, 2)})}, [[], {}, ()],
        {None: 1, (1, (2,)): 2, b"k": 3, 1.5: 4, frozenset({1}): 5, True: 6, "\ud800": 7, 1j: 8},
        dict(zip("zyxabc", range(6))),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_edge_values_cross_exactly(value):
    crosses_exactly(value)


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 2**70


class Mode(str, enum.Enum):
    FAST = "fast"


class Flag(enum.IntFlag):
    A = 1
    B = 2


class LoudList(list):
    """All that a subclass could get in the way with."""

    def __iter__(self):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError

    def __getitem__(self, index):
        raise RuntimeError


class LoudDict(dict):
    def __iter__(self):
        raise RuntimeError

    def keys(self):
        raise RuntimeError

    items = keys


class LoudSet(frozenset):
    def __iter__(self):
        raise RuntimeError


class LoudInt(int):
    def __index__(self):
        raise RuntimeError

    __int__ = __repr__ = __str__ = __index__


class LoudFloat(float):
    def __float__(self):
        raise RuntimeError


class Text(str):
    def __str__(self):
        raise RuntimeError


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value, arrives",
    [
        (Level.HIGH, 2**70),
        (Mode.FAST, "fast"),
        (Flag.A | Flag.B, 3),
        (LoudInt(-(2**80)), -(2**80)),
        (LoudInt(7), 7),
        (LoudFloat(1.5), 1.5),
        (Text("a\udc80"), "a\udc80"),
        (LoudList([1, 2]), [1, 2]),
        (LoudDict(a=1), {"a": 1}),
        (LoudSet({1}), frozenset({1})),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (Point(1, 2), (1, 2)),
        ({Point(1, Level.HIGH): 3}, {(1, 2**70): 3}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_arrives_as_its_base(value, arrives):
    arrived, lossy = cross(value)
    assert canon(arrived) == canon(arrives)
    assert lossy == 0


class Plain:
    def __repr__(self):
        return "<Plain ä\ud800>"


class Raises:
    def __repr__(self):
        raise ZeroDivisionError


class NotText:
    def __repr__(self):
        return 7


class HashedList(list):
    def __hash__(self):
        return 1


class HashedDict(dict):
    def __hash__(self):
        return 1


class HashedSet(set):
    def __hash__(self):
        return 1


class BadPath:
    def __fspath__(self):
        raise OSError

    def __repr__(self):
        return "bad path"


@pytest.mark.parametrize(
    "value, arrives, count",
    [
        (Color.RED, "<Color.RED: 1>", 1),
        (Plain(), "<Plain ä\ud800>", 1),
        (Raises(), "<unrepresentable Raises>", 1),
        (NotText(), "<unrepresentable NotText>", 1),
        (BadPath(), "bad path", 1),
        (pathlib.Path("a") / "b", "a/b", 1),
        (bytearray(b"ab"), b"ab", 1),
        (range(3), "range(0, 3)", 1),
        (int, "<class 'int'>", 1),
        (..., "Ellipsis", 1),
        ({Raises: [Plain(), Plain()]}, {repr(Raises): ["<Plain ä\ud800>"] * 2}, 3),
        # As keys and elements these would not hash any more.
        ({HashedList([1]): 1}, {"[1]": 1}, 1),
        ({(HashedDict(a=1),)}, {("{'a': 1}",)}, 1),
        (frozenset([HashedSet([1])]), frozenset(["HashedSet({1})"]), 1),
        # But inside a value of a dict they need not, even if the dict lies in a tuple.
        (({1: [2]},), ({1: [2]},), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_arrives_as_text_and_is_counted(value, arrives, count):
    arrived, lossy = cross(value)
    assert canon(arrived) == canon(arrives)
    assert lossy == count


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_inside_a_repr_is_not_swallowed(stop):
    class Stops:
        def __repr__(self):
            raise stop

    with pytest.raises(stop):
        _engine.encode([1, {"key": (Stops(),)}])
    crosses_exactly("the next value is not disturbed")


def test_a_container_within_itself():
    loop = [1]
    loop.append(loop)
    assert cross(loop) == ([1, "[...]"], 1)
    table = {}
    table["self"] = (table,)
    assert cross(table) == ({"self": ("{...}",)}, 1)
    shared = ["not recursive"]
    crosses_exactly([shared, shared, {"k": shared}])


def wrap(value, kind):
    return {"k": value} if kind is dict else kind([value])


def unwrap(value):
    return value["k"] if type(value) is dict else next(iter(value))


@pytest.mark.parametrize("kind", [list, tuple, dict, frozenset], ids=lambda kind: kind.__name__)
def test_deep_nesting_is_exact_up_to_the_limit_and_marked_below(kind):
    value = kind()
    for _ in range(DEPTH_MAX - 1):
        value = wrap(value, kind)
    arrived, lossy = cross(value)
    assert lossy == 0
    for _ in range(DEPTH_MAX - 1):
        assert type(arrived) is kind
        assert len(arrived) == 1
        arrived = unwrap(arrived)
    assert arrived == kind()

    for _ in range(200_000):
        value = wrap(value, list)
    arrived, lossy = cross(value)
    assert lossy == 1
    for _ in range(DEPTH_MAX):
        arrived = unwrap(arrived)
    assert arrived == "[...]"


def test_a_bomb_of_shared_lists_ends():
    bomb = "boom" * 1000
    for _ in range(100):
        bomb = [bomb, bomb]
    encoded, lossy = _engine.encode(bomb)
    assert lossy > 0
    assert len(encoded) <= 1 << 28
    _engine.decode(encoded)


def test_a_text_too_large_for_a_message_is_marked():
    large = "x" * (1 << 28)
    encoded, lossy = _engine.encode([large, large.encode(), "kept"])
    assert _engine.decode(encoded) == ["[...]", "[...]", "kept"]
    assert lossy == 2


class Acts:
    """Does something to the container while it is encoded."""

    def __init__(self, act):
        self.act = act

    def __repr__(self):
        self.act()
        return "acted"


def test_a_container_that_changes_while_it_is_encoded():
    shrinks = []
    shrinks += [Acts(shrinks.clear), *range(100)]
    assert cross(shrinks)[0] == ["acted"]
    grows = []
    grows += [Acts(lambda: grows.extend(grows)), 1]
    assert cross(grows)[0] == ["acted", 1]
    for size in (3, 40, 70_000):
        table = {}
        table.update({i: i for i in range(size)})
        table[1] = Acts(table.clear)
        arrived, lossy = cross(table)
        assert arrived == {0: 0, 1: "acted"}
        assert lossy == 2
    elements = set()
    elements |= {Acts(lambda: elements.add(1)), Acts(lambda: elements.add(2))}
    arrived, lossy = cross(elements)
    assert arrived == {"acted"}
    assert lossy >= 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        b"\xdd\xff\xff\xff\xff",  # an array of 4 billion items
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x04",
        b"\xdd\x00\x00\x10\x00" * 500,  # every array claims all that is left
        b"\x91" * 100_000 + b"\xc0",
        b"\x91" * DEPTH_MAX + b"\x90",
        b"\xa1\xff",  # no UTF-8
        b"\xa3\xed\xa0\x80",  # a surrogate in a plain str
        b"\x81\x90\xc0",  # a list as key
        b"\xd4\x05\x91",  # a set whose array is cut
        b"\xc7\x02\x05\x91\x90",  # a list in a set
        b"\xc7\x03\x04\x91\xc0\xc0",  # a tuple, and more
        b"\xd4\x04\xc0",  # a tuple that is none
        b"\xc7\x00\x04",
        b"\xc7\x00\x01",
        b"\xd4\x01-",
        b"\xd5\x010x",
        b"\xd6\x010x_1",
        b"\xd6\x010x \x31",
        b"\xd6\x010x1\0",
        b"\xd6\x01\x31\x32\x33\x34",
        b"\xd7\x02" + b"\0" * 8,  # half a complex number
        b"\xd4\x07\0",  # an extension nobody knows
        b"\xd6\xff\0\0\0\0",  # a timestamp
    ],
    ids=lambda body: body[:6].hex(),
)
def test_malformed_bytes_are_a_value_error(body):
    with pytest.raises(ValueError):
        _engine.decode(body)


def test_equal_deep_elements_are_no_recursion_error():
    nested = b"\xc0"
    for _ in range(DEPTH_MAX - 2):
        inner = b"\x91" + nested
        nested = b"\xc9" + struct.pack(">I", len(inner)) + b"\x04" + inner
    both = b"\x92" + nested * 2
    body = b"\xc9" + struct.pack(">I", len(both)) + b"\x05" + both
    try:
        assert len(_engine.decode(body)) == 1
    except ValueError:
        pass  # comparing them went too deep


def test_short_forms_of_other_writers_are_understood():
    assert canon(_engine.decode(b"\xca\x3f\xc0\x00\x00")) == canon(1.5)  # binary32
    assert canon(_engine.decode(b"\xd3" + b"\0" * 7 + b"\x05")) == canon(5)
    assert canon(_engine.decode(b"\xcf" + b"\xff" * 8)) == canon(2**64 - 1)
    assert canon(_engine.decode(b"\xd9\x01a")) == canon("a")
