# cython: language_level=3, boundscheck=False, wraparound=False
"""Scanning of manifests in one pass over the bytes, compiled: `manifest_py` says what it promises.

What is rare goes to the twin: names or values of known fields that are written with escapes, numbers that may be
too large for a double. The lexer calls such a document doubtful.
"""

import orjson

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_AsTuple
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.string cimport memcmp, memcpy

from nora._speedups import manifest_py
from nora._speedups.descriptors import Descriptor, Manifest

cdef extern from "json_lexer.h" nogil:
    ctypedef struct lexer:
        const unsigned char* at
        const unsigned char* end
        int depth, doubtful
    ctypedef struct json_string:
        const unsigned char* at
        size_t size
        int escaped
    ctypedef struct json_number:
        int integer, negative
        unsigned long long magnitude
    unsigned char json_peek(lexer* lex)
    int json_take_string(lexer* lex, json_string* string)
    int json_take_number(lexer* lex, json_number* number)
    int json_enter(lexer* lex)
    int json_next(lexer* lex, unsigned char closing, int* first, int* more)
    int json_next_member(lexer* lex, int* first, int* more, json_string* key)
    int json_skip(lexer* lex)

cdef extern from *:
    """
    static PyObject *new_record(PyObject *type, Py_ssize_t size) {  /* of a NamedTuple, its fields not set yet */
        return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, size);
    }
    """
    object new_record(object type, Py_ssize_t size)

ctypedef const unsigned char* Bytes

cdef enum:
    MOST_ANNOTATIONS = 512  # that are looked at here
    SLOTS = 1024
    LONGEST_PLATFORM = 128

cdef enum State:  # of a field: null and absent are alike
    ABSENT, TEXT, INTEGER, OBJECT, EMPTY_ARRAY, ARRAY, WRONG

cdef struct Field:
    State state
    json_string text
    unsigned long long number

cdef struct Reference:  # a descriptor as it is written
    State state  # ABSENT, OBJECT or WRONG
    Field media_type, digest, size, urls, artifact_type
    State platform
    Field os, architecture, variant

cdef enum Problem:  # in the order in which they are looked for
    FINE, NO_OBJECT, NO_MEDIA_TYPE, NO_DIGEST, NO_SIZE, BAD_URLS, BAD_ARTIFACT_TYPE, BAD_PLATFORM, BAD_PLATFORM_PART
    NO_STRING, NO_ARRAY, NO_INTEGER, BAD_ANNOTATION

cdef tuple PROBLEMS = (
    "",
    "is not an object",
    "has no mediaType that is a non-empty string",
    "has no digest of the form algorithm:encoded",
    "has no size that is an integer between 0 and 2**63 - 1",
    "has urls that are not an array",
    "has an artifactType that is not a string",
    "has a platform that is not an object",
    "has a platform whose os, architecture or variant is not a string",
    "is not a string",
    "is not an array",
    "is not an integer between 0 and 2**63 - 1",
    "has a value that is not a string",
)

cdef enum Known:  # the fields of a manifest, in the order in which their problems are reported
    VERSION, MEDIA_TYPE, ARTIFACT_TYPE, CONFIG, LAYERS, MANIFESTS, SUBJECT, ANNOTATIONS, FIELDS

cdef tuple FIELD_NAMES = (
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"
)

cdef struct Finding:
    Problem problem
    Py_ssize_t index  # in the array, -1 where there is none


def scan_manifest(body):
    """See `manifest_py.scan_manifest`."""
    cdef lexer lex
    if type(body) is not bytes:
        raise TypeError(f"manifest must be bytes, not {type(body).__name__}")
    lex.at = <Bytes>PyBytes_AS_STRING(body)
    lex.end = lex.at + PyBytes_GET_SIZE(body)
    lex.depth = lex.doubtful = 0
    cdef bint is_object = json_peek(&lex) == c"{"
    if is_object:
        manifest = _scan(&lex)
    else:
        manifest = json_skip(&lex) or None
    if lex.doubtful:
        return manifest_py.scan_manifest(body)
    json_peek(&lex)
    if manifest is None or lex.at != lex.end:
        raise ValueError("manifest is not valid JSON")
    if not is_object:
        raise ValueError("manifest is not an object")
    if type(manifest) is str:
        raise ValueError(manifest)
    return manifest


cdef object _scan(lexer* lex):
    """The manifest; or a `str` that says what is wrong with it; or None when it is no JSON or doubtful."""
    cdef Finding findings[FIELDS]
    cdef int first = 1, more = 1, field, ok
    cdef bint complete = False
    cdef json_string key
    cdef list values = [None, None, None, None, (), (), None, None]
    for field in range(FIELDS):
        findings[field].problem = FINE
    if not json_enter(lex):
        return None
    while True:
        if not json_next_member(lex, &first, &more, &key):
            return None
        if not more:
            break
        if key.escaped:
            lex.doubtful = 1
            return None
        field = _known(&key)
        if field == FIELDS:
            ok = json_skip(lex)
        else:
            findings[field].problem = FINE
            findings[field].index = -1
            if field == LAYERS or field == MANIFESTS:
                complete = True
            ok = _take_known(lex, field, values, &findings[field])
        if not ok:
            return None
    for field in range(FIELDS):
        if findings[field].problem != FINE:
            where = FIELD_NAMES[field]
            if findings[field].index >= 0:
                where = f"{where}[{findings[field].index}]"
            return f"{where} {PROBLEMS[findings[field].problem]}"
    if not complete:
        return "manifest has neither layers nor manifests"
    return _manifest(values)


cdef inline bint _is(const json_string* key, const char* name, size_t size) noexcept nogil:
    return key.size == size and memcmp(key.at, name, size) == 0


cdef int _known(const json_string* key) noexcept nogil:
    """Which field of a manifest it is, or FIELDS."""
    if key.size == 6:
        return CONFIG if _is(key, b"config", 6) else LAYERS if _is(key, b"layers", 6) else FIELDS
    if key.size == 9:
        return MEDIA_TYPE if _is(key, b"mediaType", 9) else MANIFESTS if _is(key, b"manifests", 9) else FIELDS
    if _is(key, b"schemaVersion", 13):
        return VERSION
    if _is(key, b"annotations", 11):
        return ANNOTATIONS
    if _is(key, b"subject", 7):
        return SUBJECT
    return ARTIFACT_TYPE if _is(key, b"artifactType", 12) else FIELDS


cdef int _take_known(lexer* lex, int known, list values, Finding* finding) except -1:
    """Take the value of a known field into `values`; 0 when it is no JSON or doubtful."""
    cdef Field field
    cdef Reference reference
    if known == LAYERS or known == MANIFESTS:
        values[known] = _take_array(lex, finding)
        return values[known] is not None
    if known == CONFIG or known == SUBJECT:
        if not _take_reference(lex, &reference):
            return 0
        values[known] = None
        if reference.state != ABSENT:
            finding.problem = _examine(&reference)
            if finding.problem == FINE:
                values[known] = _descriptor(&reference, None)
        return 1
    if known == ANNOTATIONS:
        values[known] = _take_annotations(lex, finding)
        return values[known] is not False
    if known == VERSION:
        if not _take_size(lex, &field):
            return 0
        if field.state == WRONG:
            finding.problem = NO_INTEGER
        values[known] = field.number if field.state == INTEGER else None
        return 1
    if not _take_text(lex, &field):
        return 0
    if field.state == WRONG:
        finding.problem = NO_STRING
    values[known] = _text(&field.text) if field.state == TEXT else None
    return 1


# ---- descriptors -----------------------------------------------------------------------------------------


cdef int _take_text(lexer* lex, Field* field) noexcept nogil:
    if lex.at[0] == c'"':
        field.state = TEXT
        if not json_take_string(lex, &field.text):
            return 0
        lex.doubtful |= field.text.escaped
        return not lex.doubtful
    field.state = ABSENT if lex.at[0] == c"n" else WRONG
    return json_skip(lex)


cdef int _take_size(lexer* lex, Field* field) noexcept nogil:
    cdef json_number number
    if lex.at[0] == c"-" or c"0" <= lex.at[0] <= c"9":
        if not json_take_number(lex, &number):
            return 0
        field.state = INTEGER if number.integer and (number.magnitude == 0 or not number.negative) else WRONG
        field.number = number.magnitude
        return 1
    field.state = ABSENT if lex.at[0] == c"n" else WRONG
    return json_skip(lex)


cdef int _take_urls(lexer* lex, Field* field) noexcept nogil:
    cdef int first = 1, more = 1
    if lex.at[0] != c"[":
        field.state = ABSENT if lex.at[0] == c"n" else WRONG
        return json_skip(lex)
    field.state = EMPTY_ARRAY
    if not json_enter(lex):
        return 0
    while True:
        if not json_next(lex, c"]", &first, &more):
            return 0
        if not more:
            return 1
        field.state = ARRAY
        if not json_skip(lex):
            return 0


cdef int _take_platform(lexer* lex, Reference* reference) noexcept nogil:
    cdef int first = 1, more = 1, ok
    cdef json_string key
    reference.os.state = reference.architecture.state = reference.variant.state = ABSENT
    if lex.at[0] != c"{":
        reference.platform = ABSENT if lex.at[0] == c"n" else WRONG
        return json_skip(lex)
    reference.platform = OBJECT
    if not json_enter(lex):
        return 0
    while True:
        if not json_next_member(lex, &first, &more, &key):
            return 0
        if not more:
            return 1
        if key.escaped:
            lex.doubtful = 1
            return 0
        if _is(&key, b"os", 2):
            ok = _take_text(lex, &reference.os)
        elif _is(&key, b"architecture", 12):
            ok = _take_text(lex, &reference.architecture)
        elif _is(&key, b"variant", 7):
            ok = _take_text(lex, &reference.variant)
        else:
            ok = json_skip(lex)
        if not ok:
            return 0


cdef int _take_reference(lexer* lex, Reference* reference) noexcept nogil:
    cdef int first = 1, more = 1, ok
    cdef json_string key
    if lex.at[0] != c"{":
        reference.state = ABSENT if lex.at[0] == c"n" else WRONG
        return json_skip(lex)
    reference.state = OBJECT
    reference.media_type.state = reference.digest.state = reference.size.state = ABSENT
    reference.urls.state = reference.artifact_type.state = reference.platform = ABSENT
    if not json_enter(lex):
        return 0
    while True:
        if not json_next_member(lex, &first, &more, &key):
            return 0
        if not more:
            return 1
        if key.escaped:
            lex.doubtful = 1
            return 0
        if _is(&key, b"mediaType", 9):
            ok = _take_text(lex, &reference.media_type)
        elif _is(&key, b"digest", 6):
            ok = _take_text(lex, &reference.digest)
        elif _is(&key, b"size", 4):
            ok = _take_size(lex, &reference.size)
        elif _is(&key, b"urls", 4):
            ok = _take_urls(lex, &reference.urls)
        elif _is(&key, b"artifactType", 12):
            ok = _take_text(lex, &reference.artifact_type)
        elif _is(&key, b"platform", 8):
            ok = _take_platform(lex, reference)
        else:
            ok = json_skip(lex)
        if not ok:
            return 0


cdef Problem _examine(const Reference* reference) noexcept nogil:
    if reference.state != OBJECT:
        return NO_OBJECT
    if reference.media_type.state != TEXT or reference.media_type.text.size == 0:
        return NO_MEDIA_TYPE
    if reference.digest.state != TEXT or not _is_digest(reference.digest.text.at, reference.digest.text.size):
        return NO_DIGEST
    if reference.size.state != INTEGER:
        return NO_SIZE
    if reference.urls.state == WRONG:
        return BAD_URLS
    if reference.artifact_type.state == WRONG:
        return BAD_ARTIFACT_TYPE
    if reference.platform == WRONG:
        return BAD_PLATFORM
    if reference.platform == OBJECT and (
        reference.os.state == WRONG or reference.architecture.state == WRONG or reference.variant.state == WRONG
    ):
        return BAD_PLATFORM_PART
    return FINE


cdef bint _is_lower(unsigned char c) noexcept nogil:
    return c"a" <= c <= c"z" or c"0" <= c <= c"9"


cdef bint _is_digest(Bytes at, size_t size) noexcept nogil:
    """See the grammar in `manifest_py`; the closing quote ends every loop."""
    cdef Bytes end = at + size
    cdef size_t i, digits
    if size >= 7 and (memcmp(at, b"sha256:", 7) == 0 or memcmp(at, b"sha512:", 7) == 0):
        digits = 64 if at[3] == c"2" else 128
        if size != 7 + digits:
            return False
        for i in range(7, size):
            if not (c"0" <= at[i] <= c"9" or c"a" <= at[i] <= c"f"):
                return False
        return True
    while True:
        if not _is_lower(at[0]):
            return False
        while _is_lower(at[0]):
            at += 1
        if at[0] == c":":
            break
        if at[0] != c"+" and at[0] != c"." and at[0] != c"_" and at[0] != c"-":
            return False
        at += 1
    at += 1
    if at == end:
        return False
    while _is_lower(at[0]) or c"A" <= at[0] <= c"Z" or at[0] == c"=" or at[0] == c"_" or at[0] == c"-":
        at += 1
    return at == end


cdef object _take_array(lexer* lex, Finding* finding):
    """The descriptors; None when they are no JSON or doubtful."""
    cdef int first = 1, more = 1
    cdef Reference reference
    cdef Py_ssize_t index = 0
    cdef Problem problem
    if lex.at[0] != c"[":
        finding.problem = FINE if lex.at[0] == c"n" else NO_ARRAY
        return () if json_skip(lex) else None
    if not json_enter(lex):
        return None
    cdef list found = []
    descriptor = None
    while True:
        if not json_next(lex, c"]", &first, &more):
            return None
        if not more:
            return PyList_AsTuple(found)
        if not _take_reference(lex, &reference):
            return None
        if finding.problem == FINE:
            problem = _examine(&reference)
            if problem == FINE:
                descriptor = _descriptor(&reference, descriptor)
                PyList_Append(found, descriptor)
            else:
                finding.problem = problem
                finding.index = index
        index += 1


cdef inline object _text(const json_string* text):
    return PyUnicode_DecodeUTF8(<const char*>text.at, text.size, NULL)


cdef inline int _set(object record, Py_ssize_t index, object value) except -1:
    Py_INCREF(value)
    PyTuple_SET_ITEM(record, index, value)
    return 0


cdef object _descriptor(const Reference* reference, object before):
    """The value; `before` is the descriptor before it, whose media type it may share."""
    cdef const json_string* text = &reference.media_type.text
    record = new_record(Descriptor, 6)
    media_type = _text(text) if before is None else _same_or_new(text, before[0])
    _set(record, 0, media_type)
    _set(record, 1, _text(&reference.digest.text))
    _set(record, 2, reference.size.number)
    _set(record, 3, reference.urls.state == ARRAY)
    _set(record, 4, _text(&reference.artifact_type.text) if reference.artifact_type.state == TEXT else None)
    _set(record, 5, _platform(reference) if reference.platform == OBJECT else None)
    return record


cdef object _same_or_new(const json_string* text, object known):
    """`known` if it says the same, to make and keep one `str` for all layers of an image."""
    cdef Py_ssize_t size
    cdef const char* at = PyUnicode_AsUTF8AndSize(known, &size)
    if <size_t>size == text.size and memcmp(at, text.at, size) == 0:
        return known
    return _text(text)


cdef object _platform(const Reference* reference):
    cdef bint variant = reference.variant.state == TEXT and reference.variant.text.size
    if reference.os.state != TEXT or reference.architecture.state != TEXT:
        return None
    if not reference.os.text.size or not reference.architecture.text.size:
        return None
    if variant:
        return f"{_text(&reference.os.text)}/{_text(&reference.architecture.text)}/{_text(&reference.variant.text)}"
    return f"{_text(&reference.os.text)}/{_text(&reference.architecture.text)}"


cdef object _manifest(list values):
    """In the order of the fields of `Manifest`."""
    record = new_record(Manifest, 8)
    _set(record, 0, values[MEDIA_TYPE])
    _set(record, 1, values[ARTIFACT_TYPE])
    _set(record, 2, values[CONFIG])
    _set(record, 3, values[LAYERS])
    _set(record, 4, values[MANIFESTS])
    _set(record, 5, values[SUBJECT])
    _set(record, 6, values[ANNOTATIONS])
    _set(record, 7, values[VERSION])
    return record


# ---- annotations -----------------------------------------------------------------------------------------


cdef object _take_annotations(lexer* lex, Finding* finding):
    """The annotations as compact JSON, None where there are none, False when they are no JSON or doubtful."""
    cdef json_string keys[MOST_ANNOTATIONS]
    cdef json_string texts[MOST_ANNOTATIONS]
    cdef json_string key, text
    cdef int first = 1, more = 1
    cdef size_t count = 0, size = 2
    cdef bint wrong = False, escaped = False
    cdef Bytes start = lex.at
    if start[0] != c"{":
        finding.problem = FINE if start[0] == c"n" else NO_OBJECT
        return None if json_skip(lex) else False
    if not json_enter(lex):
        return False
    while True:
        if not json_next_member(lex, &first, &more, &key):
            return False
        if not more:
            break
        if lex.at[0] != c'"':
            wrong = True
            if not json_skip(lex):
                return False
            text.size = 0
        elif not json_take_string(lex, &text):
            return False
        else:
            escaped |= text.escaped
        escaped |= key.escaped
        if count < MOST_ANNOTATIONS:
            keys[count] = key
            texts[count] = text
        count += 1
        size += key.size + text.size + 6  # four quotes, a colon, a comma
    if count:
        size -= 1
    if escaped or count > MOST_ANNOTATIONS or _has_twins(keys, count):
        return _annotations_by_orjson(start[:lex.at - start], finding)
    if wrong:
        finding.problem = BAD_ANNOTATION
        return None
    if size == <size_t>(lex.at - start):
        return PyBytes_FromStringAndSize(<const char*>start, size)
    return _compact(keys, texts, count, size)


cdef object _annotations_by_orjson(bytes written, Finding* finding):
    """For what is written in more than one way, or said more than once."""
    values = orjson.loads(written)
    for value in values.values():
        if type(value) is not str:
            finding.problem = BAD_ANNOTATION
            return None
    return orjson.dumps(values)


cdef bytes _compact(const json_string* keys, const json_string* texts, size_t count, size_t size):
    cdef bytes written = PyBytes_FromStringAndSize(NULL, size)
    cdef char* at = PyBytes_AS_STRING(written)
    cdef size_t i
    at[0] = c"{"
    at += 1
    for i in range(count):
        if i:
            at[0] = c","
            at += 1
        at = _put(at, &keys[i])
        at[0] = c":"
        at = _put(at + 1, &texts[i])
    at[0] = c"}"
    return written


cdef char* _put(char* at, const json_string* text) noexcept nogil:
    memcpy(at, text.at - 1, text.size + 2)  # with its quotes
    return at + text.size + 2


cdef bint _has_twins(const json_string* keys, size_t count) noexcept nogil:
    """Whether a key is there twice."""
    cdef unsigned short slots[SLOTS]  # numbers of keys from 1 on, at the hash of the key or behind it
    cdef unsigned int hashed, slot
    cdef size_t i, j
    if count <= 8:
        for i in range(1, count):
            for j in range(i):
                if keys[i].size == keys[j].size and memcmp(keys[i].at, keys[j].at, keys[i].size) == 0:
                    return True
        return False
    for i in range(SLOTS):
        slots[i] = 0
    for i in range(count):
        hashed = 0
        for j in range(keys[i].size):
            hashed = (hashed ^ keys[i].at[j]) * 0x01000193
        slot = (hashed ^ hashed >> 15) % SLOTS
        while slots[slot]:
            j = slots[slot] - 1
            if keys[i].size == keys[j].size and memcmp(keys[i].at, keys[j].at, keys[i].size) == 0:
                return True
            slot = (slot + 1) % SLOTS
        slots[slot] = <unsigned short>(i + 1)
    return False
