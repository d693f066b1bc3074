/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/site.h: what a log call compiles to. Not for direct use: the macros of
 * <clew/log.h> and <clew/logger.h> are.
 *
 * Each call site is one static descriptor. Its gate is read on every pass; when
 * the site is simply enabled and its fields are of the plain types, the values
 * are stored straight into the ring of the thread by the code below, which the
 * compiler turns into a few dozen instructions. Everything else goes through
 * clew_log_emit(): the first pass, another thread's ring, a full ring, a new
 * context, errors, tokens, observers, signal handlers inside a log call.
 */
#ifndef CLEW_SITE_H
#define CLEW_SITE_H

#include <clew/field.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct clew_logger;
struct clew_limit;

/* A call site. Made by the macros; its members are the library's own. */
struct clew_site {
    uint32_t gate; /* 0: off. Else CLEW_GATE_ bits. Read without a lock */
    uint32_t id;   /* number in the dictionary, from registration on */
    uint8_t level;
    uint8_t nfields;
    uint8_t kind; /* CLEW_SITE_ */
    int line;
    const char *message;
    const char *file;
    const char *function;
    const char *logger;      /* CLEW_LOGGER of the file, "" for none */
    const char *const *keys; /* nfields of them, then NULL */
    const uint8_t *types;    /* enum clew_type, then CLEW_TYPE_END */
    void *observers;
    uint32_t secrets; /* bit i: the key of field i is on the deny-list */
};

#define CLEW_SITE_LINE 0      /* a log call */
#define CLEW_SITE_TO_LOGGER 1 /* one that names its logger: that one's level counts */
#define CLEW_SITE_SPAN 2      /* attributes or an event of a span: levels do not count */

#define CLEW_GATE_NEW 1u      /* not registered yet; then the only bit */
#define CLEW_GATE_LINE 2u     /* its level is enabled */
#define CLEW_GATE_OBSERVED 4u /* metrics are derived from it */
#define CLEW_GATE_SECRET 8u   /* some field has to become a token */
#define CLEW_GATE_FORCED 16u  /* a rule names this site: the logger's level does not count */

/* The targets of the macros. The first makes a site known and returns its
 * gate; the others take one event, values has site->nfields elements. */
CLEW_PUBLIC uint32_t clew_log_register(struct clew_site *site);
CLEW_PUBLIC void clew_log_emit(struct clew_site *site, const struct clew_value *values);
CLEW_PUBLIC void clew_log_emit_to(struct clew_site *site, const struct clew_logger *logger,
                                  const struct clew_value *values);
CLEW_PUBLIC void clew_log_emit_limited(struct clew_site *site, struct clew_limit *limit,
                                       const struct clew_value *values);
CLEW_PUBLIC void clew_log_printf(struct clew_site *site, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The end of a thread's ring where records go in. */
struct clew_hot {
    char *at;            /* where the next record begins */
    char *limit;         /* as far as there is certainly room; NULL: ask the library */
    uint64_t head;       /* bytes written since the ring was made */
    uint64_t *published; /* head, as the collector sees it */
    uint64_t span_id;    /* of the current scope */
    uint32_t busy;       /* inside a log call: a signal handler must not write here */
};
/* Without the model where AddressSanitizer is on: GCC's null checks test the
 * flags of an instruction that the linker replaces by one without flags when
 * it relaxes initial-exec. */
#if defined(__SANITIZE_ADDRESS__)
#define CLEW__TLS_MODEL
#else
#define CLEW__TLS_MODEL __attribute__((tls_model("initial-exec")))
#endif
extern CLEW_PUBLIC __thread struct clew_hot clew_hot CLEW__TLS_MODEL;

#ifdef __cplusplus
} /* extern "C" */
#endif

#define CLEW__INLINE static inline __attribute__((always_inline))

/* A record: size in 8-byte units and logger's number, site's number, ticks,
 * span id; then the values. */
#define CLEW__RECORD_HEAD 24u
#define CLEW__NULL_STRING UINT32_MAX

CLEW__INLINE bool clew__is_plain(unsigned type)
{
    return type <= CLEW_TYPE_ERRNO || type == CLEW_TYPE_STRING;
}

/* Room a plain value takes in a record. */
CLEW__INLINE size_t clew__plain_size(unsigned type, const struct clew_value *value)
{
    return type == CLEW_TYPE_STRING ? 4 + value->len : 8;
}

CLEW__INLINE char *clew__plain_put(char *at, unsigned type, const struct clew_value *value)
{
    uint32_t len;

    if (type != CLEW_TYPE_STRING) {
        memcpy(at, &value->as.u, 8);
        return at + 8;
    }
    len = value->as.s ? (uint32_t)value->len : CLEW__NULL_STRING;
    memcpy(at, &len, 4);
    if (value->len) /* not NULL then */
        memcpy(at + 4, value->as.s, value->len);
    return at + 4 + value->len;
}

/* size is a multiple of 8. NULL: take the long way. */
CLEW__INLINE char *clew__begin(struct clew_hot *hot, const struct clew_site *site, size_t size)
{
#if defined(__x86_64__) /* a limit is only ever given where ticks are the TSC's */
    uint64_t what = size / 8 | (uint64_t)site->id << 32, ticks;
    char *at;

    if (__builtin_expect(
            (hot->busy != 0) | ((uintptr_t)hot->at + size > (uintptr_t)hot->limit), 0))
        return NULL;
    hot->busy = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    at = hot->at;
    ticks = __rdtsc();
    memcpy(at, &what, 8);
    memcpy(at + 8, &ticks, 8);
    memcpy(at + 16, &hot->span_id, 8);
    return at + CLEW__RECORD_HEAD;
#else
    (void)hot, (void)site, (void)size;
    return NULL;
#endif
}

CLEW__INLINE void clew__end(struct clew_hot *hot, size_t size)
{
    uint64_t head = hot->head + size;

    hot->at += size;
    hot->head = head;
    __atomic_store_n(hot->published, head, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    hot->busy = 0;
}

/* ---- the call -------------------------------------------------------- */

/* 0 where no line is in a hurry: plain fields go by the library, too. */
#ifndef CLEW__SHORT_WAY
#define CLEW__SHORT_WAY 1
#endif

#define CLEW__SITE(lvl, kind, ...)                                             \
    CLEW__SITE_NAMED(lvl, kind, "" CLEW__FIRST(__VA_ARGS__) "", __VA_ARGS__)
/* The first of the rest does not count. */
#define CLEW__SITE_NAMED(lvl, kind, name, ...)                                 \
    static const char *const clew__keys[] = {                                  \
        CLEW__EACH(CLEW__KEY, __VA_ARGS__) NULL};                              \
    static const uint8_t clew__types[] = {                                     \
        CLEW__EACH(CLEW__TYP, __VA_ARGS__) CLEW_TYPE_END};                     \
    static struct clew_site clew__site = {                                     \
        CLEW_GATE_NEW, 0, (uint8_t)(lvl), CLEW__COUNT(__VA_ARGS__), kind,      \
        __LINE__, name, __FILE__, __func__,                                    \
        CLEW_LOGGER, clew__keys, clew__types, NULL, 0}

#define CLEW__GATE(name)                                                       \
    uint32_t name = __atomic_load_n(&clew__site.gate, __ATOMIC_ACQUIRE);       \
    if (__builtin_expect(name == CLEW_GATE_NEW, 0))                            \
        name = clew_log_register(&clew__site)

#ifdef __cplusplus

namespace clew {
namespace detail {
/* The first is there for the commas and does not count. */
template <uint8_t Ignored, uint8_t... T> struct types {};

/* The values outlive the call: they are temporaries of its full expression. */
template <uint8_t Ignored, uint8_t... T, class... V>
CLEW__INLINE void call(struct clew_site *site, uint32_t gate, bool may_inline, types<Ignored, T...>,
                       const V &...values)
{
    struct clew_hot *hot = &clew_hot;
    size_t size = (CLEW__RECORD_HEAD + ... + clew__plain_size(T, &values)) + 7;
    char *at;

    size &= ~(size_t)7;
    if (may_inline && (clew__is_plain(T) && ...) && gate == CLEW_GATE_LINE &&
        (at = clew__begin(hot, site, size)) != nullptr) {
        ((at = clew__plain_put(at, T, &values)), ...);
        clew__end(hot, size);
    } else {
        const struct clew_value all[] = {values..., clew_value_uint(0)};
        clew_log_emit(site, all);
    }
}

template <class... V>
inline void call_to(struct clew_site *site, const struct clew_logger *logger, const V &...values)
{
    const struct clew_value all[] = {values..., clew_value_uint(0)};
    clew_log_emit_to(site, logger, all);
}

template <class... V>
inline void call_limited(struct clew_site *site, struct clew_limit *limit, const V &...values)
{
    const struct clew_value all[] = {values..., clew_value_uint(0)};
    clew_log_emit_limited(site, limit, all);
}
} // namespace detail
} // namespace clew

#define CLEW__COMMA_TYP(key_, type_, value_) , (uint8_t)(type_)
#define CLEW__COMMA_VAL(key_, type_, value_) , value_

#define CLEW__CALL(lvl, gate, ...)                                             \
    ::clew::detail::call(&clew__site, gate, (lvl) < CLEW_LEVEL_ERROR,          \
        ::clew::detail::types<0 CLEW__EACH(CLEW__COMMA_TYP, __VA_ARGS__)>()    \
        CLEW__EACH(CLEW__COMMA_VAL, __VA_ARGS__))
#define CLEW__CALL_TO(to, ...)                                                 \
    ::clew::detail::call_to(&clew__site, to CLEW__EACH(CLEW__COMMA_VAL, __VA_ARGS__))
#define CLEW__CALL_LIMITED(limit, ...)                                         \
    ::clew::detail::call_limited(&clew__site, limit CLEW__EACH(CLEW__COMMA_VAL, __VA_ARGS__))

#else

#define CLEW__ADD_PLAIN(key_, type_, value_) clew__plain = clew__plain && clew__is_plain(type_);
#define CLEW__ADD_SIZE(key_, type_, value_) clew__size += clew__plain_size(type_, &clew__now.value[clew__i++]);
#define CLEW__PUT(key_, type_, value_)                                                     \
    clew__at = clew__plain_put(clew__at, type_, &clew__now.value[clew__i++]);

/* The values are copied for the long way, so that on the short one they need
 * not be in memory at all. */
#define CLEW__CALL(lvl, gate, ...)                                             \
    struct {                                                                   \
        struct clew_value value[CLEW__COUNT(__VA_ARGS__) + 1];                     \
    } clew__now = {{CLEW__EACH(CLEW__VAL, __VA_ARGS__) clew_value_uint(0)}};   \
    struct clew_hot *clew__hot = &clew_hot;                                    \
    size_t clew__i = 0, clew__size = CLEW__RECORD_HEAD + 7;                    \
    bool clew__plain = CLEW__SHORT_WAY && (lvl) < CLEW_LEVEL_ERROR;           \
    char *clew__at;                                                            \
    CLEW__EACH(CLEW__ADD_PLAIN, __VA_ARGS__)                                   \
    CLEW__EACH(CLEW__ADD_SIZE, __VA_ARGS__)                                    \
    clew__size &= ~(size_t)7;                                                  \
    if (clew__plain && (gate) == CLEW_GATE_LINE &&                             \
        (clew__at = clew__begin(clew__hot, &clew__site, clew__size)) != NULL) { \
        clew__i = 0;                                                           \
        CLEW__EACH(CLEW__PUT, __VA_ARGS__)                                     \
        clew__end(clew__hot, clew__size);                                      \
        (void)clew__i;                                                         \
    } else {                                                                   \
        __typeof__(clew__now) clew__all = clew__now;                           \
        clew_log_emit(&clew__site, clew__all.value);                               \
    }
#define CLEW__CALL_TO(to, ...)                                                 \
    clew_log_emit_to(&clew__site, to,                                          \
        (const struct clew_value[]){CLEW__EACH(CLEW__VAL, __VA_ARGS__) clew_value_uint(0)})
#define CLEW__CALL_LIMITED(limit, ...)                                         \
    clew_log_emit_limited(&clew__site, limit,                                  \
        (const struct clew_value[]){CLEW__EACH(CLEW__VAL, __VA_ARGS__) clew_value_uint(0)})

#endif

#endif
