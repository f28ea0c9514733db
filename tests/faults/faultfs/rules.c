/* The control language, one command a line:
 *
 *     fail OPERATIONS GLOB ERROR COUNT PROBABILITY SEED    ("*" in GLOB crosses slashes; COUNT -1: always)
 *     clear                  forget all rules
 *     hits                   how many operations failed since the last clear
 *     limit BYTES            capacity of the file system
 *     lie 0|1                fsync says yes and keeps nothing
 *     power-loss strict      forget what is not durable
 *     power-loss SEED        each thing that is not durable survives or not
 *     used                   bytes in use
 */

#include "rules.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define MAX_RULES 64

struct rule {
    unsigned operations;
    char glob[256];
    int error;
    long left;
    double probability;
    unsigned short dice[3];
};

int fsync_lies;
static struct rule rules[MAX_RULES];
static int rule_count;
static long hits;

static const struct {
    const char *name;
    unsigned operations;
} operation_names[] = {
    {"lookup", OP_LOOKUP}, {"stat", OP_STAT}, {"open", OP_OPEN}, {"read", OP_READ}, {"list", OP_LIST},
    {"write", OP_WRITE}, {"fsync", OP_FSYNC}, {"rename", OP_RENAME}, {"create", OP_CREATE},
    {"unlink", OP_UNLINK}, {"resize", OP_RESIZE},
    {"change", OP_WRITE | OP_RENAME | OP_CREATE | OP_UNLINK | OP_RESIZE},
};

static const struct {
    const char *name;
    int error;
} error_names[] = {
    {"EIO", EIO}, {"EROFS", EROFS}, {"EACCES", EACCES}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
};

int rule_for(enum operation operation, const char *path) {
    for (struct rule *rule = rules; rule < rules + rule_count; rule++) {
        if (!(rule->operations & operation) || !rule->left || fnmatch(rule->glob, path, 0)) continue;
        if (erand48(rule->dice) >= rule->probability) continue;
        if (rule->left > 0) rule->left--;
        hits++;
        return rule->error;
    }
    return 0;
}

static unsigned parse_operations(char *words) {
    unsigned operations = 0;
    char *rest = words;
    for (char *word; (word = strsep(&rest, ","));) {
        unsigned found = 0;
        for (size_t i = 0; i < sizeof operation_names / sizeof *operation_names; i++)
            if (!strcmp(word, operation_names[i].name)) found = operation_names[i].operations;
        if (!found) return 0;
        operations |= found;
    }
    return operations;
}

static int parse_error(const char *word) {
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names; i++)
        if (!strcmp(word, error_names[i].name)) return error_names[i].error;
    return 0;
}

static int add_rule(const char *line) {
    char operations[128], error[16];
    struct rule rule = {0};
    unsigned seed;
    if (sscanf(line, "fail %127s %255s %15s %ld %lf %u", operations, rule.glob, error, &rule.left,
               &rule.probability, &seed) != 6)
        return 0;
    rule.operations = parse_operations(operations);
    rule.error = parse_error(error);
    memcpy(rule.dice, &seed, sizeof seed);
    if (!rule.operations || !rule.error || rule_count == MAX_RULES) return 0;
    rules[rule_count++] = rule;
    return 1;
}

const char *control(char *line, char *answer, unsigned long room) {
    unsigned long long number;
    snprintf(answer, room, "ok\n");
    if (!strncmp(line, "fail ", 5) && add_rule(line)) {
        const struct rule *rule = &rules[rule_count - 1];
        return rule->operations & OP_READ ? rule->glob : NULL;
    }
    if (!strcmp(line, "clear")) rule_count = 0, hits = 0;
    else if (!strcmp(line, "power-loss strict")) power_loss(false, 0);
    else if (sscanf(line, "power-loss %llu", &number) == 1) power_loss(true, number);
    else if (!strcmp(line, "hits")) snprintf(answer, room, "%ld\n", hits);
    else if (!strcmp(line, "used")) snprintf(answer, room, "%llu\n", (unsigned long long)used_bytes);
    else if (sscanf(line, "limit %llu", &number) == 1) limit_bytes = number;
    else if (sscanf(line, "lie %llu", &number) == 1) fsync_lies = (int)number;
    else snprintf(answer, room, "what: %s\n", line);
    return NULL;
}
