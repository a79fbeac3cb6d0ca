"""H.264 headers and packets are read as ISO/IEC 14496-15 lays them out, and never past their end."""

from hypothesis import given
from hypothesis import strategies as st

from secondunit.media.avc import fingerprint, in_band, opens_on_idr

SETS = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=3)
UNITS = st.lists(st.tuples(st.integers(1, 31), st.binary(max_size=20)), min_size=1, max_size=6)


def header(sequence: list[bytes], picture: list[bytes], *, lengths: int = 4) -> bytes:
    """Lay out an AVCDecoderConfigurationRecord."""
    packed = [len(one).to_bytes(2) + one for one in sequence]
    last = [len(one).to_bytes(2) + one for one in picture]
    start = bytes([1, 100, 0, 31, 0xFC | (lengths - 1), 0xE0 | len(sequence)])
    return start + b"".join(packed) + bytes([len(picture)]) + b"".join(last)


@given(SETS, SETS)
def test_parameter_sets_go_in_band_in_order(sequence: list[bytes], picture: list[bytes]) -> None:
    units = b"".join(len(one).to_bytes(4) + one for one in [*sequence, *picture])
    assert in_band(header(sequence, picture)) == units


@given(SETS, SETS, SETS, SETS)
def test_headers_share_a_fingerprint_only_if_they_are_equal(
    one: list[bytes], two: list[bytes], three: list[bytes], four: list[bytes]
) -> None:
    left, right = header(one, two), header(three, four)
    assert (fingerprint(left) == fingerprint(right)) is (left == right)


@given(SETS, SETS)
def test_what_cannot_be_joined_has_none(sequence: list[bytes], picture: list[bytes]) -> None:
    assert fingerprint(None) == ""
    assert fingerprint(b"\0\0\0\1" + sequence[0]) == "", "an elementary stream's start code"
    assert fingerprint(header([], [])) == "", "parameter sets only in the packets"
    assert fingerprint(header(sequence, picture, lengths=2)) == ""


@given(UNITS)
def test_an_idr_picture_is_found_among_other_units(units: list[tuple[int, bytes]]) -> None:
    packet = b"".join(
        (len(body) + 1).to_bytes(4) + bytes([0x60 | kind]) + body for kind, body in units
    )
    assert opens_on_idr(packet) is any(kind == 5 for kind, _ in units)


@given(st.binary(max_size=80))
def test_no_bytes_are_read_past_the_end(anything: bytes) -> None:
    assert isinstance(fingerprint(anything), str)
    assert opens_on_idr(anything) in (True, False)
    assert isinstance(in_band(anything), bytes)
