/* A file system in memory that can lose its power and fail on demand.
 *
 *     faultfs MOUNTPOINT CONTROL-SOCKET
 *
 * One thread answers the kernel, another the control socket, under one lock, so that every operation of
 * every process has one order. Nothing is buffered on the kernel's side: a write is here when it returns. */

#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fnmatch.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rules.h"
#include "store.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fuse_session *session;

/* Path and rule of an operation, then the lock until the answer: every handler begins with one of these. */
#define FAIL_IF(expression)                     \
    do {                                        \
        int error_ = (expression);              \
        if (error_) {                           \
            pthread_mutex_unlock(&lock);        \
            fuse_reply_err(request, error_);    \
            return;                             \
        }                                       \
    } while (0)

static struct inode *at(fuse_ino_t number) {
    return number == FUSE_ROOT_ID ? root : (struct inode *)(uintptr_t)number;
}

static const char *path_of(const struct inode *inode) {
    return inode->path ? inode->path : "";
}

static int rule_below(enum operation operation, const struct inode *directory, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s%s", path_of(directory), directory->path ? "/" : "", name);
    return rule_for(operation, path);
}

static struct stat attributes(const struct inode *inode) {
    return (struct stat){
        .st_ino = inode->number, .st_mode = inode->mode, .st_uid = inode->uid, .st_gid = inode->gid,
        .st_nlink = S_ISDIR(inode->mode) ? 2 : inode->links, .st_size = (off_t)inode->size,
        .st_blksize = PAGE, .st_blocks = (blkcnt_t)((inode->size + 511) / 512),
        .st_atim = inode->atime, .st_mtim = inode->mtime, .st_ctim = inode->ctime,
    };
}

/* Timeouts are 0: the kernel asks again each time, and so meets rules and power losses at once. */
static struct fuse_entry_param grant(struct inode *inode) {
    inode->lookups++;
    return (struct fuse_entry_param){.ino = (uintptr_t)inode, .generation = inode->number, .attr = attributes(inode)};
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_below(OP_LOOKUP, at(parent), name));
    struct entry *entry = entry_find(at(parent), name);
    FAIL_IF(entry ? 0 : ENOENT);
    struct fuse_entry_param param = grant(entry->now);
    pthread_mutex_unlock(&lock);
    fuse_reply_entry(request, &param);
}

static void do_forget(fuse_req_t request, fuse_ino_t number, uint64_t count) {
    pthread_mutex_lock(&lock);
    if (number != FUSE_ROOT_ID) {
        at(number)->lookups -= count;
        inode_release(at(number));
    }
    pthread_mutex_unlock(&lock);
    fuse_reply_none(request);
}

static void do_getattr(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info) {
    (void)info;
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_for(OP_STAT, path_of(at(number))));
    struct stat stat = attributes(at(number));
    pthread_mutex_unlock(&lock);
    fuse_reply_attr(request, &stat, 0);
}

static void do_setattr(fuse_req_t request, fuse_ino_t number, struct stat *wanted, int what,
                       struct fuse_file_info *info) {
    (void)info;
    pthread_mutex_lock(&lock);
    struct inode *inode = at(number);
    if (what & FUSE_SET_ATTR_SIZE) {
        FAIL_IF(rule_for(OP_RESIZE, path_of(inode)));
        FAIL_IF(file_resize(inode, (uint64_t)wanted->st_size));
    }
    if (what & FUSE_SET_ATTR_MODE) inode->mode = (inode->mode & S_IFMT) | (wanted->st_mode & 07777);
    if (what & FUSE_SET_ATTR_UID) inode->uid = wanted->st_uid;
    if (what & FUSE_SET_ATTR_GID) inode->gid = wanted->st_gid;
    if (what & FUSE_SET_ATTR_ATIME) inode->atime = wanted->st_atim;
    if (what & FUSE_SET_ATTR_MTIME) inode->mtime = wanted->st_mtim;
    if (what & FUSE_SET_ATTR_ATIME_NOW) clock_gettime(CLOCK_REALTIME, &inode->atime);
    if (what & FUSE_SET_ATTR_MTIME_NOW) clock_gettime(CLOCK_REALTIME, &inode->mtime);
    struct stat stat = attributes(inode);
    pthread_mutex_unlock(&lock);
    fuse_reply_attr(request, &stat, 0);
}

/* A new name for a new inode; the lock is held. Returns an errno. */
static int add(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, struct inode **made) {
    const struct fuse_ctx *context = fuse_req_ctx(request);
    int error = rule_below(OP_CREATE, at(parent), name);
    if (error) return error;
    if (entry_find(at(parent), name)) return EEXIST;
    *made = inode_new(mode, context->uid, context->gid);
    error = entry_set(at(parent), name, *made);
    if (error) inode_release(*made);
    return error;
}

static void do_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
    (void)device;
    struct inode *made;
    pthread_mutex_lock(&lock);
    FAIL_IF(add(request, parent, name, mode, &made));
    struct fuse_entry_param param = grant(made);
    pthread_mutex_unlock(&lock);
    fuse_reply_entry(request, &param);
}

static void do_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
    do_mknod(request, parent, name, S_IFDIR | (mode & 07777), 0);
}

static void do_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info) {
    struct inode *made;
    pthread_mutex_lock(&lock);
    FAIL_IF(add(request, parent, name, S_IFREG | (mode & 07777), &made));
    struct fuse_entry_param param = grant(made);
    pthread_mutex_unlock(&lock);
    info->keep_cache = 1;
    fuse_reply_create(request, &param, info);
}

static void do_link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char *name) {
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_below(OP_CREATE, at(parent), name));
    FAIL_IF(entry_find(at(parent), name) ? EEXIST : 0);
    FAIL_IF(entry_set(at(parent), name, at(number)));
    struct fuse_entry_param param = grant(at(number));
    pthread_mutex_unlock(&lock);
    fuse_reply_entry(request, &param);
}

static void remove_name(fuse_req_t request, fuse_ino_t parent, const char *name, bool directory) {
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_below(OP_UNLINK, at(parent), name));
    struct entry *entry = entry_find(at(parent), name);
    FAIL_IF(entry ? 0 : ENOENT);
    bool is_directory = S_ISDIR(entry->now->mode);
    FAIL_IF(directory == is_directory ? 0 : directory ? ENOTDIR : EISDIR);
    FAIL_IF(directory && !directory_is_empty(entry->now) ? ENOTEMPTY : 0);
    (void)entry_set(at(parent), name, NULL);
    pthread_mutex_unlock(&lock);
    fuse_reply_err(request, 0);
}

static void do_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
    remove_name(request, parent, name, false);
}

static void do_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name) {
    remove_name(request, parent, name, true);
}

static void do_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags) {
    pthread_mutex_lock(&lock);
    FAIL_IF(flags & ~1u ? EINVAL : 0);
    FAIL_IF(rule_below(OP_RENAME, at(parent), name));
    FAIL_IF(rule_below(OP_RENAME, at(new_parent), new_name));
    struct entry *from = entry_find(at(parent), name), *onto = entry_find(at(new_parent), new_name);
    FAIL_IF(from ? 0 : ENOENT);
    FAIL_IF(onto && flags & 1u ? EEXIST : 0);
    FAIL_IF(onto && S_ISDIR(onto->now->mode) && !directory_is_empty(onto->now) ? ENOTEMPTY : 0);
    struct inode *moved = from->now;
    if (!onto || onto->now != moved) {
        FAIL_IF(entry_set(at(new_parent), new_name, moved));
        (void)entry_set(at(parent), name, NULL);
    }
    pthread_mutex_unlock(&lock);
    fuse_reply_err(request, 0);
}

static void do_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info) {
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_for(OP_OPEN, path_of(at(number))));
    FAIL_IF((info->flags & O_ACCMODE) != O_RDONLY ? rule_for(OP_CREATE, path_of(at(number))) : 0);
    pthread_mutex_unlock(&lock);
    info->keep_cache = 1;
    fuse_reply_open(request, info);
}

static void do_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_for(OP_READ, path_of(at(number))));
    unsigned char *bytes = malloc(size + 1);
    FAIL_IF(bytes ? 0 : ENOMEM);
    size_t count = file_read(at(number), (uint64_t)offset, bytes, size);
    pthread_mutex_unlock(&lock);
    fuse_reply_buf(request, (char *)bytes, count);
    free(bytes);
}

static void do_write(fuse_req_t request, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *info) {
    (void)info;
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_for(OP_WRITE, path_of(at(number))));
    long count = file_write(at(number), (uint64_t)offset, (const unsigned char *)bytes, size);
    FAIL_IF(count < 0 ? (int)-count : 0);
    pthread_mutex_unlock(&lock);
    fuse_reply_write(request, (size_t)count);
}

static void do_fsync(fuse_req_t request, fuse_ino_t number, int data_only, struct fuse_file_info *info) {
    (void)data_only, (void)info;
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_for(OP_FSYNC, path_of(at(number))));
    if (!fsync_lies) make_durable(at(number));
    pthread_mutex_unlock(&lock);
    fuse_reply_err(request, 0);
}

static void do_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    pthread_mutex_lock(&lock);
    FAIL_IF(rule_for(OP_LIST, path_of(at(number))));
    char *buffer = malloc(size);
    FAIL_IF(buffer ? 0 : ENOMEM);
    size_t filled = 0;
    for (struct entry *entry = at(number)->entries; entry; entry = entry->next) {
        if (!entry->now || entry->cookie <= (uint64_t)offset) continue;
        struct stat stat = attributes(entry->now);
        size_t need = fuse_add_direntry(request, buffer + filled, size - filled, entry->name, &stat,
                                        (off_t)entry->cookie);
        if (need > size - filled) break;
        filled += need;
    }
    pthread_mutex_unlock(&lock);
    fuse_reply_buf(request, buffer, filled);
    free(buffer);
}

static void do_statfs(fuse_req_t request, fuse_ino_t number) {
    (void)number;
    pthread_mutex_lock(&lock);
    fsblkcnt_t free_blocks = used_bytes < limit_bytes ? (limit_bytes - used_bytes) / PAGE : 0;
    struct statvfs stat = {.f_bsize = PAGE, .f_frsize = PAGE, .f_blocks = limit_bytes / PAGE, .f_bfree = free_blocks,
                           .f_bavail = free_blocks, .f_files = 1u << 20, .f_ffree = 1u << 19, .f_namemax = 255};
    pthread_mutex_unlock(&lock);
    fuse_reply_statfs(request, &stat);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = do_lookup, .forget = do_forget, .getattr = do_getattr, .setattr = do_setattr, .mknod = do_mknod,
    .mkdir = do_mkdir, .create = do_create, .link = do_link, .unlink = do_unlink, .rmdir = do_rmdir,
    .rename = do_rename, .open = do_open, .read = do_read, .write = do_write, .fsync = do_fsync,
    .readdir = do_readdir, .fsyncdir = do_fsync, .statfs = do_statfs,
};

/* -- control ----------------------------------------------------------------------------------------- */

struct numbers {
    fuse_ino_t *list;
    size_t count;
};

static void collect(const struct inode *directory, const char *glob, struct numbers *numbers) {
    for (struct entry *entry = directory->entries; entry; entry = entry->next) {
        if (!entry->now) continue;
        if (S_ISDIR(entry->now->mode)) collect(entry->now, glob, numbers);
        else if (entry->now->lookups && !fnmatch(glob, path_of(entry->now), 0)) {
            numbers->list = realloc(numbers->list, (numbers->count + 1) * sizeof *numbers->list);
            if (!numbers->list) abort();
            numbers->list[numbers->count++] = (uintptr_t)entry->now;
        }
    }
}

/* Without the lock: the kernel may first write back what is mapped and dirty. */
static void drop_kernel_caches(const char *glob) {
    struct numbers numbers = {0};
    pthread_mutex_lock(&lock);
    collect(root, glob, &numbers);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < numbers.count; i++) fuse_lowlevel_notify_inval_inode(session, numbers.list[i], 0, 0);
    free(numbers.list);
}

static void *serve_control(void *argument) {
    int listener = *(int *)argument;
    for (int client; (client = accept(listener, NULL, NULL)) >= 0; close(client)) {
        char line[1024], answer[1200];
        ssize_t length = read(client, line, sizeof line - 1);
        if (length <= 0) continue;
        line[length] = 0;
        line[strcspn(line, "\n")] = 0;
        pthread_mutex_lock(&lock);
        const char *drop = control(line, answer, sizeof answer);
        pthread_mutex_unlock(&lock);
        if (drop) drop_kernel_caches(drop);
        if (write(client, answer, strlen(answer)) < 0) perror("faultfs: control");
    }
    return NULL;
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8)) return -1;
    return listener;
}

int main(int count, char **words) {
    if (count != 3) return fprintf(stderr, "usage: faultfs MOUNTPOINT CONTROL-SOCKET\n"), 2;
    char *arguments[] = {words[0], "-ofsname=faultfs", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
    int listener = listen_at(words[2]);
    pthread_t thread;
    store_init();
    if (listener < 0) return perror("faultfs: socket"), 1;
    session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, words[1])) return 1;
    if (pthread_create(&thread, NULL, serve_control, &listener)) return 1;
    puts("ready");
    fflush(stdout);
    int result = fuse_session_loop(session);
    fuse_session_unmount(session);
    unlink(words[2]);
    return result < 0;
}
