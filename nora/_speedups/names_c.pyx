# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Paths, names, tags, digests and keys, compiled: `names_py` says what each function promises."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp, memcpy

from unicodedata import is_normalized

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)

ctypedef const unsigned char* Bytes

PING, CATALOG, TAGS, MANIFEST, BLOB, UPLOADS, UPLOAD, REFERRERS, EXTENSIONS, TOKEN, NOWHERE = range(11)

cdef enum:  # what a character may be part of
    LOWER = 1
    TAG_FIRST = 2
    TAG = 4
    HEX = 8
    VISIBLE = 16

cdef unsigned char classes[256]

cdef void _classify() noexcept:
    cdef int c
    for c in range(256):
        classes[c] = 0
        if c"a" <= c <= c"z" or c"0" <= c <= c"9":
            classes[c] |= LOWER | TAG_FIRST | TAG
        if c"A" <= c <= c"Z" or c == c"_":
            classes[c] |= TAG_FIRST | TAG
        if c == c"." or c == c"-":
            classes[c] |= TAG
        if c"0" <= c <= c"9" or c"a" <= c <= c"f":
            classes[c] |= HEX
        if c"!" <= c <= c"~":
            classes[c] |= VISIBLE


_classify()


cdef inline int _check_str(object text, str what) except -1:
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    return 0


cdef inline bint _all(Bytes at, Py_ssize_t size, unsigned char wanted) noexcept nogil:
    cdef unsigned char common = wanted
    cdef Py_ssize_t i
    for i in range(size):
        common &= classes[at[i]]
    return common == wanted


# ---- paths -----------------------------------------------------------------------------------------------


def split_oci_path(path):
    """See `names_py.split_oci_path`."""
    cdef Bytes at
    cdef Py_ssize_t size, i
    cdef bint control = False, escape = False
    _check_str(path, "path")
    if not PyUnicode_IS_ASCII(path):
        raise ValueError("path is not percent-encoded: it holds a character outside of ASCII")
    at = <Bytes>PyUnicode_1BYTE_DATA(path)
    size = PyUnicode_GET_LENGTH(path)
    for i in range(size):
        control |= (at[i] < 0x20) | (at[i] == 0x7F)
        escape |= at[i] == c"%"
    if escape:
        parts = _split_escaped(at, size)
    elif control:
        parts = "path holds a control character"
    else:
        parts = _split(at, size, True)
    if type(parts) is str:
        raise ValueError(parts)
    return parts


# These return the three parts, or what is wrong: a single frame makes the error a third cheaper.


cdef object _split_escaped(Bytes at, Py_ssize_t size):
    cdef unsigned char* plain = <unsigned char*>PyMem_Malloc(size)
    if plain == NULL:
        raise MemoryError
    try:
        size = _unquote(at, size, plain)
        if size < 0:
            return "path holds a malformed percent-escape"
        try:
            PyUnicode_DecodeUTF8(<const char*>plain, size, NULL)
        except UnicodeDecodeError:
            return "path is not UTF-8 once its escapes are decoded"
        if _holds_control(plain, size):
            return "path holds a control character"
        return _split(plain, size, False)
    finally:
        PyMem_Free(plain)


cdef int _hex(unsigned char c) noexcept nogil:
    if c"0" <= c <= c"9":
        return c - c"0"
    c |= 0x20
    return c - c"a" + 10 if c"a" <= c <= c"f" else -1


cdef Py_ssize_t _unquote(Bytes at, Py_ssize_t size, unsigned char* plain) noexcept nogil:
    """Decode the escapes; the new size, or -1 when one is malformed."""
    cdef Py_ssize_t i = 0, filled = 0
    while i < size:
        if at[i] != c"%":
            plain[filled] = at[i]
            i += 1
        elif i + 2 >= size or _hex(at[i + 1]) < 0 or _hex(at[i + 2]) < 0:
            return -1
        else:
            plain[filled] = <unsigned char>(_hex(at[i + 1]) << 4 | _hex(at[i + 2]))
            i += 3
        filled += 1
    return filled


cdef bint _holds_control(Bytes at, Py_ssize_t size) noexcept nogil:
    """Whether UTF-8 text holds one of U+0000 to U+001F or U+007F to U+009F."""
    cdef Py_ssize_t i
    for i in range(size):
        if at[i] < 0x20 or at[i] == 0x7F or (at[i] == 0xC2 and at[i + 1] < 0xA0):
            return True
    return False


cdef inline object _text(Bytes at, Py_ssize_t size, bint ascii):
    if not ascii:
        return PyUnicode_DecodeUTF8(<const char*>at, size, NULL)
    text = PyUnicode_New(size, 127)
    if size:  # else it is the one empty string
        memcpy(PyUnicode_1BYTE_DATA(text), at, size)
    return text


cdef inline bint _ends(Bytes at, Py_ssize_t size, const char* tail, Py_ssize_t length) noexcept nogil:
    return size >= length and memcmp(at + size - length, tail, length) == 0


cdef object _split(Bytes at, Py_ssize_t size, bint ascii):
    cdef Py_ssize_t last, word, length
    cdef Bytes reserved
    if size < 3 or memcmp(at, b"/v2", 3) != 0 or (size > 3 and at[3] != c"/"):
        return (NOWHERE, "", "")
    last = size  # where the last segment starts
    while last > 0 and at[last - 1] != c"/":
        last -= 1
    word = last - 1  # where the segment before it starts
    while word > 0 and at[word - 1] != c"/":
        word -= 1
    # The name is at[4:word - 1]: it must not be empty, nor the last segment.
    if last == size or word < 6:
        return _split_rare(at, size, ascii)
    reserved = at + word
    length = last - 1 - word
    if length == 9 and memcmp(reserved, b"manifests", 9) == 0:
        return (MANIFEST, _text(at + 4, word - 5, ascii), _text(at + last, size - last, ascii))
    if length == 5 and memcmp(reserved, b"blobs", 5) == 0:
        if size - last == 7 and memcmp(at + last, b"uploads", 7) == 0:
            return (UPLOADS, _text(at + 4, word - 5, ascii), "")
        return (BLOB, _text(at + 4, word - 5, ascii), _text(at + last, size - last, ascii))
    if length == 7 and memcmp(reserved, b"uploads", 7) == 0 and word > 11 and _ends(at, word, b"/blobs/", 7):
        return (UPLOAD, _text(at + 4, word - 11, ascii), _text(at + last, size - last, ascii))
    if length == 4 and memcmp(reserved, b"tags", 4) == 0 and size - last == 4 and _ends(at, size, b"list", 4):
        return (TAGS, _text(at + 4, word - 5, ascii), "")
    if length == 9 and memcmp(reserved, b"referrers", 9) == 0:
        return (REFERRERS, _text(at + 4, word - 5, ascii), _text(at + last, size - last, ascii))
    return _split_rare(at, size, ascii)


cdef object _split_rare(Bytes at, Py_ssize_t size, bint ascii):
    """The routes without a name, and those that are asked for seldom."""
    if size <= 4:
        return (PING, "", "")
    if size > 19 and _ends(at, size, b"/blobs/uploads/", 15):
        return (UPLOADS, _text(at + 4, size - 19, ascii), "")
    if size == 9 and _ends(at, size, b"token", 5):
        return (TOKEN, "", "")
    if size == 12 and _ends(at, size, b"_catalog", 8):
        return (CATALOG, "", "")
    if _ends(at, size, b"/_oci/ext/discover", 18):
        if size == 21:
            return (EXTENSIONS, "", "")
        if size > 22:
            return (EXTENSIONS, _text(at + 4, size - 22, ascii), "")
    return (NOWHERE, "", "")


# ---- names -----------------------------------------------------------------------------------------------


def is_image_name(text):
    """See `names_py.is_image_name`."""
    _check_str(text, "name")
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    if size > 255 or not PyUnicode_IS_ASCII(text):
        return False
    return _is_image_name(<Bytes>PyUnicode_1BYTE_DATA(text), size)


cdef bint _is_image_name(Bytes at, Py_ssize_t size) noexcept nogil:
    cdef Bytes end = at + size  # a str ends with a NUL: looking at it is safe
    while classes[at[0]] & LOWER:
        while classes[at[0]] & LOWER:
            at += 1
        if at == end:
            return True
        if at[0] == c"-":
            while at[0] == c"-":
                at += 1
        elif at[0] == c"_":
            at += 2 if at[1] == c"_" else 1
        elif at[0] == c"." or at[0] == c"/":
            at += 1
        else:
            return False
    return False


def is_tag(text):
    """See `names_py.is_tag`."""
    _check_str(text, "tag")
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    if not 1 <= size <= 128 or not PyUnicode_IS_ASCII(text):
        return False
    cdef Bytes at = <Bytes>PyUnicode_1BYTE_DATA(text)
    return classes[at[0]] & TAG_FIRST != 0 and _all(at, size, TAG)


def is_digest(text):
    """See `names_py.is_digest`."""
    _check_str(text, "digest")
    return _is_digest(text)


def parse_digest(text):
    """See `names_py.parse_digest`."""
    _check_str(text, "digest")
    if not _is_digest(text):
        raise ValueError("digest is not sha256: or sha512: and 64 or 128 lower-case hex digits")
    cdef Bytes at = <Bytes>PyUnicode_1BYTE_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    return ("sha256" if size == 71 else "sha512", _text(at + 7, size - 7, True))


cdef bint _is_digest(object text) noexcept:
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    if size != 71 and size != 135 or not PyUnicode_IS_ASCII(text):
        return False
    cdef Bytes at = <Bytes>PyUnicode_1BYTE_DATA(text)
    return memcmp(at, b"sha256:" if size == 71 else b"sha512:", 7) == 0 and _all(at + 7, size - 7, HEX)


def is_request_id(text):
    """See `names_py.is_request_id`."""
    _check_str(text, "request id")
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    if not 1 <= size <= 128 or not PyUnicode_IS_ASCII(text):
        return False
    return _all(<Bytes>PyUnicode_1BYTE_DATA(text), size, VISIBLE)


# ---- storage keys ----------------------------------------------------------------------------------------


def check_storage_key(text):
    """See `names_py.check_storage_key`."""
    cdef Py_ssize_t size
    cdef Bytes at
    _check_str(text, "storage key")
    size = PyUnicode_GET_LENGTH(text)
    if size == 0:
        raise ValueError("storage key is empty")
    if size > 1024:
        raise ValueError("storage key is longer than 1024 bytes")
    try:
        at = <Bytes>PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        raise ValueError("storage key holds a lone surrogate") from None
    if size > 1024:
        raise ValueError("storage key is longer than 1024 bytes")
    _check_key(at, size)
    if not PyUnicode_IS_ASCII(text) and not is_normalized("NFC", text):
        raise ValueError("storage key is not in Unicode normalisation form C")
    return text


cdef int _check_key(Bytes at, Py_ssize_t size) except -1:
    cdef Py_ssize_t i
    cdef bint odd = False
    cdef Bytes end = at + size
    cdef Bytes slash
    cdef Py_ssize_t length
    cdef bint empty = False, dots = False, long = False
    for i in range(size):  # no way out of the loop: it becomes vector code
        odd |= (at[i] < 0x20) | (at[i] == 0x7F) | (at[i] == 0xC2) | (at[i] == c"\\")
    if odd and _holds_control(at, size):
        raise ValueError("storage key holds a control character")
    if odd and memchr(at, c"\\", size) != NULL:
        raise ValueError("storage key holds a backslash")
    while True:
        slash = <Bytes>memchr(at, c"/", end - at)
        length = (slash if slash != NULL else end) - at
        empty |= length == 0
        dots |= at[0] == c"." and (length == 1 or (length == 2 and at[1] == c"."))
        long |= length > 255
        if slash == NULL:
            break
        at = slash + 1
    if empty:
        raise ValueError("storage key has an empty segment")
    if dots:
        raise ValueError("storage key has a dot segment")
    if long:
        raise ValueError("storage key has a segment longer than 255 bytes")
    return 0
