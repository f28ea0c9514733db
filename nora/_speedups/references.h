/* The descriptors and annotations of a manifest, taken out of JSON text without making objects.
 *
 * As in json_lexer.h a result of 0 means: no JSON, or doubtful. Doubtful is also what writes with escapes a name
 * or a value that is looked at here, and what gives a name of the specification twice or in another case: the full
 * parser says what is wrong with it. Null counts as absent. */
#ifndef NORA_REFERENCES_H
#define NORA_REFERENCES_H

#include "json_lexer.h"

typedef enum { ABSENT, GIVEN, WRONG } field_state;

typedef struct {
    const unsigned char *at; /* NULL: absent */
    size_t size;
} span;

typedef enum { /* of a descriptor, in the order in which they are looked for, then of other fields */
    FINE,
    NO_OBJECT,
    NO_MEDIA_TYPE,
    NO_DIGEST,
    NO_SIZE,
    BAD_URLS,
    BAD_ARTIFACT_TYPE,
    BAD_PLATFORM,
    BAD_PLATFORM_PART,
    NO_STRING,
    NO_ARRAY,
    NO_INTEGER,
    BAD_ANNOTATION
} json_problem;

typedef struct { /* a descriptor that is well-formed */
    span media_type, digest, artifact_type, os, architecture, variant;
    uint64_t size;
    int urls;
} reference;

typedef enum { NO_ANNOTATIONS, COMPACT, SPACED, UNUSUAL } annotations_form;

typedef struct {
    const unsigned char *at;
    size_t size;    /* as written */
    size_t compact; /* without the space between its parts; of use when it is COMPACT or SPACED */
    annotations_form form;
} annotations;

static inline int json_is(const json_string *key, const char *name, size_t size) {
    return key->size == size && memcmp(key->at, name, size) == 0;
}

/* Whether another parser might take the name for one of the specification: it is one but for its case. As the
 * parser of Go folds it, U+017F is an s and U+212A is a k. */
static int json_is_odd(const json_string *key) {
    static const char *const names[] = {"schemaversion", "mediatype", "artifacttype", "config",       "layers",
                                        "manifests",     "subject",   "annotations",  "digest",       "size",
                                        "urls",          "data",      "platform",     "os",           "architecture",
                                        "variant",       "os.version", "os.features", "features"};
    char folded[14];
    size_t length = 0;
    for (const unsigned char *at = key->at, *end = key->at + key->size; at < end; at++) {
        if (length == sizeof folded - 1) return 0;
        if (at[0] == 0xC5 && at[1] == 0xBF) {
            folded[length++] = 's';
            at++;
        } else if (at[0] == 0xE2 && at[1] == 0x84 && at[2] == 0xAA) {
            folded[length++] = 'k';
            at += 2;
        } else {
            folded[length++] = (char)(json_between(*at, 'A', 'Z') ? *at | 0x20 : *at);
        }
    }
    folded[length] = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(folded, names[i]) == 0) return 1;
    return 0;
}

/* Skip a member that is not looked at. */
static int skip_unknown(lexer *lex, const json_string *key) {
    if (json_is_odd(key)) lex->doubtful = 1;
    return !lex->doubtful && json_skip(lex);
}

/* Note that a member is there; doubtful when it was there already. */
static inline int note_member(lexer *lex, unsigned *seen, int number) {
    if (*seen >> number & 1) lex->doubtful = 1;
    *seen |= 1U << number;
    return !lex->doubtful;
}

/* The next member as json_next_member finds it, its key written without escapes. */
static inline int take_key(lexer *lex, int *first, int *more, json_string *key) {
    if (!json_next_member(lex, first, more, key)) return 0;
    if (*more && key->escaped) lex->doubtful = 1;
    return !lex->doubtful;
}

static int skip_other(lexer *lex, field_state *state) {
    *state = *lex->at == 'n' ? ABSENT : WRONG;
    return json_skip(lex);
}

static int take_text(lexer *lex, field_state *state, span *text) {
    json_string string;
    text->at = NULL;
    if (*lex->at != '"') return skip_other(lex, state);
    *state = GIVEN;
    if (!json_take_string(lex, &string)) return 0;
    text->at = string.at;
    text->size = string.size;
    lex->doubtful |= string.escaped;
    return !lex->doubtful;
}

static int take_size(lexer *lex, field_state *state, uint64_t *size) {
    json_number number;
    if (*lex->at != '-' && !json_between(*lex->at, '0', '9')) return skip_other(lex, state);
    if (!json_take_number(lex, &number)) return 0;
    *state = number.integer && (!number.negative || !number.magnitude) ? GIVEN : WRONG;
    *size = number.magnitude;
    return 1;
}

static int take_urls(lexer *lex, field_state *state, int *any) {
    int first = 1, more;
    *any = 0;
    if (*lex->at != '[') return skip_other(lex, state);
    *state = GIVEN;
    if (!json_enter(lex)) return 0;
    for (;;) {
        if (!json_next(lex, ']', &first, &more)) return 0;
        if (!more) return 1;
        *any = 1;
        if (!json_skip(lex)) return 0;
    }
}

static int take_platform(lexer *lex, json_problem *problem, reference *found) {
    field_state os = ABSENT, architecture = ABSENT, variant = ABSENT, state;
    unsigned seen = 0;
    int first = 1, more, ok;
    json_string key;
    found->os.at = found->architecture.at = found->variant.at = NULL;
    *problem = FINE;
    if (*lex->at != '{') {
        if (!skip_other(lex, &state)) return 0;
        if (state == WRONG) *problem = BAD_PLATFORM;
        return 1;
    }
    if (!json_enter(lex)) return 0;
    for (;;) {
        if (!take_key(lex, &first, &more, &key)) return 0;
        if (!more) break;
        if (json_is(&key, "os", 2))
            ok = note_member(lex, &seen, 0) && take_text(lex, &os, &found->os);
        else if (json_is(&key, "architecture", 12))
            ok = note_member(lex, &seen, 1) && take_text(lex, &architecture, &found->architecture);
        else if (json_is(&key, "variant", 7))
            ok = note_member(lex, &seen, 2) && take_text(lex, &variant, &found->variant);
        else if (json_is(&key, "os.version", 10))
            ok = note_member(lex, &seen, 3) && json_skip(lex);
        else if (json_is(&key, "os.features", 11))
            ok = note_member(lex, &seen, 4) && json_skip(lex);
        else if (json_is(&key, "features", 8))
            ok = note_member(lex, &seen, 5) && json_skip(lex);
        else
            ok = skip_unknown(lex, &key);
        if (!ok) return 0;
    }
    if (os == WRONG || architecture == WRONG || variant == WRONG) *problem = BAD_PLATFORM_PART;
    return 1;
}

static inline int is_lower(unsigned char c) {
    return json_between(c, 'a', 'z') || json_between(c, '0', '9');
}

/* image-spec, descriptor.md, "Digests". The quote behind the text ends every loop. */
static int is_digest_text(const unsigned char *at, size_t size) {
    const unsigned char *end = at + size;
    if (size >= 7 && (memcmp(at, "sha256:", 7) == 0 || memcmp(at, "sha512:", 7) == 0)) {
        if (size != (at[3] == '2' ? 71 : 135)) return 0;
        for (at += 7; json_between(*at, '0', '9') || json_between(*at, 'a', 'f');) at++;
        return at == end;
    }
    for (;; at++) {
        if (!is_lower(*at)) return 0;
        while (is_lower(*at)) at++;
        if (*at == ':') break;
        if (*at != '+' && *at != '.' && *at != '_' && *at != '-') return 0;
    }
    if (++at == end) return 0;
    while (is_lower(*at) || json_between(*at, 'A', 'Z') || *at == '=' || *at == '_' || *at == '-') at++;
    return at == end;
}

/* Take the value that stands here as a descriptor. `*state` is GIVEN when it is an object: well-formed if
 * `*problem` is FINE. */
static int take_reference(lexer *lex, field_state *state, json_problem *problem, reference *found) {
    field_state media_type = ABSENT, digest = ABSENT, size = ABSENT, urls = ABSENT, artifact_type = ABSENT;
    json_problem platform = FINE;
    unsigned seen = 0;
    int first = 1, more, ok;
    json_string key;
    memset(found, 0, sizeof *found);
    *problem = NO_OBJECT;
    if (*lex->at != '{') return skip_other(lex, state);
    *state = GIVEN;
    if (!json_enter(lex)) return 0;
    for (;;) {
        if (!take_key(lex, &first, &more, &key)) return 0;
        if (!more) break;
        if (json_is(&key, "mediaType", 9))
            ok = note_member(lex, &seen, 0) && take_text(lex, &media_type, &found->media_type);
        else if (json_is(&key, "digest", 6))
            ok = note_member(lex, &seen, 1) && take_text(lex, &digest, &found->digest);
        else if (json_is(&key, "size", 4))
            ok = note_member(lex, &seen, 2) && take_size(lex, &size, &found->size);
        else if (json_is(&key, "urls", 4))
            ok = note_member(lex, &seen, 3) && take_urls(lex, &urls, &found->urls);
        else if (json_is(&key, "artifactType", 12))
            ok = note_member(lex, &seen, 4) && take_text(lex, &artifact_type, &found->artifact_type);
        else if (json_is(&key, "platform", 8))
            ok = note_member(lex, &seen, 5) && take_platform(lex, &platform, found);
        else if (json_is(&key, "annotations", 11))
            ok = note_member(lex, &seen, 6) && json_skip(lex);
        else if (json_is(&key, "data", 4))
            ok = note_member(lex, &seen, 7) && json_skip(lex);
        else
            ok = skip_unknown(lex, &key);
        if (!ok) return 0;
    }
    *problem = media_type != GIVEN || !found->media_type.size ? NO_MEDIA_TYPE
               : digest != GIVEN || !is_digest_text(found->digest.at, found->digest.size) ? NO_DIGEST
               : size != GIVEN          ? NO_SIZE
               : urls == WRONG          ? BAD_URLS
               : artifact_type == WRONG ? BAD_ARTIFACT_TYPE
                                        : platform;
    return 1;
}

enum { MOST_KEYS = 512, KEY_SLOTS = 1024 };

/* Whether one of at most MOST_KEYS keys is there twice. */
static int has_twins(const json_string *keys, size_t count) {
    unsigned short slots[KEY_SLOTS]; /* numbers of keys, from 1 on, at the hash of the key or behind it */
    memset(slots, 0, sizeof slots);
    for (size_t i = 0; i < count; i++) {
        uint32_t hash = 0, slot;
        for (size_t j = 0; j < keys[i].size; j++) hash = (hash ^ keys[i].at[j]) * 0x01000193U;
        for (slot = (hash ^ hash >> 15) % KEY_SLOTS; slots[slot]; slot = (slot + 1) % KEY_SLOTS) {
            const json_string *other = &keys[slots[slot] - 1];
            if (other->size == keys[i].size && memcmp(other->at, keys[i].at, keys[i].size) == 0) return 1;
        }
        slots[slot] = (unsigned short)(i + 1);
    }
    return 0;
}

/* Take the value that stands here as annotations. They are UNUSUAL when something is written with escapes or is
 * given twice, or when they are very many: a full parser has the word then, also on whether they are wrong. */
static int take_annotations(lexer *lex, json_problem *problem, annotations *found) {
    json_string keys[MOST_KEYS], key, text = {NULL, 0, 0};
    field_state state;
    int first = 1, more, unusual = 0, wrong = 0;
    size_t count = 0;
    found->at = lex->at;
    found->form = NO_ANNOTATIONS;
    found->compact = 2;
    *problem = FINE;
    if (*lex->at != '{') {
        if (!skip_other(lex, &state)) return 0;
        if (state == WRONG) *problem = NO_OBJECT;
        return 1;
    }
    if (!json_enter(lex)) return 0;
    for (;; count++) {
        if (!json_next_member(lex, &first, &more, &key)) return 0;
        if (!more) break;
        if (*lex->at == '"') {
            if (!json_take_string(lex, &text)) return 0;
            unusual |= text.escaped;
        } else {
            wrong = 1;
            if (!json_skip(lex)) return 0;
        }
        unusual |= key.escaped;
        if (count < MOST_KEYS) keys[count] = key;
        found->compact += key.size + text.size + (count ? 6 : 5); /* four quotes, a colon, a comma */
    }
    found->size = (size_t)(lex->at - found->at);
    if (unusual || count > MOST_KEYS || (count > 1 && has_twins(keys, count)))
        found->form = UNUSUAL;
    else if (wrong)
        *problem = BAD_ANNOTATION;
    else
        found->form = found->compact == found->size ? COMPACT : SPACED;
    return 1;
}

/* Write annotations that are SPACED without the space. */
static void write_compact(const annotations *found, unsigned char *to) {
    const unsigned char *at = found->at, *end = at + found->size;
    while (at < end) {
        if (*at == '"') {
            size_t size = (size_t)((const unsigned char *)memchr(at + 1, '"', (size_t)(end - at - 1)) - at) + 1;
            memcpy(to, at, size);
            to += size;
            at += size;
        } else {
            if (*at > ' ') *to++ = *at;
            at++;
        }
    }
}

#endif
