#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct inode *root;
uint64_t used_bytes, limit_bytes = (uint64_t)16 << 30;

static uint64_t next_number = 1, next_cookie = 1, coin_state;

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) abort();
    return memory;
}

static struct timespec now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

void store_init(void) {
    root = inode_new(S_IFDIR | 0755, 0, 0);
    root->references = 1;
}

struct inode *inode_new(mode_t mode, uid_t uid, gid_t gid) {
    struct inode *inode = allocate(sizeof *inode);
    inode->number = next_number++;
    inode->mode = mode;
    inode->uid = uid;
    inode->gid = gid;
    inode->atime = inode->mtime = inode->ctime = now();
    return inode;
}

/* -- entries ----------------------------------------------------------------------------------------- */

static void refer(struct inode **slot, struct inode *target) {
    struct inode *before = *slot;
    if (target) target->references++;
    *slot = target;
    if (before) {
        before->references--;
        inode_release(before);
    }
}

static void remember_place(struct inode *inode, const struct inode *parent, const char *name) {
    const char *above = parent->path ? parent->path : "", *slash = parent->path ? "/" : "";
    size_t room = strlen(above) + strlen(name) + 2;
    char *path = allocate(room);
    snprintf(path, room, "%s%s%s", above, slash, name);
    free(inode->path);
    inode->path = path;
}

static struct entry *entry_any(const struct inode *directory, const char *name) {
    for (struct entry *entry = directory->entries; entry; entry = entry->next)
        if (!strcmp(entry->name, name)) return entry;
    return NULL;
}

struct entry *entry_find(const struct inode *directory, const char *name) {
    struct entry *entry = entry_any(directory, name);
    return entry && entry->now ? entry : NULL;
}

static void drop_dead_entries(struct inode *directory) {
    struct entry **link = &directory->entries;
    directory->last = NULL;
    while (*link) {
        struct entry *entry = *link;
        if (entry->now || entry->disk) {
            directory->last = entry;
            link = &entry->next;
        } else {
            *link = entry->next;
            free(entry);
        }
    }
}

int entry_set(struct inode *directory, const char *name, struct inode *target) {
    struct entry *entry = entry_any(directory, name);
    if (!entry) {
        size_t length = strlen(name);
        if (length > 255) return ENAMETOOLONG;
        entry = allocate(sizeof *entry + length + 1);
        memcpy(entry->name, name, length + 1);
        entry->cookie = next_cookie++;
        if (directory->last) directory->last->next = entry;
        else directory->entries = entry;
        directory->last = entry;
    }
    if (entry->now) entry->now->links--;
    if (target) {
        target->links++;
        target->ctime = now();
        remember_place(target, directory, name);
    }
    refer(&entry->now, target);
    directory->mtime = directory->ctime = now();
    if (!target) drop_dead_entries(directory);
    return 0;
}

bool directory_is_empty(const struct inode *directory) {
    for (struct entry *entry = directory->entries; entry; entry = entry->next)
        if (entry->now) return false;
    return true;
}

/* -- pages ------------------------------------------------------------------------------------------- */

static void put_now(struct page *page, unsigned char *bytes) {
    if (page->now && !bytes) used_bytes -= PAGE;
    if (!page->now && bytes) used_bytes += PAGE;
    if (page->now != page->disk) free(page->now);
    page->now = bytes;
}

static void put_disk(struct page *page, unsigned char *bytes) {
    if (page->disk != page->now) free(page->disk);
    page->disk = bytes;
}

static void free_pages(struct inode *file) {
    for (size_t i = 0; i < file->page_count; i++) {
        put_now(&file->pages[i], NULL);
        put_disk(&file->pages[i], NULL);
    }
    free(file->pages);
    file->pages = NULL;
    file->page_count = 0;
}

void inode_release(struct inode *inode) {
    if (inode->references || inode->lookups) return;
    while (inode->entries) {
        struct entry *entry = inode->entries;
        inode->entries = entry->next;
        refer(&entry->now, NULL);
        refer(&entry->disk, NULL);
        free(entry);
    }
    free_pages(inode);
    free(inode->path);
    free(inode);
}

/* A page of the present that may be written: never the disk's own copy. NULL when the disk is full. */
static unsigned char *writable(struct inode *file, size_t index) {
    if (index >= file->page_count) {
        size_t count = index + 1 + index / 2;
        file->pages = realloc(file->pages, count * sizeof *file->pages);
        if (!file->pages) abort();
        memset(file->pages + file->page_count, 0, (count - file->page_count) * sizeof *file->pages);
        file->page_count = count;
    }
    struct page *page = &file->pages[index];
    if (page->now && page->now != page->disk) return page->now;
    if (!page->now && used_bytes + PAGE > limit_bytes) return NULL;
    unsigned char *copy = allocate(PAGE);
    if (page->now) memcpy(copy, page->now, PAGE);
    put_now(page, copy);
    return copy;
}

size_t file_read(const struct inode *file, uint64_t offset, unsigned char *into, size_t size) {
    if (offset >= file->size) return 0;
    if (size > file->size - offset) size = file->size - offset;
    for (size_t done = 0; done < size;) {
        size_t index = (offset + done) / PAGE, at = (offset + done) % PAGE, part = PAGE - at;
        if (part > size - done) part = size - done;
        const unsigned char *page = index < file->page_count ? file->pages[index].now : NULL;
        if (page) memcpy(into + done, page + at, part);
        else memset(into + done, 0, part);
        done += part;
    }
    return size;
}

long file_write(struct inode *file, uint64_t offset, const unsigned char *bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
        size_t index = (offset + done) / PAGE, at = (offset + done) % PAGE, part = PAGE - at;
        if (part > size - done) part = size - done;
        unsigned char *page = writable(file, index);
        if (!page) break;
        memcpy(page + at, bytes + done, part);
        done += part;
    }
    if (size && !done) return -ENOSPC;
    if (offset + done > file->size) file->size = offset + done;
    file->mtime = file->ctime = now();
    return (long)done;
}

int file_resize(struct inode *file, uint64_t size) {
    size_t keep = (size + PAGE - 1) / PAGE;
    for (size_t i = keep; i < file->page_count; i++) put_now(&file->pages[i], NULL);
    if (size < file->size && size % PAGE && keep <= file->page_count && file->pages[keep - 1].now) {
        unsigned char *page = writable(file, keep - 1);
        if (!page) return ENOSPC;
        memset(page + size % PAGE, 0, PAGE - size % PAGE);
    }
    file->size = size;
    file->mtime = file->ctime = now();
    return 0;
}

/* -- durability -------------------------------------------------------------------------------------- */

void make_durable(struct inode *inode) {
    if (S_ISDIR(inode->mode)) {
        for (struct entry *entry = inode->entries; entry; entry = entry->next) refer(&entry->disk, entry->now);
        drop_dead_entries(inode);
        return;
    }
    for (size_t i = 0; i < inode->page_count; i++)
        if (inode->pages[i].now != inode->pages[i].disk) put_disk(&inode->pages[i], inode->pages[i].now);
    inode->disk_size = inode->size;
}

static bool coin(bool random) { /* splitmix64; heads means that the new state reached the disk. */
    if (!random) return false;
    uint64_t z = (coin_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) & 1;
}

static void settle_file(struct inode *file, bool random) {
    for (size_t i = 0; i < file->page_count; i++) {
        struct page *page = &file->pages[i];
        if (page->now == page->disk) continue;
        if (coin(random)) put_disk(page, page->now);
        else put_now(page, page->disk);
    }
    if (file->size != file->disk_size && !coin(random)) file->size = file->disk_size;
    (void)file_resize(file, file->size);
    make_durable(file);
}

/* Give a file another inode, so that nothing the kernel cached of the old one can come back. */
static struct inode *reborn(struct inode *file, bool random) {
    if (file->successor) return file->successor;
    settle_file(file, random);
    struct inode *heir = inode_new(file->mode, file->uid, file->gid);
    heir->pages = file->pages;
    heir->page_count = file->page_count;
    heir->size = heir->disk_size = file->size;
    file->pages = NULL;
    file->page_count = 0;
    file->size = file->disk_size = 0;
    file->successor = heir;
    return heir;
}

static void settle_directory(struct inode *directory, bool random) {
    for (struct entry *entry = directory->entries; entry; entry = entry->next) {
        struct inode *kept = entry->now != entry->disk && coin(random) ? entry->now : entry->disk;
        if (kept && !S_ISDIR(kept->mode)) kept = reborn(kept, random);
        if (kept) {
            kept->links++;
            remember_place(kept, directory, entry->name);
        }
        if (entry->now) entry->now->links--;
        refer(&entry->disk, kept);
        refer(&entry->now, kept);
        if (kept && S_ISDIR(kept->mode)) settle_directory(kept, random);
    }
    drop_dead_entries(directory);
}

void power_loss(bool random, uint64_t seed) {
    coin_state = seed;
    settle_directory(root, random);
}
