/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/field.h: the fields of a log call, of a context and of a span.
 *
 *     clew_kv("order_id", id)                 bool, integers, doubles, strings
 *     clew_kvn("name", ptr, len)              a string with a length
 *     clew_null("owner")                      JSON null
 *     clew_time("due", ns)                    Unix time in ns: RFC 3339 text
 *     clew_duration("took", ns)               nanoseconds: seconds as a number
 *     clew_errno("error", errno)              {"number":2,"name":"ENOENT","text":"…"}
 *     clew_ip("peer", sockaddr)               the address of a struct sockaddr
 *     clew_hex("digest", ptr, len)            bytes as hex
 *     clew_base64("blob", ptr, len)           bytes as base64 (RFC 4648 section 4)
 *     clew_array("ids", ptr, n)               an array of numbers, bools or strings
 *     clew_object("user", clew_kv(…), …)      a nested object
 *     clew_json("raw", ptr, len)              JSON text; text that is none becomes a string
 *     clew_lazy("state", function, arg)       text made only when the line is
 *     clew_secret("card", text)               a token instead of the value
 *     clew_message(ptr, len)                  text that stands instead of the message
 *
 * Keys are string literals. Values are evaluated once, and only when the call
 * site is enabled; what they point to is borrowed for the call.
 */
#ifndef CLEW_FIELD_H
#define CLEW_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#include <string>
#include <string_view>
#include <type_traits>
extern "C" {
#endif

#if defined(__GNUC__)
#define CLEW_PUBLIC __attribute__((visibility("default")))
#else
#define CLEW_PUBLIC
#endif

/* What a value is. END closes the list of a call site. The numbers stand in
 * ring files: never change one. */
enum clew_type {
    CLEW_TYPE_END = 0,
    CLEW_TYPE_BOOL = 1,
    CLEW_TYPE_INT = 2,    /* int64_t */
    CLEW_TYPE_UINT = 3,   /* uint64_t */
    CLEW_TYPE_DOUBLE = 4, /* NaN and infinities become JSON strings */
    CLEW_TYPE_NULL = 5,
    CLEW_TYPE_TIME = 6,     /* int64_t, nanoseconds since 1970 */
    CLEW_TYPE_DURATION = 7, /* int64_t, nanoseconds */
    CLEW_TYPE_ERRNO = 8,    /* int64_t, an errno number */
    CLEW_TYPE_HELD = 9,     /* uint64_t, lines held back before; no field when 0 */
    /* From here on a length and bytes. */
    CLEW_TYPE_STRING = 16,  /* any bytes; invalid UTF-8 becomes U+FFFD; NULL is JSON null */
    CLEW_TYPE_MESSAGE = 17, /* as STRING; it is the line's message, not a field */
    CLEW_TYPE_HEX = 18,
    CLEW_TYPE_BASE64 = 19,
    CLEW_TYPE_IP = 20,   /* 4 or 16 bytes in network order */
    CLEW_TYPE_JSON = 21, /* text */
    CLEW_TYPE_ARRAY = 22,
    CLEW_TYPE_OBJECT = 23,
    /* Only in a call; STRING from then on. */
    CLEW_TYPE_LAZY = 32,
    CLEW_TYPE_SECRET = 33
};

/* What an array is made of; C types in the caller's memory. */
enum clew_element {
    CLEW_ELEMENT_BOOL = 1,
    CLEW_ELEMENT_INT,
    CLEW_ELEMENT_UINT,
    CLEW_ELEMENT_INT64,
    CLEW_ELEMENT_UINT64,
    CLEW_ELEMENT_DOUBLE,
    CLEW_ELEMENT_STRING
};

/* Given as a length: the string ends at its NUL. */
#define CLEW_LENGTH_UNKNOWN SIZE_MAX

/* Writes up to size bytes of text to buf; returns how many (more than size: cut). */
typedef size_t clew_lazy_fn(void *arg, char *buf, size_t size);

struct clew_fields;
struct sockaddr;

/* One value; the type is kept beside it, not in it. */
struct clew_value {
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        const char *s;   /* STRING, MESSAGE, HEX, BASE64, JSON, SECRET */
        const void *p;   /* ARRAY: elements. IP: struct sockaddr */
        const struct clew_fields *fields; /* OBJECT */
        clew_lazy_fn *lazy;
    } as;
    size_t len; /* bytes; ARRAY: number of elements, enum clew_element in the top byte */
    void *arg;  /* LAZY */
};

/* The fields of a nested object. */
struct clew_fields {
    size_t n;
    const char *const *keys;
    const uint8_t *types;
    const struct clew_value *values;
};

/* ---- making values --------------------------------------------------- */

static inline struct clew_value clew_value_uint(uint64_t v)
{
    struct clew_value r;
    r.as.u = v;
    r.len = 0;
    r.arg = 0;
    return r;
}

static inline struct clew_value clew_value_bool(bool v)
{
    return clew_value_uint(v ? 1 : 0);
}

static inline struct clew_value clew_value_int(int64_t v)
{
    return clew_value_uint((uint64_t)v);
}

static inline struct clew_value clew_value_double(double v)
{
    struct clew_value r = clew_value_uint(0);
    r.as.d = v;
    return r;
}

/* s may be NULL when len is 0. */
static inline struct clew_value clew_value_stringn(const char *s, size_t len)
{
    struct clew_value r = clew_value_uint(0);
    r.as.s = s;
    r.len = s ? len : 0;
    return r;
}

/* NULL makes a JSON null. */
static inline struct clew_value clew_value_string(const char *s)
{
    return clew_value_stringn(s, s ? strlen(s) : 0);
}

static inline struct clew_value clew_value_bytes(const void *p, size_t len)
{
    return clew_value_stringn((const char *)p, len);
}

static inline struct clew_value clew_value_pointer(const void *p)
{
    struct clew_value r = clew_value_uint(0);
    r.as.p = p;
    return r;
}

static inline struct clew_value clew_value_array(const void *p, size_t n, uint64_t element)
{
    struct clew_value r = clew_value_uint(0);
    r.as.p = p;
    r.len = (p ? n : 0) | (size_t)(element << 56);
    return r;
}

static inline struct clew_value clew_value_object(const struct clew_fields *fields)
{
    struct clew_value r = clew_value_uint(0);
    r.as.fields = fields;
    return r;
}

static inline struct clew_value clew_value_lazy(clew_lazy_fn *function, void *arg)
{
    struct clew_value r = clew_value_uint(0);
    r.as.lazy = function;
    r.arg = arg;
    return r;
}

#ifdef __cplusplus
} /* extern "C" */

namespace clew {
namespace detail {
template <enum clew_type T> using tag = std::integral_constant<uint8_t, T>;

tag<CLEW_TYPE_BOOL> type_of(bool);
tag<CLEW_TYPE_INT> type_of(char);
tag<CLEW_TYPE_INT> type_of(signed char);
tag<CLEW_TYPE_INT> type_of(short);
tag<CLEW_TYPE_INT> type_of(int);
tag<CLEW_TYPE_INT> type_of(long);
tag<CLEW_TYPE_INT> type_of(long long);
tag<CLEW_TYPE_UINT> type_of(unsigned char);
tag<CLEW_TYPE_UINT> type_of(unsigned short);
tag<CLEW_TYPE_UINT> type_of(unsigned);
tag<CLEW_TYPE_UINT> type_of(unsigned long);
tag<CLEW_TYPE_UINT> type_of(unsigned long long);
tag<CLEW_TYPE_DOUBLE> type_of(float);
tag<CLEW_TYPE_DOUBLE> type_of(double);
tag<CLEW_TYPE_STRING> type_of(const char *);
tag<CLEW_TYPE_STRING> type_of(const std::string &);
tag<CLEW_TYPE_STRING> type_of(std::string_view);

inline clew_value value_of(bool v) { return clew_value_bool(v); }
inline clew_value value_of(char v) { return clew_value_int(v); }
inline clew_value value_of(signed char v) { return clew_value_int(v); }
inline clew_value value_of(short v) { return clew_value_int(v); }
inline clew_value value_of(int v) { return clew_value_int(v); }
inline clew_value value_of(long v) { return clew_value_int(v); }
inline clew_value value_of(long long v) { return clew_value_int(v); }
inline clew_value value_of(unsigned char v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned short v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned long v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned long long v) { return clew_value_uint(v); }
inline clew_value value_of(float v) { return clew_value_double(v); }
inline clew_value value_of(double v) { return clew_value_double(v); }
inline clew_value value_of(const char *v) { return clew_value_string(v); }
inline clew_value value_of(const std::string &v) { return clew_value_stringn(v.data(), v.size()); }
inline clew_value value_of(std::string_view v) { return clew_value_stringn(v.data(), v.size()); }

inline clew_value array_of(const bool *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_BOOL); }
inline clew_value array_of(const int *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_INT); }
inline clew_value array_of(const unsigned *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_UINT); }
inline clew_value array_of(const long *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_INT64); }
inline clew_value array_of(const long long *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_INT64); }
inline clew_value array_of(const unsigned long *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_UINT64); }
inline clew_value array_of(const unsigned long long *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_UINT64); }
inline clew_value array_of(const double *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_DOUBLE); }
inline clew_value array_of(const char *const *p, size_t n) { return clew_value_array(p, n, CLEW_ELEMENT_STRING); }

template <class T, size_t N> struct array {
    T v[N];
    operator const T *() const { return v; }
};
} // namespace detail
} // namespace clew

#define CLEW__TYPE(v) decltype(::clew::detail::type_of(v))::value
#define CLEW__VALUE(v) ::clew::detail::value_of(v)
#define CLEW__ARRAY(p, n) ::clew::detail::array_of(p, n)

#else

#define CLEW__TYPE(v)                                                          \
    _Generic((v),                                                              \
        _Bool: CLEW_TYPE_BOOL,                                                 \
        char: CLEW_TYPE_INT, signed char: CLEW_TYPE_INT,                       \
        short: CLEW_TYPE_INT, int: CLEW_TYPE_INT,                              \
        long: CLEW_TYPE_INT, long long: CLEW_TYPE_INT,                         \
        unsigned char: CLEW_TYPE_UINT, unsigned short: CLEW_TYPE_UINT,         \
        unsigned: CLEW_TYPE_UINT, unsigned long: CLEW_TYPE_UINT,               \
        unsigned long long: CLEW_TYPE_UINT,                                    \
        float: CLEW_TYPE_DOUBLE, double: CLEW_TYPE_DOUBLE,                     \
        char *: CLEW_TYPE_STRING, const char *: CLEW_TYPE_STRING)

#define CLEW__VALUE(v)                                                         \
    _Generic((v),                                                              \
        _Bool: clew_value_bool,                                                \
        char: clew_value_int, signed char: clew_value_int,                     \
        short: clew_value_int, int: clew_value_int,                            \
        long: clew_value_int, long long: clew_value_int,                       \
        unsigned char: clew_value_uint, unsigned short: clew_value_uint,       \
        unsigned: clew_value_uint, unsigned long: clew_value_uint,             \
        unsigned long long: clew_value_uint,                                   \
        float: clew_value_double, double: clew_value_double,                   \
        char *: clew_value_string, const char *: clew_value_string)(v)

#define CLEW__ARRAY(p, n)                                                      \
    clew_value_array((p), (n),                                                 \
        _Generic((p),                                                          \
            _Bool *: CLEW_ELEMENT_BOOL, const _Bool *: CLEW_ELEMENT_BOOL,      \
            int *: CLEW_ELEMENT_INT, const int *: CLEW_ELEMENT_INT,            \
            unsigned *: CLEW_ELEMENT_UINT, const unsigned *: CLEW_ELEMENT_UINT, \
            long *: CLEW_ELEMENT_INT64, const long *: CLEW_ELEMENT_INT64,      \
            long long *: CLEW_ELEMENT_INT64,                                   \
            const long long *: CLEW_ELEMENT_INT64,                             \
            unsigned long *: CLEW_ELEMENT_UINT64,                              \
            const unsigned long *: CLEW_ELEMENT_UINT64,                        \
            unsigned long long *: CLEW_ELEMENT_UINT64,                         \
            const unsigned long long *: CLEW_ELEMENT_UINT64,                   \
            double *: CLEW_ELEMENT_DOUBLE, const double *: CLEW_ELEMENT_DOUBLE, \
            char **: CLEW_ELEMENT_STRING, const char **: CLEW_ELEMENT_STRING,  \
            char *const *: CLEW_ELEMENT_STRING,                                \
            const char *const *: CLEW_ELEMENT_STRING))
#endif

/* ---- fields ---------------------------------------------------------- */

/* A field is the triple (key, type, value); only the macros below and those of
 * the other headers take it apart. */
#define clew_kv(key, value) (key, CLEW__TYPE(value), CLEW__VALUE(value))
#define clew_kvn(key, ptr, len) (key, CLEW_TYPE_STRING, clew_value_stringn(ptr, len))
#define clew_null(key) (key, CLEW_TYPE_NULL, clew_value_uint(0))
#define clew_time(key, ns) (key, CLEW_TYPE_TIME, clew_value_int(ns))
#define clew_duration(key, ns) (key, CLEW_TYPE_DURATION, clew_value_int(ns))
#define clew_errno(key, number) (key, CLEW_TYPE_ERRNO, clew_value_int(number))
#define clew_ip(key, address) (key, CLEW_TYPE_IP, clew_value_pointer(address))
#define clew_hex(key, ptr, len) (key, CLEW_TYPE_HEX, clew_value_bytes(ptr, len))
#define clew_base64(key, ptr, len) (key, CLEW_TYPE_BASE64, clew_value_bytes(ptr, len))
#define clew_array(key, ptr, n) (key, CLEW_TYPE_ARRAY, CLEW__ARRAY(ptr, n))
#define clew_json(key, ptr, len) (key, CLEW_TYPE_JSON, clew_value_stringn(ptr, len))
#define clew_lazy(key, function, arg) (key, CLEW_TYPE_LAZY, clew_value_lazy(function, arg))
#define clew_secret(key, text) (key, CLEW_TYPE_SECRET, clew_value_string(text))
#define clew_secretn(key, ptr, len) (key, CLEW_TYPE_SECRET, clew_value_stringn(ptr, len))
#define clew_message(ptr, len) ("", CLEW_TYPE_MESSAGE, clew_value_stringn(ptr, len))

/* Objects nest 8 deep; what is deeper becomes null. */
#define clew_object(key, ...)                                                  \
    (key, CLEW_TYPE_OBJECT, clew_value_object(CLEW__FIELDS(__VA_ARGS__)))

#define CLEW__KEY(key_, type_, value_) "" key_ "",
#define CLEW__TYP(key_, type_, value_) (uint8_t)(type_),
#define CLEW__VAL(key_, type_, value_) value_,

#define CLEW__CAT_(a, b) a##b
#define CLEW__CAT(a, b) CLEW__CAT_(a, b)

/* Number of arguments after the first, 0..24. */
#define CLEW__COUNT(...)                                                       \
    CLEW__COUNT_(__VA_ARGS__, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,  \
                 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, )
#define CLEW__COUNT_(m, a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q, r, s,  \
                     t, u, v, w, x, y, N, ...)                                 \
    N

#define CLEW__FIRST(...) CLEW__FIRST_(__VA_ARGS__, )
#define CLEW__FIRST_(m, ...) m

/* Applies F to each argument after the first: CLEW__EACH(F, first, a, b). */
#define CLEW__EACH(F, ...) CLEW__CAT(CLEW__E, CLEW__COUNT(__VA_ARGS__))(F, __VA_ARGS__)
#define CLEW__E0(F, m)
#define CLEW__E1(F, m, a) F a
#define CLEW__E2(F, m, a, ...) F a CLEW__E1(F, m, __VA_ARGS__)
#define CLEW__E3(F, m, a, ...) F a CLEW__E2(F, m, __VA_ARGS__)
#define CLEW__E4(F, m, a, ...) F a CLEW__E3(F, m, __VA_ARGS__)
#define CLEW__E5(F, m, a, ...) F a CLEW__E4(F, m, __VA_ARGS__)
#define CLEW__E6(F, m, a, ...) F a CLEW__E5(F, m, __VA_ARGS__)
#define CLEW__E7(F, m, a, ...) F a CLEW__E6(F, m, __VA_ARGS__)
#define CLEW__E8(F, m, a, ...) F a CLEW__E7(F, m, __VA_ARGS__)
#define CLEW__E9(F, m, a, ...) F a CLEW__E8(F, m, __VA_ARGS__)
#define CLEW__E10(F, m, a, ...) F a CLEW__E9(F, m, __VA_ARGS__)
#define CLEW__E11(F, m, a, ...) F a CLEW__E10(F, m, __VA_ARGS__)
#define CLEW__E12(F, m, a, ...) F a CLEW__E11(F, m, __VA_ARGS__)
#define CLEW__E13(F, m, a, ...) F a CLEW__E12(F, m, __VA_ARGS__)
#define CLEW__E14(F, m, a, ...) F a CLEW__E13(F, m, __VA_ARGS__)
#define CLEW__E15(F, m, a, ...) F a CLEW__E14(F, m, __VA_ARGS__)
#define CLEW__E16(F, m, a, ...) F a CLEW__E15(F, m, __VA_ARGS__)
#define CLEW__E17(F, m, a, ...) F a CLEW__E16(F, m, __VA_ARGS__)
#define CLEW__E18(F, m, a, ...) F a CLEW__E17(F, m, __VA_ARGS__)
#define CLEW__E19(F, m, a, ...) F a CLEW__E18(F, m, __VA_ARGS__)
#define CLEW__E20(F, m, a, ...) F a CLEW__E19(F, m, __VA_ARGS__)
#define CLEW__E21(F, m, a, ...) F a CLEW__E20(F, m, __VA_ARGS__)
#define CLEW__E22(F, m, a, ...) F a CLEW__E21(F, m, __VA_ARGS__)
#define CLEW__E23(F, m, a, ...) F a CLEW__E22(F, m, __VA_ARGS__)
#define CLEW__E24(F, m, a, ...) F a CLEW__E23(F, m, __VA_ARGS__)

/* Arrays of a list of fields, for functions that take them; they live as long
 * as the block (C) or the full expression (C++) they stand in. */
#ifdef __cplusplus
#define CLEW__KEY_ARRAY(...)                                                   \
    (::clew::detail::array<const char *, CLEW__COUNT(0, __VA_ARGS__) + 1>{     \
        {CLEW__EACH(CLEW__KEY, 0, __VA_ARGS__) nullptr}})
#define CLEW__TYPE_ARRAY(...)                                                  \
    (::clew::detail::array<uint8_t, CLEW__COUNT(0, __VA_ARGS__) + 1>{          \
        {CLEW__EACH(CLEW__TYP, 0, __VA_ARGS__) CLEW_TYPE_END}})
#define CLEW__VALUE_ARRAY(...)                                                 \
    (::clew::detail::array<struct clew_value, CLEW__COUNT(0, __VA_ARGS__) + 1>{ \
        {CLEW__EACH(CLEW__VAL, 0, __VA_ARGS__) clew_value_uint(0)}})
#define CLEW__FIELDS(...)                                                      \
    (::clew::detail::array<struct clew_fields, 1>{                             \
        {{CLEW__COUNT(0, __VA_ARGS__), CLEW__KEY_ARRAY(__VA_ARGS__),           \
          CLEW__TYPE_ARRAY(__VA_ARGS__), CLEW__VALUE_ARRAY(__VA_ARGS__)}}})
#else
#define CLEW__KEY_ARRAY(...)                                                   \
    ((const char *const[]){CLEW__EACH(CLEW__KEY, 0, __VA_ARGS__) NULL})
#define CLEW__TYPE_ARRAY(...)                                                  \
    ((const uint8_t[]){CLEW__EACH(CLEW__TYP, 0, __VA_ARGS__) CLEW_TYPE_END})
#define CLEW__VALUE_ARRAY(...)                                                 \
    ((const struct clew_value[]){CLEW__EACH(CLEW__VAL, 0, __VA_ARGS__) clew_value_uint(0)})
#define CLEW__FIELDS(...)                                                      \
    (&(const struct clew_fields){CLEW__COUNT(0, __VA_ARGS__), CLEW__KEY_ARRAY(__VA_ARGS__), \
                                 CLEW__TYPE_ARRAY(__VA_ARGS__), CLEW__VALUE_ARRAY(__VA_ARGS__)})
#endif

#endif
