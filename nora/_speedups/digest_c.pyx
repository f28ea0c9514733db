# cython: language_level=3, boundscheck=False, wraparound=False
"""Digests of what is received and read, compiled: `digest_py` says what each function promises.

Digests are taken by the libcrypto that Python's own `_hashlib` has loaded, called without the interpreter lock;
hashlib's objects stand in where its functions cannot be found, and for what it does not have. XXH3 is in `xxh3.h`.
"""

import hashlib
import os
import sys

cimport cython
from cpython.buffer cimport PyBUF_CONTIG_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.unicode cimport PyUnicode_1BYTE_DATA
from libc.errno cimport EINTR, EIO, errno

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)

cdef extern from "dlfcn.h" nogil:
    void* dlopen(const char* path, int mode)
    void* dlsym(void* handle, const char* name)
    int RTLD_NOW, RTLD_NOLOAD

cdef extern from "unistd.h" nogil:
    ssize_t pread(int fd, void* data, size_t size, long long offset)
    ssize_t pwrite(int fd, const void* data, size_t size, long long offset)

cdef extern from "xxh3.h" nogil:
    ctypedef struct xxh3_state:
        unsigned long long size
    ctypedef struct xxh3_value:
        unsigned long long low, high
    void xxh3_start(xxh3_state* state)
    void xxh3_take(xxh3_state* state, const unsigned char* data, size_t size)
    xxh3_value xxh3_end(const xxh3_state* state)

ctypedef const unsigned char* Bytes

ALGORITHMS = ("sha256", "sha512")
CHECKSUMS = ("sha1", "md5", "blake2b_256")

cdef enum:
    COUNT = 5  # of ALGORITHMS and CHECKSUMS
    PIECE = 1 << 20  # bytes of a file read at once
    BLOCK = 1 << 15  # bytes that stay in the nearest cache while every digest takes them
    SHORT = 2048  # bytes from which letting go of the interpreter lock pays, as hashlib does

cdef object LIMIT = 1 << 63


# ---- libcrypto -------------------------------------------------------------------------------------------

cdef void* (*evp_fetch)(void*, const char*, const char*) noexcept nogil
cdef void* (*evp_new)() noexcept nogil
cdef void (*evp_free)(void*) noexcept nogil
cdef int (*evp_init)(void*, const void*, void*) noexcept nogil
cdef int (*evp_update)(void*, const void*, size_t) noexcept nogil
cdef int (*evp_final)(void*, unsigned char*, unsigned int*) noexcept nogil
cdef int (*evp_copy)(void*, const void*) noexcept nogil
cdef void* methods[COUNT]  # NULL where it does not have the algorithm


cdef bint _find_libcrypto():
    """Take the functions of OpenSSL 3 out of the library that is loaded; whether all of them are there."""
    global evp_fetch, evp_new, evp_free, evp_init, evp_update, evp_final, evp_copy
    cdef void* handle
    path = getattr(sys.modules.get("_hashlib"), "__file__", None)  # hashlib has imported it
    if path is None:
        return False
    handle = dlopen(os.fsencode(path), RTLD_NOW | RTLD_NOLOAD)
    if handle == NULL:
        return False
    evp_fetch = <void* (*)(void*, const char*, const char*) noexcept nogil>dlsym(handle, b"EVP_MD_fetch")
    evp_new = <void* (*)() noexcept nogil>dlsym(handle, b"EVP_MD_CTX_new")
    evp_free = <void (*)(void*) noexcept nogil>dlsym(handle, b"EVP_MD_CTX_free")
    evp_init = <int (*)(void*, const void*, void*) noexcept nogil>dlsym(handle, b"EVP_DigestInit_ex")
    evp_update = <int (*)(void*, const void*, size_t) noexcept nogil>dlsym(handle, b"EVP_DigestUpdate")
    evp_final = <int (*)(void*, unsigned char*, unsigned int*) noexcept nogil>dlsym(handle, b"EVP_DigestFinal_ex")
    evp_copy = <int (*)(void*, const void*) noexcept nogil>dlsym(handle, b"EVP_MD_CTX_copy_ex")
    if (evp_fetch == NULL or evp_new == NULL or evp_free == NULL or evp_init == NULL
            or evp_update == NULL or evp_final == NULL or evp_copy == NULL):
        return False
    methods[0] = evp_fetch(NULL, b"SHA2-256", NULL)
    methods[1] = evp_fetch(NULL, b"SHA2-512", NULL)
    methods[2] = evp_fetch(NULL, b"SHA1", NULL)
    methods[3] = evp_fetch(NULL, b"MD5", NULL)
    return methods[0] != NULL and methods[1] != NULL


cdef bint libcrypto = _find_libcrypto()


# ---- hashers ---------------------------------------------------------------------------------------------


@cython.final
@cython.no_gc
cdef class Hasher:
    """See `digest_py.Hasher`."""

    cdef void* contexts[COUNT]  # libcrypto's, NULL where not asked for
    cdef dict running  # hashlib's where libcrypto cannot be had or has none, else None
    cdef xxh3_state xxh3_128
    cdef bint busy  # a thread is at work without the interpreter lock

    def __cinit__(self, *algorithms):
        xxh3_start(&self.xxh3_128)
        for algorithm in algorithms:
            self._start(_index(algorithm), algorithm)

    def __dealloc__(self):
        for i in range(COUNT):
            if self.contexts[i] != NULL:
                evp_free(self.contexts[i])

    cdef int _start(self, int i, str algorithm) except -1:
        if not libcrypto or methods[i] == NULL:
            if self.running is None:
                self.running = {}
            self.running[algorithm] = _new_hash(algorithm)
        elif self.contexts[i] == NULL:
            self.contexts[i] = evp_new()
            if self.contexts[i] == NULL or not evp_init(self.contexts[i], methods[i], NULL):
                raise MemoryError
        return 0

    @property
    def size(self):
        """Bytes taken so far."""
        return self.xxh3_128.size

    def update(self, data):
        """Take `data` into every digest."""
        cdef Py_buffer view
        _get_view(data, &view)
        try:
            self._check_free()
            if self.running is not None:
                self._take_running(data)
            if view.len < SHORT:
                self._take(<Bytes>view.buf, view.len)
            else:
                self.busy = True
                with nogil:
                    self._take(<Bytes>view.buf, view.len)
                self.busy = False
        finally:
            PyBuffer_Release(&view)

    def write(self, fd, data, offset):
        """Write all of `data` to the file at `offset` (in bytes) and take it into every digest."""
        cdef Py_buffer view
        cdef int file, error
        cdef long long place
        _get_view(data, &view)
        try:
            _check_integer("fd", fd, 1 << 31)
            _check_integer("offset", offset, LIMIT)
            file = fd
            place = offset
            self._check_free()
            self.busy = True
            with nogil:
                error = _write_all(file, <Bytes>view.buf, view.len, place)
                if error == 0:
                    self._take(<Bytes>view.buf, view.len)
            self.busy = False
            if error:
                raise OSError(error, os.strerror(error))
            if self.running is not None:
                self._take_running(data)
        finally:
            PyBuffer_Release(&view)

    cdef int _check_free(self) except -1:
        if self.busy:
            raise ValueError("hasher is in use by another thread")
        return 0

    cdef void _take(self, Bytes data, size_t size) noexcept nogil:
        cdef size_t now
        cdef int i
        while size:
            now = min(size, <size_t>BLOCK)
            for i in range(COUNT):
                if self.contexts[i] != NULL:
                    evp_update(self.contexts[i], data, now)
            xxh3_take(&self.xxh3_128, data, now)
            data += now
            size -= now

    cdef int _take_running(self, data) except -1:
        for running in self.running.values():
            running.update(data)
        return 0

    def hexdigest(self, algorithm):
        """The digest so far, lower-case hexadecimal; ValueError when it was not asked for at the start."""
        cdef unsigned char raw[64]
        cdef unsigned int size = 0
        cdef void* context
        cdef int i = _index(algorithm)
        self._check_free()
        if self.running is not None and algorithm in self.running:
            return self.running[algorithm].hexdigest()
        if self.contexts[i] == NULL:
            raise ValueError(f"{algorithm} was not taken")
        context = _copy(self.contexts[i])
        evp_final(context, raw, &size)
        evp_free(context)
        return _hexadecimal(raw, size)

    def xxh3(self):
        """The XXH3-128 so far, 32 hexadecimal digits. For scrubs and cache keys, never for identity."""
        self._check_free()
        cdef xxh3_value value = xxh3_end(&self.xxh3_128)
        cdef unsigned char raw[16]
        cdef int i
        for i in range(8):
            raw[i] = <unsigned char>(value.high >> (56 - 8 * i))
            raw[8 + i] = <unsigned char>(value.low >> (56 - 8 * i))
        return _hexadecimal(raw, 16)

    def copy(self):
        """A hasher that goes on from here by itself."""
        self._check_free()
        cdef Hasher other = Hasher.__new__(type(self))
        cdef int i
        for i in range(COUNT):
            if self.contexts[i] != NULL:
                other.contexts[i] = _copy(self.contexts[i])
        if self.running is not None:
            other.running = {algorithm: running.copy() for algorithm, running in self.running.items()}
        other.xxh3_128 = self.xxh3_128
        return other


def hash_file(fd, *algorithms, offset=0, length=None):
    """See `digest_py.hash_file`."""
    cdef Hasher hasher = Hasher(*algorithms)
    cdef unsigned long long left = <unsigned long long>1 << 63
    cdef long long place
    cdef ssize_t done = 1
    cdef int file, error = 0
    _check_integer("fd", fd, 1 << 31)
    _check_integer("offset", offset, LIMIT)
    if length is not None:
        _check_integer("length", length, LIMIT)
        left = length
    file = fd
    place = offset
    cdef unsigned char* piece = <unsigned char*>PyMem_RawMalloc(PIECE)
    if piece == NULL:
        raise MemoryError
    try:
        while left and done:
            with nogil:
                done = pread(file, piece, min(left, <unsigned long long>PIECE), place)
                if done > 0:
                    hasher._take(piece, done)
                elif done < 0:
                    error = errno
            if error and error != EINTR:
                raise OSError(error, os.strerror(error))
            PyErr_CheckSignals()
            if error:
                error = 0
                continue
            if hasher.running is not None:
                hasher._take_running(piece[:done])
            place += done
            left -= done
    finally:
        PyMem_RawFree(piece)
    return hasher


cdef object _hexadecimal(Bytes raw, Py_ssize_t size):
    text = PyUnicode_New(2 * size, 127)
    cdef unsigned char* at = <unsigned char*>PyUnicode_1BYTE_DATA(text)
    cdef Py_ssize_t i
    for i in range(size):
        at[2 * i] = b"0123456789abcdef"[raw[i] >> 4]
        at[2 * i + 1] = b"0123456789abcdef"[raw[i] & 15]
    return text


cdef void* _copy(const void* context) except NULL:
    cdef void* other = evp_new()
    if other == NULL or not evp_copy(other, context):
        raise MemoryError
    return other


cdef int _write_all(int fd, Bytes data, size_t size, long long offset) noexcept nogil:
    """0, or the number of the error that the file answered."""
    cdef ssize_t done
    while size:
        done = pwrite(fd, data, size, offset)
        if done > 0:
            data += done
            size -= done
            offset += done
        elif done == 0:
            return EIO
        elif errno != EINTR:
            return errno
    return 0


cdef object _new_hash(str algorithm):
    if algorithm == "blake2b_256":
        return hashlib.blake2b(digest_size=32, usedforsecurity=False)
    return hashlib.new(algorithm, usedforsecurity=False)


cdef int _index(algorithm) except -1:
    if not isinstance(algorithm, str):
        raise TypeError(f"algorithm must be str, not {type(algorithm).__name__}")
    if algorithm == "sha256":
        return 0
    if algorithm == "sha512":
        return 1
    if algorithm == "sha1":
        return 2
    if algorithm == "md5":
        return 3
    if algorithm == "blake2b_256":
        return 4
    raise ValueError("algorithm is none of sha256, sha512, sha1, md5, blake2b_256")


cdef int _check_integer(str name, value, limit) except -1:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    if not 0 <= value < limit:
        raise ValueError(f"{name} is not between 0 and {limit - 1}")
    return 0


cdef int _get_view(data, Py_buffer* view) except -1:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data must be bytes, bytearray or memoryview, not {type(data).__name__}")
    try:
        PyObject_GetBuffer(data, view, PyBUF_CONTIG_RO)
    except BufferError:
        raise TypeError("data is not a contiguous run of bytes") from None
    if view.ndim != 1 or view.itemsize != 1:
        PyBuffer_Release(view)
        raise TypeError("data is not a contiguous run of bytes")
    return 0
