# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Byte ranges in headers, compiled: `ranges_py` says what each function promises."""

from cpython.unicode cimport PyUnicode_1BYTE_DATA

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

ctypedef const unsigned char* Bytes  # of a str: a NUL ends every loop
ctypedef unsigned long long Number

cdef Number LIMIT = <Number>1 << 63


cdef inline int _check_str(object text, str what) except -1:
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    return 0


cdef Py_ssize_t _digits(Bytes at, Number* value) noexcept nogil:
    """How many digits stand here; their value, larger ones counting as the limit of sizes."""
    cdef Py_ssize_t count = 0
    value[0] = 0
    while c"0" <= at[count] <= c"9":
        value[0] = min(value[0] * 10 + (at[count] - c"0"), LIMIT) if value[0] <= LIMIT // 10 else LIMIT
        count += 1
    return count


cdef bint _unit(Bytes at, unsigned char mark) noexcept nogil:
    """Whether `bytes` in any case and `mark` stand here."""
    cdef Py_ssize_t i
    for i in range(5):
        if at[i] | 0x20 != b"bytes"[i]:
            return False
    return at[5] == mark


def parse_range(header, size):
    """See `ranges_py.parse_range`."""
    cdef Number total, start, end
    cdef Bytes at
    cdef Py_ssize_t first, last
    _check_str(header, "range")
    if not isinstance(size, int):
        raise TypeError(f"size must be int, not {type(size).__name__}")
    if not 0 <= size < LIMIT:
        raise ValueError("size is not between 0 and 2**63 - 1")
    total = size
    if not PyUnicode_IS_ASCII(header) or not _unit(<Bytes>PyUnicode_1BYTE_DATA(header), c"="):
        return None
    at = <Bytes>PyUnicode_1BYTE_DATA(header) + 6
    first = _digits(at, &start)
    if at[first] != c"-":
        return None
    last = _digits(at + first + 1, &end)
    if first + last == 0 or 6 + first + 1 + last != PyUnicode_GET_LENGTH(header):
        return None
    if first == 0:
        if end == 0 or total == 0:
            raise ValueError(f"range is outside of {total} bytes")
        return (total - end if end < total else 0, total - 1)
    if start >= total:
        raise ValueError(f"range is outside of {total} bytes")
    if last == 0:
        return (start, total - 1)
    if end < start:
        raise ValueError("range ends before it starts")
    return (start, min(end, total - 1))


cdef Py_ssize_t _offset(Bytes at, Number* value) noexcept nogil:
    """How many digits stand here, 1 to 19 of them; 0 when there are none or more."""
    cdef Py_ssize_t count = 0
    value[0] = 0
    while c"0" <= at[count] <= c"9":
        if count == 19:
            return 0
        value[0] = value[0] * 10 + (at[count] - c"0")
        count += 1
    return count


def parse_content_range(header):
    """See `ranges_py.parse_content_range`."""
    cdef Number start = 0, end = 0, total = 0
    cdef Bytes at
    cdef int form
    _check_str(header, "content range")
    if not PyUnicode_IS_ASCII(header):
        raise ValueError("content range is not <start>-<end>")
    at = <Bytes>PyUnicode_1BYTE_DATA(header)
    form = _content_range(at, at + PyUnicode_GET_LENGTH(header), &start, &end, &total)
    if form == 0:
        raise ValueError("content range is not <start>-<end>")
    if end < start:
        raise ValueError("content range ends before it starts")
    if form == 2 and total <= end:
        raise ValueError("content range ends behind its total size")
    return (start, end)


cdef int _content_range(Bytes at, Bytes stop, Number* start, Number* end, Number* total) noexcept nogil:
    """0: malformed, 1: without a total size, 2: with one."""
    cdef Py_ssize_t count
    if _unit(at, c" "):
        at += 6
    count = _offset(at, start)
    if count == 0 or at[count] != c"-":
        return 0
    at += count + 1
    count = _offset(at, end)
    if count == 0:
        return 0
    at += count
    if at == stop:
        return 1
    if at[0] != c"/":
        return 0
    if at[1] == c"*":
        return 1 if at + 2 == stop else 0
    count = _offset(at + 1, total)
    return 2 if count and at + 1 + count == stop else 0
