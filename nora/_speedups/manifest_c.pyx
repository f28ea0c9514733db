# cython: language_level=3, boundscheck=False, wraparound=False
"""Scanning of manifests in one pass over the bytes, compiled: `manifest_py` says what it promises.

The pass finds where everything stands and what is wrong; Python objects are made only of a manifest that is
accepted. What is rare goes to the twin: see `doubtful` in `json_lexer.h` and `references.h`.
"""

import orjson

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_DecodeUTF8
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
    unsigned char json_peek(lexer* lex)
    int json_enter(lexer* lex)
    int json_next(lexer* lex, unsigned char closing, int* first, int* more)
    int json_skip(lexer* lex)

cdef extern from "references.h" nogil:
    ctypedef enum field_state:
        ABSENT, GIVEN, WRONG
    ctypedef enum json_problem:
        FINE, NO_STRING, NO_ARRAY, NO_INTEGER
    ctypedef struct span:
        const unsigned char* at
        size_t size
    ctypedef struct reference:
        span media_type, digest, artifact_type, os, architecture, variant
        unsigned long long size
        int urls
    ctypedef enum annotations_form:
        NO_ANNOTATIONS, COMPACT, SPACED, UNUSUAL
    ctypedef struct annotations:
        const unsigned char* at
        size_t size, compact
        annotations_form form
    int json_is(const json_string* key, const char* name, size_t size)
    int take_key(lexer* lex, int* first, int* more, json_string* key)
    int skip_unknown(lexer* lex, const json_string* key)
    int note_member(lexer* lex, unsigned* seen, int number)
    int take_text(lexer* lex, field_state* state, span* text)
    int take_size(lexer* lex, field_state* state, unsigned long long* size)
    int take_reference(lexer* lex, field_state* state, json_problem* problem, reference* found)
    int take_annotations(lexer* lex, json_problem* problem, annotations* found)
    void write_compact(const annotations* found, unsigned char* to)

cdef extern from *:
    """
    static PyObject *new_record(PyObject *type, Py_ssize_t size) {  /* of a NamedTuple, its fields not set yet */
        return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, size);
    }
    """
    object new_record(object type, Py_ssize_t size)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)

cdef tuple PROBLEMS = (  # in the order of json_problem
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

cdef enum:  # the fields of a manifest, in the order in which their problems are reported
    VERSION, MEDIA_TYPE, ARTIFACT_TYPE, CONFIG, LAYERS, MANIFESTS, SUBJECT, ANNOTATIONS, FIELDS

cdef tuple FIELD_NAMES = (
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"
)

cdef struct Array:
    reference* at
    size_t count, room
    bint given, is_null

cdef struct Scan:
    field_state version_state, config_state, subject_state
    unsigned long long version
    span media_type, artifact_type
    reference config, subject
    Array layers, manifests
    annotations notes
    json_problem problems[FIELDS]
    Py_ssize_t index[FIELDS]  # where in the array the problem is, -1 outside of one
    bint no_memory


def scan_manifest(body):
    """See `manifest_py.scan_manifest`."""
    cdef lexer lex
    cdef Scan scan
    cdef bint valid, is_object
    if type(body) is not bytes:
        raise TypeError(f"manifest must be bytes, not {type(body).__name__}")
    lex.at = <const unsigned char*>PyBytes_AS_STRING(body)
    lex.end = lex.at + PyBytes_GET_SIZE(body)
    lex.depth = lex.doubtful = 0
    _start(&scan)
    try:
        is_object = json_peek(&lex) == c"{"
        valid = _scan(&lex, &scan) if is_object else json_skip(&lex)
        if scan.no_memory:
            raise MemoryError
        if lex.doubtful:
            return manifest_py.scan_manifest(body)
        json_peek(&lex)
        if not valid or lex.at != lex.end:
            raise ValueError("manifest is not valid JSON")
        if not is_object:
            raise ValueError("manifest is not an object")
        return _manifest(&scan)
    finally:
        PyMem_RawFree(scan.layers.at)
        PyMem_RawFree(scan.manifests.at)


# ---- the pass --------------------------------------------------------------------------------------------


cdef void _start(Scan* scan) noexcept nogil:
    cdef int i
    scan.version_state = scan.config_state = scan.subject_state = ABSENT
    scan.media_type.at = scan.artifact_type.at = NULL
    scan.layers.at = scan.manifests.at = NULL
    scan.layers.count = scan.manifests.count = scan.layers.room = scan.manifests.room = 0
    scan.layers.given = scan.manifests.given = scan.no_memory = False
    scan.layers.is_null = scan.manifests.is_null = False
    scan.notes.form = NO_ANNOTATIONS
    for i in range(FIELDS):
        scan.problems[i] = FINE
        scan.index[i] = -1


cdef bint _scan(lexer* lex, Scan* scan) noexcept nogil:
    """False when it is no JSON or doubtful."""
    cdef int first = 1, more = 1, field, ok
    cdef unsigned seen = 0
    cdef json_string key
    if not json_enter(lex):
        return False
    while True:
        if not take_key(lex, &first, &more, &key):
            return False
        if not more:
            return True
        field = _known(&key)
        ok = skip_unknown(lex, &key) if field == FIELDS else note_member(lex, &seen, field) and _take(lex, scan, field)
        if not ok:
            return False


cdef int _known(const json_string* key) noexcept nogil:
    """Which field of a manifest it is, or FIELDS."""
    if key.size == 6:
        return CONFIG if json_is(key, b"config", 6) else LAYERS if json_is(key, b"layers", 6) else FIELDS
    if key.size == 9:
        return MEDIA_TYPE if json_is(key, b"mediaType", 9) else MANIFESTS if json_is(key, b"manifests", 9) else FIELDS
    if json_is(key, b"schemaVersion", 13):
        return VERSION
    if json_is(key, b"annotations", 11):
        return ANNOTATIONS
    if json_is(key, b"subject", 7):
        return SUBJECT
    return ARTIFACT_TYPE if json_is(key, b"artifactType", 12) else FIELDS


cdef int _take(lexer* lex, Scan* scan, int field) noexcept nogil:
    cdef json_problem* problem = &scan.problems[field]
    cdef field_state state = ABSENT
    cdef int ok
    if field == LAYERS:
        return _take_array(lex, scan, field, &scan.layers)
    if field == MANIFESTS:
        return _take_array(lex, scan, field, &scan.manifests)
    if field == ANNOTATIONS:
        return take_annotations(lex, problem, &scan.notes)
    if field == CONFIG:
        ok = take_reference(lex, &scan.config_state, problem, &scan.config)
        state = scan.config_state
    elif field == SUBJECT:
        ok = take_reference(lex, &scan.subject_state, problem, &scan.subject)
        state = scan.subject_state
    elif field == VERSION:
        ok = take_size(lex, &scan.version_state, &scan.version)
        problem[0] = NO_INTEGER if scan.version_state == WRONG else FINE
        return ok
    else:
        ok = take_text(lex, &state, &scan.media_type if field == MEDIA_TYPE else &scan.artifact_type)
        problem[0] = NO_STRING if state == WRONG else FINE
        return ok
    if state == ABSENT:
        problem[0] = FINE
    return ok


cdef int _take_array(lexer* lex, Scan* scan, int field, Array* array) noexcept nogil:
    cdef int first = 1, more = 1
    cdef field_state state
    cdef json_problem problem
    cdef Py_ssize_t index = 0
    array.given = True
    if lex.at[0] != c"[":
        array.is_null = lex.at[0] == c"n"
        if not array.is_null:
            scan.problems[field] = NO_ARRAY
        return json_skip(lex)
    if not json_enter(lex):
        return 0
    while True:
        if not json_next(lex, c"]", &first, &more):
            return 0
        if not more:
            return 1
        if array.count == array.room and not _grow(array):
            scan.no_memory = True
            return 0
        if not take_reference(lex, &state, &problem, &array.at[array.count]):
            return 0
        if problem == FINE:
            array.count += 1
        elif scan.problems[field] == FINE:
            scan.problems[field] = problem
            scan.index[field] = index
        index += 1


cdef bint _grow(Array* array) noexcept nogil:
    cdef size_t room = array.room * 2 if array.room else 16
    cdef void* grown = PyMem_RawRealloc(array.at, room * sizeof(reference))
    if grown == NULL:
        return False
    array.at = <reference*>grown
    array.room = room
    return True


# ---- its result ------------------------------------------------------------------------------------------


cdef object _manifest(Scan* scan):
    cdef int field
    notes = None
    for field in range(FIELDS):
        if scan.problems[field] != FINE:
            raise ValueError(_complaint(scan, field))
    notes = _annotations(&scan.notes)
    if not scan.layers.given and not scan.manifests.given:
        raise ValueError("manifest has neither layers nor manifests")
    if scan.layers.given and scan.manifests.given and not scan.layers.is_null and not scan.manifests.is_null:
        raise ValueError("manifest has both layers and manifests")
    record = new_record(Manifest, 8)
    _set(record, 0, _text(&scan.media_type))
    _set(record, 1, _text(&scan.artifact_type))
    _set(record, 2, _descriptor(&scan.config, NULL, None) if scan.config_state == GIVEN else None)
    _set(record, 3, _descriptors(&scan.layers))
    _set(record, 4, _descriptors(&scan.manifests))
    _set(record, 5, _descriptor(&scan.subject, NULL, None) if scan.subject_state == GIVEN else None)
    _set(record, 6, notes)
    _set(record, 7, scan.version if scan.version_state == GIVEN else None)
    return record


cdef str _complaint(Scan* scan, int field):
    where = FIELD_NAMES[field]
    if scan.index[field] >= 0:
        where = f"{where}[{scan.index[field]}]"
    return f"{where} {PROBLEMS[<int>scan.problems[field]]}"


cdef inline int _set(object record, Py_ssize_t index, object value) except -1:
    Py_INCREF(value)
    PyTuple_SET_ITEM(record, index, value)
    return 0


cdef inline object _text(const span* text):
    return None if text.at == NULL else PyUnicode_DecodeUTF8(<const char*>text.at, text.size, NULL)


cdef object _descriptors(const Array* array):
    cdef size_t i
    if array.count == 0:
        return ()
    cdef tuple descriptors = PyTuple_New(array.count)
    for i in range(array.count):
        descriptor = _descriptor(
            &array.at[i], &array.at[i - 1] if i else NULL, <object>descriptors[i - 1] if i else None
        )
        _set(descriptors, i, descriptor)
    return descriptors


cdef object _descriptor(const reference* found, const reference* before, object previous):
    """The value. It shares the media type of the one before it, which is the same in most images."""
    cdef const span* text = &found.media_type
    record = new_record(Descriptor, 6)
    if before != NULL and before.media_type.size == text.size and not memcmp(before.media_type.at, text.at, text.size):
        _set(record, 0, previous[0])
    else:
        _set(record, 0, _text(text))
    digest = PyUnicode_New(found.digest.size, 127)
    memcpy(PyUnicode_1BYTE_DATA(digest), found.digest.at, found.digest.size)
    _set(record, 1, digest)
    _set(record, 2, found.size)
    _set(record, 3, True if found.urls else False)
    _set(record, 4, _text(&found.artifact_type))
    _set(record, 5, _platform(found) if found.os.at != NULL and found.architecture.at != NULL else None)
    return record


cdef object _platform(const reference* found):
    if not found.os.size or not found.architecture.size:
        return None
    platform = f"{_text(&found.os)}/{_text(&found.architecture)}"
    return f"{platform}/{_text(&found.variant)}" if found.variant.at != NULL and found.variant.size else platform


cdef object _annotations(const annotations* notes):
    if notes.form == NO_ANNOTATIONS:
        return None
    if notes.form == COMPACT:
        return PyBytes_FromStringAndSize(<const char*>notes.at, notes.size)
    if notes.form == UNUSUAL:
        return manifest_py.compact_annotations(orjson.loads(notes.at[:notes.size]))
    written = PyBytes_FromStringAndSize(NULL, notes.compact)
    write_compact(notes, <unsigned char*>PyBytes_AS_STRING(written))
    return written
