# cython: language_level=3, boundscheck=False, wraparound=False
"""Whole small files, compiled: `files_py` says what the function promises.

The interpreter lock is let go of once, not once for each of nine system calls: a thread that wants it back
while the event loop is busy waits for it, and both pay for the change of threads.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EINTR, EIO, errno
from libc.stdio cimport rename
from libc.stdlib cimport free
from libc.string cimport strdup, strrchr

cdef extern from "fcntl.h" nogil:
    int c_open "open"(const char* path, int flags, ...)
    int O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_CLOEXEC, O_DIRECTORY

cdef extern from "unistd.h" nogil:
    int c_close "close"(int fd)
    int c_fsync "fsync"(int fd)
    int c_unlink "unlink"(const char* path)
    ssize_t c_write "write"(int fd, const void* data, size_t size)

DURABLE_NOT, DURABLE_DATA, DURABLE_FULL = 0, 1, 2


def store_file(temp, path, data, durability):
    """See `files_py.store_file`."""
    cdef bytes old = _encoded(temp)
    cdef bytes new = _encoded(path)
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    if not isinstance(durability, int):
        raise TypeError(f"durability must be int, not {type(durability).__name__}")
    if not 0 <= durability <= 2:
        raise ValueError("durability is not between 0 and 2")
    cdef const char* draft_name = PyBytes_AS_STRING(old)
    cdef const char* name = PyBytes_AS_STRING(new)
    cdef const char* content = PyBytes_AS_STRING(data)
    cdef size_t size = PyBytes_GET_SIZE(data)
    cdef int level = durability
    cdef int error
    with nogil:
        error = _store(draft_name, name, content, size, level)
    if error:
        raise OSError(error, os.strerror(error), path)


cdef bytes _encoded(name):
    if not isinstance(name, str):
        raise TypeError(f"a path must be str, not {type(name).__name__}")
    if "/" not in name or "\0" in name:
        raise ValueError("a path must name its folder and have no NUL")
    return os.fsencode(name)


cdef int _store(const char* temp, const char* name, const char* data, size_t size, int level) noexcept nogil:
    """0, or the number of the error; neither name is left behind then."""
    cdef int error = 0
    cdef int file = c_open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if file < 0:
        return errno
    error = _write_all(file, data, size)
    if error == 0 and level >= 1 and c_fsync(file) != 0:
        error = errno
    if error == 0 and rename(temp, name) != 0:
        error = errno
    if error:
        c_unlink(temp)
    elif level >= 2:
        error = _sync_folder(name)
        if error:
            c_unlink(name)
    c_close(file)
    return error


cdef int _write_all(int file, const char* data, size_t size) noexcept nogil:
    cdef ssize_t done
    while size:
        done = c_write(file, data, size)
        if done > 0:
            data += done
            size -= done
        elif done == 0:
            return EIO
        elif errno != EINTR:
            return errno
    return 0


cdef int _sync_folder(const char* name) noexcept nogil:
    cdef char* folder = strdup(name)
    if folder == NULL:
        return EIO
    cdef char* end = strrchr(folder, c"/")
    cdef int error = 0
    end[1 if end == folder else 0] = 0
    cdef int file = c_open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if file < 0:
        error = errno
    else:
        if c_fsync(file) != 0:
            error = errno
        c_close(file)
    free(folder)
    return error
