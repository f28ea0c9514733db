/* The contents of a file system in memory, twice: as programs see them now, and as a disk would have them
 * after the power went. Only fsync moves something from the first to the second: of a file its pages and
 * its size, of a directory its entries. Not thread-safe: callers hold one lock. */

#ifndef FAULTFS_STORE_H
#define FAULTFS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define PAGE 4096u

struct page {
    unsigned char *now, *disk; /* NULL: a hole. Equal: clean, one allocation. */
};

struct inode;

struct entry {
    struct entry *next;
    struct inode *now, *disk; /* NULL: no such name in that state. */
    uint64_t cookie;          /* Position for readdir: grows along the list. */
    char name[];
};

struct inode {
    uint64_t number, lookups; /* lookups: how many the kernel holds. */
    unsigned references;      /* From entries, in either state. */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec atime, mtime, ctime;
    unsigned links;
    char *path; /* Where it was last seen, relative to the root, for path patterns only; NULL: the root. */
    struct entry *entries, *last; /* Of a directory. */
    struct page *pages;           /* Of a file. */
    size_t page_count;
    uint64_t size, disk_size;
    struct inode *successor; /* During a power loss: what became of it. */
};

extern struct inode *root;
extern uint64_t used_bytes, limit_bytes;

void store_init(void);
struct inode *inode_new(mode_t mode, uid_t uid, gid_t gid);
void inode_release(struct inode *inode); /* Frees it when nobody refers to it. */

struct entry *entry_find(const struct inode *directory, const char *name); /* A name that exists now. */
int entry_set(struct inode *directory, const char *name, struct inode *target); /* NULL removes. */
bool directory_is_empty(const struct inode *directory);

size_t file_read(const struct inode *file, uint64_t offset, unsigned char *into, size_t size);
long file_write(struct inode *file, uint64_t offset, const unsigned char *bytes, size_t size);
int file_resize(struct inode *file, uint64_t size);

void make_durable(struct inode *inode);

/* Forget what is not durable. `random`: each dirty page, size and entry survives or not, by the seed. */
void power_loss(bool random, uint64_t seed);

#endif
