/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of call sites. A site registers when it is passed for the first
 * time: that works in every shared object and in C++ inline functions and
 * templates, where an ELF section does not. From then on its gate says what is
 * to be done, and changing a level or adding an observer rewrites the gates.
 *
 * Threads: registration and changes under registry_lock; gates and the table
 * are read without it. A handler that interrupts a holder of a lock of the
 * library all the same (see lock_priv.h) does not come in here.
 */
#include "context_priv.h"
#include "core_priv.h"
#include "levels_priv.h"
#include "lock_priv.h"
#include "secret_priv.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE_SITES 1024u
#define OBSERVERS_MAX 8

/* The observers of one site. */
struct observers {
    const struct observers *replaced; /* may have readers for ever */
    size_t n;
    struct {
        const struct clew_observer_ops *ops;
        void *state;
        size_t observer;
    } at[OBSERVERS_MAX];
};

static struct clew__lock registry_lock = CLEW__LOCK_INITIALIZER;
static struct clew_site **_Atomic pages[CLEW__SITES_MAX / PAGE_SITES];
static uint32_t nsites;
static struct {
    const struct clew_observer_ops *ops;
    void *self;
} observers[OBSERVERS_MAX];
static size_t nobservers;

void clew__registry_lock(void)
{
    clew__lock_take(&registry_lock);
}

void clew__registry_unlock(void)
{
    clew__lock_give(&registry_lock);
}

/* Ids begin at 1. Pages are mapped: a signal handler may be the first to pass
 * a site, and malloc is not for it. */
static int store_site(struct clew_site *site)
{
    uint32_t index = nsites;
    struct clew_site **page;

    if (index >= CLEW__SITES_MAX)
        return -ENOSPC;
    page = atomic_load(&pages[index / PAGE_SITES]);
    if (!page) {
        page = clew__map_memory(PAGE_SITES * sizeof(*page));
        if (!page)
            return -ENOMEM;
        atomic_store(&pages[index / PAGE_SITES], page);
    }
    page[index % PAGE_SITES] = site;
    site->id = index + 1;
    nsites++;
    return 0;
}

static struct clew_site *site_at(uint32_t index)
{
    struct clew_site **page =
        atomic_load_explicit(&pages[index / PAGE_SITES], memory_order_acquire);

    return page ? page[index % PAGE_SITES] : NULL;
}

const struct clew_site *clew__site_by_id(uint32_t id)
{
    return id == 0 || id > CLEW__SITES_MAX ? NULL : site_at(id - 1);
}

static void find_secrets(struct clew_site *site)
{
    for (unsigned i = 0; i < site->nfields; i++)
        if (site->types[i] == CLEW_TYPE_SECRET || site->types[i] == CLEW_TYPE_LAZY ||
            clew_key_is_secret(site->keys[i]))
            site->secrets |= 1u << i;
}

static bool is_observed(const struct clew_site *site)
{
    const struct observers *list = site->observers;

    return list && list->n > 0;
}

static void set_gate(struct clew_site *site)
{
    bool forced = false;
    uint32_t gate = 0;

    if (site->id &&
        (site->kind == CLEW_SITE_SPAN || site->level >= clew__site_threshold(site, &forced)))
        gate |= CLEW_GATE_LINE | (forced ? CLEW_GATE_FORCED : 0);
    if (is_observed(site))
        gate |= CLEW_GATE_OBSERVED;
    if (gate && site->secrets)
        gate |= CLEW_GATE_SECRET;
    __atomic_store_n(&site->gate, gate, __ATOMIC_RELEASE);
}

void clew__sites_regate(void)
{
    for (uint32_t i = 0; i < nsites; i++)
        set_gate(site_at(i));
}

static void leave_out(struct observers *list, size_t observer)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        if (list->at[i].observer != observer)
            list->at[n++] = list->at[i];
    list->n = n;
}

/* NULL: it does not observe. */
static const void *state_of(const struct observers *list, size_t observer)
{
    for (size_t i = 0; list && i < list->n; i++)
        if (list->at[i].observer == observer)
            return list->at[i].state;
    return NULL;
}

/* Asks observer i about site. Old lists are left to the readers they may have. */
static void match(struct clew_site *site, size_t i)
{
    const struct clew_observer_ops *ops = observers[i].ops;
    void *state = ops->match(observers[i].self, site);
    const struct observers *old = site->observers;
    struct observers *list;

    if (state == state_of(old, i))
        return;
    list = calloc(1, sizeof(*list));
    if (!list)
        return;
    if (old)
        *list = *old;
    list->replaced = old;
    leave_out(list, i);
    if (state) {
        list->at[list->n].ops = ops;
        list->at[list->n].state = state;
        list->at[list->n].observer = i;
        list->n++;
    }
    __atomic_store_n(&site->observers, list, __ATOMIC_RELEASE);
}

uint32_t clew_log_register(struct clew_site *site)
{
    int saved = errno;
    uint32_t gate;

    if (clew__self.locks) { /* a handler while the library starts, or of a crash: not now */
        CLEW__COUNT_ONE(nested);
        return 0;
    }
    (void)clew__ensure_started(); /* the levels are part of the configuration */
    clew__registry_lock();
    if (__atomic_load_n(&site->gate, __ATOMIC_RELAXED) & CLEW_GATE_NEW) {
        find_secrets(site);
        if (store_site(site) == 0)
            (void)clew__file_add_site(site); /* without: lines of it cannot be recovered */
        for (size_t i = 0; i < nobservers && site->kind != CLEW_SITE_SPAN; i++)
            match(site, i);
        set_gate(site);
    }
    gate = __atomic_load_n(&site->gate, __ATOMIC_RELAXED);
    clew__registry_unlock();
    errno = saved;
    return gate;
}

static __attribute__((noinline)) void observe_all(const struct observers *list,
                                                  const struct clew_site *site,
                                                  const struct clew_logger *logger,
                                                  const struct clew_value *values,
                                                  const struct clew_scope *scope)
{
    for (size_t i = 0; i < list->n; i++)
        list->at[i].ops->observe(list->at[i].state, site, logger, values, scope);
}

void clew__site_observe(const struct clew_site *site, const struct clew_logger *logger,
                        const struct clew_value *values)
{
    const struct observers *list = __atomic_load_n(&site->observers, __ATOMIC_ACQUIRE);
    struct clew_scope scope = clew__scope_current();

    if (__builtin_expect(list->n == 1, 1))
        list->at[0].ops->observe(list->at[0].state, site, logger, values, &scope);
    else
        observe_all(list, site, logger, values, &scope);
}

void clew__sites_save(void)
{
    clew__registry_lock();
    for (uint32_t i = 0; i < nsites; i++)
        (void)clew__file_add_site(site_at(i));
    clew__loggers_save();
    clew__registry_unlock();
}

/* Asks observer i about all sites there are. */
static void match_all(size_t i)
{
    for (uint32_t index = 0; index < nsites; index++) {
        struct clew_site *site = site_at(index);

        if (site->kind != CLEW_SITE_SPAN)
            match(site, i);
        set_gate(site);
    }
}

int clew_observer_add(const struct clew_observer_ops *ops, void *self)
{
    int err = 0;

    if (!ops || !ops->match || !ops->observe)
        return clew_set_error(-EINVAL, "observer: match and observe are needed");
    clew__registry_lock();
    if (nobservers == OBSERVERS_MAX) {
        err = clew_set_error(-ENOSPC, "observer: there are %d already", OBSERVERS_MAX);
    } else {
        observers[nobservers].ops = ops;
        observers[nobservers].self = self;
        nobservers++;
        match_all(nobservers - 1);
    }
    clew__registry_unlock();
    return err;
}

int clew_observer_again(const struct clew_observer_ops *ops, void *self)
{
    int err = -ENOENT;

    clew__registry_lock();
    for (size_t i = 0; i < nobservers; i++)
        if (observers[i].ops == ops && observers[i].self == self) {
            match_all(i);
            err = 0;
        }
    clew__registry_unlock();
    return err < 0 ? clew_set_error(err, "observer: it was not added") : 0;
}
