/* XXH3-128 (seed 0, default secret) of a stream, after the xxHash specification.
 *
 * Only what `digest_c` needs: xxh3_start, xxh3_take, xxh3_end. The state holds its own bytes and may be copied
 * by assignment. */
#ifndef NORA_XXH3_H
#define NORA_XXH3_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define XXH3_X86 1
#endif

#define P32_1 0x9E3779B1U
#define P32_2 0x85EBCA77U
#define P32_3 0xC2B2AE3DU
#define P64_1 0x9E3779B185EBCA87ULL
#define P64_2 0xC2B2AE3D27D4EB4FULL
#define P64_3 0x165667B19E3779F9ULL
#define P64_4 0x85EBCA77C2B2AE63ULL
#define P64_5 0x27D4EB2F165667C5ULL
#define MIX_1 0x165667919E3779F9ULL
#define MIX_2 0x9FB21C651E98DF25ULL

enum { STRIPE = 64, LANES = 8, BLOCK_STRIPES = 16, KEPT = 256, SECRET = 192 };

typedef struct {
    uint64_t lanes[LANES];
    uint64_t size;     /* bytes taken */
    unsigned stripes;  /* mixed in since the last scramble */
    unsigned kept;     /* bytes at the start of `bytes` that are not mixed in yet */
    uint8_t bytes[KEPT]; /* when kept < STRIPE, its tail still holds the stripe before them */
} xxh3_state;

typedef struct {
    uint64_t low, high;
} xxh3_value;

static const uint8_t xxh3_secret[SECRET] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static inline uint32_t read32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static inline uint64_t read64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline xxh3_value multiply(uint64_t a, uint64_t b) {
    xxh3_value product;
#ifdef __SIZEOF_INT128__
    unsigned __int128 wide = (unsigned __int128)a * b;
    product.low = (uint64_t)wide;
    product.high = (uint64_t)(wide >> 64);
#else
    uint64_t low = (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF), left = (a >> 32) * (b & 0xFFFFFFFF);
    uint64_t right = (a & 0xFFFFFFFF) * (b >> 32), high = (a >> 32) * (b >> 32);
    uint64_t middle = (low >> 32) + (left & 0xFFFFFFFF) + right;
    product.low = (middle << 32) | (low & 0xFFFFFFFF);
    product.high = (left >> 32) + (middle >> 32) + high;
#endif
    return product;
}

static inline uint64_t fold(uint64_t a, uint64_t b) {
    xxh3_value product = multiply(a, b);
    return product.low ^ product.high;
}

static inline uint64_t avalanche(uint64_t h) {
    h = (h ^ (h >> 37)) * MIX_1;
    return h ^ (h >> 32);
}

static inline uint64_t avalanche64(uint64_t h) {
    h = (h ^ (h >> 33)) * P64_2;
    h = (h ^ (h >> 29)) * P64_3;
    return h ^ (h >> 32);
}

/* ---- inputs of at most 240 bytes ---- */

static xxh3_value hash_to_3(const uint8_t *in, size_t size) {
    uint32_t low = ((uint32_t)in[0] << 16) | ((uint32_t)in[size >> 1] << 24) | in[size - 1] | ((uint32_t)size << 8);
    uint32_t swapped = (low >> 24) | ((low >> 8) & 0xFF00) | ((low << 8) & 0xFF0000) | (low << 24);
    uint32_t high = (swapped << 13) | (swapped >> 19);
    xxh3_value h;
    h.low = avalanche64(low ^ (uint64_t)(read32(xxh3_secret) ^ read32(xxh3_secret + 4)));
    h.high = avalanche64(high ^ (uint64_t)(read32(xxh3_secret + 8) ^ read32(xxh3_secret + 12)));
    return h;
}

static xxh3_value hash_to_8(const uint8_t *in, size_t size) {
    uint64_t both = read32(in) + ((uint64_t)read32(in + size - 4) << 32);
    uint64_t keyed = both ^ read64(xxh3_secret + 16) ^ read64(xxh3_secret + 24);
    xxh3_value h = multiply(keyed, P64_1 + (size << 2));
    h.high += h.low << 1;
    h.low ^= h.high >> 3;
    h.low = (h.low ^ (h.low >> 35)) * MIX_2;
    h.low ^= h.low >> 28;
    h.high = avalanche(h.high);
    return h;
}

static xxh3_value hash_to_16(const uint8_t *in, size_t size) {
    uint64_t first = read64(in), last = read64(in + size - 8);
    xxh3_value m = multiply(first ^ last ^ read64(xxh3_secret + 32) ^ read64(xxh3_secret + 40), P64_1), h;
    m.low += (uint64_t)(size - 1) << 54;
    last ^= read64(xxh3_secret + 48) ^ read64(xxh3_secret + 56);
    m.high += last + (last & 0xFFFFFFFF) * (P32_2 - 1);
    m.low ^= ((m.high & 0xFF) << 56) | ((m.high & 0xFF00) << 40) | ((m.high & 0xFF0000) << 24)
             | ((m.high & 0xFF000000) << 8) | ((m.high >> 8) & 0xFF000000) | ((m.high >> 24) & 0xFF0000)
             | ((m.high >> 40) & 0xFF00) | (m.high >> 56);
    h = multiply(m.low, P64_2);
    h.high += m.high * P64_2;
    h.low = avalanche(h.low);
    h.high = avalanche(h.high);
    return h;
}

static inline uint64_t mix16(const uint8_t *in, const uint8_t *key) {
    return fold(read64(in) ^ read64(key), read64(in + 8) ^ read64(key + 8));
}

static inline void mix32(xxh3_value *h, const uint8_t *a, const uint8_t *b, const uint8_t *key) {
    h->low = (h->low + mix16(a, key)) ^ (read64(b) + read64(b + 8));
    h->high = (h->high + mix16(b, key + 16)) ^ (read64(a) + read64(a + 8));
}

static xxh3_value hash_to_240(const uint8_t *in, size_t size) {
    xxh3_value sum = {size * P64_1, 0}, h;
    size_t i;
    if (size <= 128) {
        for (i = (size - 1) / 32 + 1; i-- > 0;)
            mix32(&sum, in + 16 * i, in + size - 16 * (i + 1), xxh3_secret + 32 * i);
    } else {
        for (i = 0; i < 4; i++) mix32(&sum, in + 32 * i, in + 32 * i + 16, xxh3_secret + 32 * i);
        sum.low = avalanche(sum.low);
        sum.high = avalanche(sum.high);
        for (; 32 * (i + 1) <= size; i++) mix32(&sum, in + 32 * i, in + 32 * i + 16, xxh3_secret + 3 + 32 * (i - 4));
        mix32(&sum, in + size - 16, in + size - 32, xxh3_secret + 103);
    }
    h.low = avalanche(sum.low + sum.high);
    h.high = 0 - avalanche(sum.low * P64_1 + sum.high * P64_4 + size * P64_2);
    return h;
}

static xxh3_value hash_short(const uint8_t *in, size_t size) {
    xxh3_value h;
    if (size > 16) return hash_to_240(in, size);
    if (size > 8) return hash_to_16(in, size);
    if (size > 3) return hash_to_8(in, size);
    if (size > 0) return hash_to_3(in, size);
    h.low = avalanche64(read64(xxh3_secret + 64) ^ read64(xxh3_secret + 72));
    h.high = avalanche64(read64(xxh3_secret + 80) ^ read64(xxh3_secret + 88));
    return h;
}

/* ---- longer inputs: stripes of 64 bytes are mixed into eight lanes, which are scrambled every 16 stripes ---- */

/* Mix in `stripes` of them, then scramble if `full`. The same lines are compiled for each instruction set. */
#define MIX_BLOCK(NAME, ATTRIBUTES, VECTOR, WIDE, LOAD, STORE, ADD, XOR, SHUFFLE, SHIFT, MULTIPLY, SPLAT)            \
    ATTRIBUTES static void NAME(uint64_t *lanes, const uint8_t *in, const uint8_t *key, size_t stripes, int full) {  \
        enum { PARTS = STRIPE / (int)sizeof(VECTOR) };                                                               \
        VECTOR sums[PARTS];                                                                                          \
        for (int i = 0; i < PARTS; i++) sums[i] = LOAD((const VECTOR *)lanes + i);                                   \
        for (; stripes; stripes--, in += STRIPE, key += 8) {                                                         \
            for (int i = 0; i < PARTS; i++) {                                                                        \
                VECTOR data = LOAD((const VECTOR *)in + i);                                                          \
                VECTOR keyed = XOR(data, LOAD((const VECTOR *)key + i));                                             \
                VECTOR product = MULTIPLY(keyed, SHUFFLE(keyed, 0x31));                                              \
                sums[i] = ADD(sums[i], ADD(product, SHUFFLE(data, 0x4E)));                                           \
            }                                                                                                        \
        }                                                                                                            \
        for (int i = 0; full && i < PARTS; i++) {                                                                    \
            VECTOR keyed = XOR(sums[i], LOAD((const VECTOR *)(xxh3_secret + SECRET - STRIPE) + i));                  \
            VECTOR mixed = XOR(keyed, SHIFT(sums[i], 47));                                                           \
            VECTOR high = MULTIPLY(SHUFFLE(mixed, 0x31), SPLAT((int)P32_1));                                         \
            sums[i] = ADD(MULTIPLY(mixed, SPLAT((int)P32_1)), WIDE(high, 32));                                       \
        }                                                                                                            \
        for (int i = 0; i < PARTS; i++) STORE((VECTOR *)lanes + i, sums[i]);                                         \
    }

#ifdef XXH3_X86

MIX_BLOCK(mix_avx2, __attribute__((target("avx2"))), __m256i, _mm256_slli_epi64, _mm256_loadu_si256,
          _mm256_storeu_si256, _mm256_add_epi64, _mm256_xor_si256, _mm256_shuffle_epi32, _mm256_srli_epi64,
          _mm256_mul_epu32, _mm256_set1_epi32)
MIX_BLOCK(mix_sse2, , __m128i, _mm_slli_epi64, _mm_loadu_si128, _mm_storeu_si128, _mm_add_epi64, _mm_xor_si128,
          _mm_shuffle_epi32, _mm_srli_epi64, _mm_mul_epu32, _mm_set1_epi32)

static inline void mix(uint64_t *lanes, const uint8_t *in, const uint8_t *key, size_t stripes, int full) {
    if (__builtin_cpu_supports("avx2"))
        mix_avx2(lanes, in, key, stripes, full);
    else
        mix_sse2(lanes, in, key, stripes, full);
}

#else

static void mix(uint64_t *lanes, const uint8_t *in, const uint8_t *key, size_t stripes, int full) {
    for (; stripes; stripes--, in += STRIPE, key += 8) {
        for (int i = 0; i < LANES; i++) {
            uint64_t keyed = read64(in + 8 * i) ^ read64(key + 8 * i);
            lanes[i] += read64(in + 8 * (i ^ 1)) + (keyed & 0xFFFFFFFF) * (keyed >> 32);
        }
    }
    for (int i = 0; full && i < LANES; i++)
        lanes[i] = (lanes[i] ^ (lanes[i] >> 47) ^ read64(xxh3_secret + SECRET - STRIPE + 8 * i)) * P32_1;
}

#endif

/* Mix in whole stripes. More bytes must follow: the last ones of a stream are mixed in another way. */
static void mix_stripes(uint64_t *lanes, unsigned *done, const uint8_t *in, size_t stripes) {
    while (stripes) {
        const uint8_t *key = xxh3_secret + 8 * *done;
        size_t now = BLOCK_STRIPES - *done;
        if (now > stripes) now = stripes;
        *done = (*done + (unsigned)now) % BLOCK_STRIPES;
        mix(lanes, in, key, now, *done == 0);
        in += now * STRIPE;
        stripes -= now;
    }
}

static uint64_t merge(const uint64_t *lanes, const uint8_t *key, uint64_t start) {
    for (int i = 0; i < LANES; i += 2) start += fold(lanes[i] ^ read64(key + 8 * i), lanes[i + 1] ^ read64(key + 8 * i + 8));
    return avalanche(start);
}

static void xxh3_start(xxh3_state *state) {
    static const uint64_t lanes[LANES] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
    memcpy(state->lanes, lanes, sizeof lanes);
    state->size = 0;
    state->stripes = state->kept = 0;
}

static void xxh3_take(xxh3_state *state, const uint8_t *in, size_t size) {
    state->size += size;
    if (size <= KEPT - state->kept) {
        if (size) memcpy(state->bytes + state->kept, in, size);
        state->kept += (unsigned)size;
        return;
    }
    if (state->kept) {
        size_t room = KEPT - state->kept;
        memcpy(state->bytes + state->kept, in, room);
        mix_stripes(state->lanes, &state->stripes, state->bytes, KEPT / STRIPE);
        in += room;
        size -= room;
    }
    if (size > KEPT) {
        size_t stripes = (size - 1) / STRIPE;
        mix_stripes(state->lanes, &state->stripes, in, stripes);
        in += stripes * STRIPE;
        size -= stripes * STRIPE;
        memcpy(state->bytes + KEPT - STRIPE, in - STRIPE, STRIPE);
    }
    memcpy(state->bytes, in, size);
    state->kept = (unsigned)size;
}

static xxh3_value xxh3_end(const xxh3_state *state) {
    uint64_t lanes[LANES];
    uint8_t last[STRIPE];
    unsigned done = state->stripes, kept = state->kept;
    xxh3_value h;
    if (state->size <= 240) return hash_short(state->bytes, (size_t)state->size);
    memcpy(lanes, state->lanes, sizeof lanes);
    if (kept >= STRIPE) {
        mix_stripes(lanes, &done, state->bytes, (kept - 1) / STRIPE);
        memcpy(last, state->bytes + kept - STRIPE, STRIPE);
    } else {
        memcpy(last, state->bytes + KEPT - (STRIPE - kept), STRIPE - kept);
        memcpy(last + STRIPE - kept, state->bytes, kept);
    }
    mix(lanes, last, xxh3_secret + SECRET - STRIPE - 7, 1, 0);
    h.low = merge(lanes, xxh3_secret + 11, state->size * P64_1);
    h.high = merge(lanes, xxh3_secret + SECRET - STRIPE - 11, ~(state->size * P64_2));
    return h;
}

#endif
