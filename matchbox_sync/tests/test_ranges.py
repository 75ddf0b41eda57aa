"""One byte range of a file, read as RFC 9110 §14 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchbox_sync.ranges import ByteRange, NotSatisfiable, read_range


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30))
def test_a_range_holds_exactly_the_bytes_that_it_names(first, last, size):
    content = bytes(range(size))
    header = f"bytes={first}-{last}"
    if first >= size and last >= first:
        with pytest.raises(NotSatisfiable):
            read_range(header, size)
        return
    found = read_range(header, size)
    if last < first:
        assert found is None
    else:
        assert found is not None
        assert content[found.first : found.last + 1] == content[first : last + 1]
        assert found.length == len(content[first : last + 1])


@given(st.integers(0, 40), st.integers(0, 30))
def test_a_suffix_is_the_end_of_the_file(count, size):
    if count == 0 or size == 0:
        with pytest.raises(NotSatisfiable):
            read_range(f"bytes=-{count}", size)
    else:
        assert read_range(f"bytes=-{count}", size) == ByteRange(max(size - count, 0), size - 1)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes= 1-2",
        "bytes=\u0663-",
        f"bytes={'9' * 5000}-",
    ],
)
def test_what_is_no_single_range_is_passed_over(header):
    assert read_range(header, 10) is None


@given(st.text(max_size=30), st.integers(0, 5))
def test_any_header_is_read_or_passed_over(header, size):
    try:
        found = read_range(header, size)
    except NotSatisfiable:
        return
    assert found is None or 0 <= found.first <= found.last < size
