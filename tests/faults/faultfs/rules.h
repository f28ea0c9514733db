/* Which operations fail, with which error. Set through the control socket; see rules.c for its words. */

#ifndef FAULTFS_RULES_H
#define FAULTFS_RULES_H

enum operation {
    OP_LOOKUP = 1, OP_STAT = 2, OP_OPEN = 4, OP_READ = 8, OP_LIST = 16, OP_WRITE = 32, OP_FSYNC = 64,
    OP_RENAME = 128, OP_CREATE = 256, OP_UNLINK = 512, OP_RESIZE = 1024,
};

/* The errno that an operation on a path is to fail with, or 0. */
int rule_for(enum operation operation, const char *path);

/* Carry out one line of the control language; the answer, one line, goes to `answer`. Returns the pattern
 * of the files that the kernel must forget, so that reads come here and fail, or NULL. */
const char *control(char *line, char *answer, unsigned long room);

extern int fsync_lies; /* fsync says yes and keeps nothing: to prove that a test would notice. */

#endif
