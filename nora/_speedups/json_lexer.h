/* A JSON lexer over bytes that accepts exactly what orjson accepts (RFC 8259, UTF-8 checked, 1024 deep).
 *
 * It makes no tree: it finds where members, items and strings are. The bytes must be followed by a NUL, as those
 * of a Python `bytes` are: it is no valid byte anywhere, so that nothing is read behind it. A result of 0 always
 * means that the text is not JSON, or that `doubtful` was set: there is a number here that may be too large for a
 * double, which only a full parser can tell. */
#ifndef NORA_JSON_LEXER_H
#define NORA_JSON_LEXER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef struct {
    const unsigned char *at, *end;
    int depth;    /* containers that are open */
    int doubtful;
} lexer;

typedef struct {
    const unsigned char *at; /* behind the opening quote */
    size_t size;
    int escaped;             /* holds a backslash: what it says is not what is written */
} json_string;

typedef struct {
    int integer;             /* no fraction, no exponent, magnitude below 2**63 */
    int negative;
    uint64_t magnitude;
} json_number;

enum { JSON_DEPTH = 1024 };

static inline unsigned char json_peek(lexer *lex) {
    while (*lex->at == ' ' || *lex->at == '\n' || *lex->at == '\r' || *lex->at == '\t') lex->at++;
    return *lex->at;
}

static inline int json_between(unsigned char c, unsigned char low, unsigned char high) {
    return c >= low && c <= high;
}

/* The length of the well-formed character of two or more bytes that stands here (Unicode, table 3-7), or 0. */
static int json_character(const unsigned char *at) {
    unsigned char low = 0x80, high = 0xBF;
    if (json_between(at[0], 0xC2, 0xDF)) return json_between(at[1], low, high) ? 2 : 0;
    if (json_between(at[0], 0xE0, 0xEF)) {
        if (at[0] == 0xE0) low = 0xA0;
        if (at[0] == 0xED) high = 0x9F;
        return json_between(at[1], low, high) && json_between(at[2], 0x80, 0xBF) ? 3 : 0;
    }
    if (json_between(at[0], 0xF0, 0xF4)) {
        if (at[0] == 0xF0) low = 0x90;
        if (at[0] == 0xF4) high = 0x8F;
        return json_between(at[1], low, high) && json_between(at[2], 0x80, 0xBF) && json_between(at[3], 0x80, 0xBF)
                   ? 4
                   : 0;
    }
    return 0;
}

/* The value of four hexadecimal digits, or -1. */
static int json_hex4(const unsigned char *at) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = at[i], letter = c | 0x20;
        if (json_between(c, '0', '9'))
            value = value << 4 | (c - '0');
        else if (json_between(letter, 'a', 'f'))
            value = value << 4 | (letter - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* The length of the escape that stands here, a whole surrogate pair included, or 0. */
static int json_escape(const unsigned char *at) {
    int unit;
    if (at[1] != 'u') return at[1] && strchr("\"\\/bfnrt", at[1]) ? 2 : 0;
    unit = json_hex4(at + 2);
    if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) return 0;
    if (unit < 0xD800 || unit > 0xDBFF) return 6;
    if (at[6] != '\\' || at[7] != 'u') return 0;
    unit = json_hex4(at + 8);
    return unit >= 0xDC00 && unit <= 0xDFFF ? 12 : 0;
}

/* Go on to the next byte that is not plain text: a quote, a backslash, a control character, or not ASCII. */
static inline const unsigned char *json_plain(const unsigned char *at, const unsigned char *end) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    while (end - at >= 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)at);
        __m128i special = _mm_cmplt_epi8(text, space); /* signed: those above 0x7F as well */
        special = _mm_or_si128(special, _mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, backslash)));
        int mask = _mm_movemask_epi8(special);
        if (mask) return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (json_between(*at, 0x20, 0x7F) && *at != '"' && *at != '\\') at++;
    return at;
}

/* Take the string whose opening quote stands here. */
static int json_take_string(lexer *lex, json_string *string) {
    const unsigned char *at = lex->at + 1;
    if (*lex->at != '"') return 0;
    string->at = at;
    string->escaped = 0;
    for (;;) {
        int length;
        at = json_plain(at, lex->end);
        if (*at == '"') break;
        if (*at == '\\') {
            string->escaped = 1;
            length = json_escape(at);
        } else {
            length = json_character(at);
        }
        if (!length) return 0;
        at += length;
    }
    string->size = (size_t)(at - string->at);
    lex->at = at + 1;
    return 1;
}

static int json_take_number(lexer *lex, json_number *number) {
    const unsigned char *at = lex->at, *start;
    int exponent = 0, shrinks = 0;
    number->negative = *at == '-';
    at += number->negative;
    start = at;
    number->magnitude = 0;
    number->integer = 1;
    if (!json_between(*at, '0', '9')) return 0;
    if (*at == '0' && json_between(at[1], '0', '9')) return 0;
    for (; json_between(*at, '0', '9'); at++) {
        if (at - start >= 19) number->integer = 0;
        if (number->integer) number->magnitude = number->magnitude * 10 + (uint64_t)(*at - '0');
    }
    if (number->magnitude >> 63) number->integer = 0;
    if (at - start > 200) lex->doubtful = 1;
    if (*at == '.') {
        number->integer = 0;
        if (!json_between(*++at, '0', '9')) return 0;
        while (json_between(*at, '0', '9')) at++;
    }
    if (*at == 'e' || *at == 'E') {
        number->integer = 0;
        at++;
        shrinks = *at == '-';
        if (*at == '-' || *at == '+') at++;
        if (!json_between(*at, '0', '9')) return 0;
        for (; json_between(*at, '0', '9'); at++)
            if (exponent < 1000) exponent = exponent * 10 + (*at - '0');
        if (exponent > 100 && !shrinks) lex->doubtful = 1;
    }
    lex->at = at;
    return !lex->doubtful;
}

static int json_take_word(lexer *lex, const char *word, size_t size) {
    if ((size_t)(lex->end - lex->at) < size || memcmp(lex->at, word, size) != 0) return 0;
    lex->at += size;
    return 1;
}

/* Enter the container whose bracket stands here. */
static inline int json_enter(lexer *lex) {
    lex->at++;
    return ++lex->depth <= JSON_DEPTH;
}

/* Go to the next value of the container that was entered, or behind its closing bracket, which sets `*more` to 0.
 * `*first` must be 1 at the first call. */
static inline int json_next(lexer *lex, unsigned char closing, int *first, int *more) {
    unsigned char c = json_peek(lex);
    *more = 1;
    if (c == closing) {
        lex->at++;
        lex->depth--;
        *more = 0;
        return 1;
    }
    if (!*first) {
        if (c != ',') return 0;
        lex->at++;
        return json_peek(lex) != closing;
    }
    *first = 0;
    return 1;
}

/* The same for an object: takes the key and stands before its value. */
static inline int json_next_member(lexer *lex, int *first, int *more, json_string *key) {
    if (!json_next(lex, '}', first, more)) return 0;
    if (!*more) return 1;
    if (!json_take_string(lex, key) || json_peek(lex) != ':') return 0;
    lex->at++;
    json_peek(lex);
    return 1;
}

/* Take the value that stands here, which is no container. */
static int json_take_scalar(lexer *lex) {
    json_string string;
    json_number number;
    switch (*lex->at) {
    case '"': return json_take_string(lex, &string);
    case 't': return json_take_word(lex, "true", 4);
    case 'f': return json_take_word(lex, "false", 5);
    case 'n': return json_take_word(lex, "null", 4);
    default: return json_take_number(lex, &number);
    }
}

/* Skip the value that stands here, however deep it is, without recursion. */
static int json_skip(lexer *lex) {
    unsigned char objects[JSON_DEPTH + 1]; /* which of the open containers are objects */
    int base = lex->depth, first = 1, more;
    json_string key;
    if (*lex->at != '{' && *lex->at != '[') return json_take_scalar(lex);
    do {
        if (*lex->at == '{' || *lex->at == '[') {
            int object = *lex->at == '{';
            if (!json_enter(lex)) return 0;
            objects[lex->depth] = (unsigned char)object;
            first = 1;
        } else if (!json_take_scalar(lex)) {
            return 0;
        }
        for (;;) { /* go on to the next value, out of all containers that end here */
            int object = objects[lex->depth];
            if (!(object ? json_next_member(lex, &first, &more, &key) : json_next(lex, ']', &first, &more))) return 0;
            if (more) break;
            first = 0;
            if (lex->depth == base) return 1;
        }
    } while (1);
}

#endif
