#include "fragments.h"

#include <string.h>

#include "mkv.h"

struct fragment {
    guint64 milliseconds;
    GByteArray *bytes;
    gboolean complete; /* no more will be appended */
    gboolean sent;     /* to its end, on this connection */
    gboolean was_sent; /* at least begun, on any */
    gboolean settled;  /* PERSISTED, or given up */
};

struct store {
    GMutex lock;
    GCond room;   /* a fragment was settled or dropped, or nobody is to wait any more */
    GQueue queue; /* of fragments, the oldest first */
    GByteArray *header;
    gsize waiting;
    gsize header_at, at; /* how much of the header and of the fragment `link` was copied */
    GList *link;         /* the fragment that is being sent; NULL: none yet */
    gboolean finished, hurried;
    struct totals totals;
    struct keeping keeping;
};

struct store *fragments_open(const struct keeping *keeping) {
    struct store *store = g_new0(struct store, 1);

    g_mutex_init(&store->lock);
    g_cond_init(&store->room);
    g_queue_init(&store->queue);
    store->keeping = *keeping;
    return store;
}

static void drop_fragment(struct fragment *fragment) {
    g_byte_array_unref(fragment->bytes);
    g_free(fragment);
}

void fragments_free(struct store *store) {
    struct fragment *fragment;

    while ((fragment = g_queue_pop_head(&store->queue)) != NULL) {
        drop_fragment(fragment);
    }
    if (store->header != NULL) {
        g_byte_array_unref(store->header);
    }
    g_mutex_clear(&store->lock);
    g_cond_clear(&store->room);
    g_free(store);
}

void fragments_header(struct store *store, GByteArray *header) {
    g_mutex_lock(&store->lock);
    store->header = header;
    g_mutex_unlock(&store->lock);
}

void fragments_hurry(struct store *store) {
    g_mutex_lock(&store->lock);
    store->hurried = TRUE;
    g_cond_broadcast(&store->room);
    g_mutex_unlock(&store->lock);
}

/* Whether there is no room for another fragment. What is open is confirmed only behind the next one's start, so a
 * fragment that fills the store alone keeps nobody out. */
static gboolean is_full(const struct store *store) {
    if (store->waiting < store->keeping.most) {
        return FALSE;
    }
    for (const GList *each = store->queue.head; each != store->queue.tail; each = each->next) {
        if (!((const struct fragment *)each->data)->settled) {
            return TRUE;
        }
    }
    return FALSE;
}

gboolean fragments_begin(struct store *store, guint64 milliseconds) {
    struct fragment *fragment, *last;
    gboolean room;

    g_mutex_lock(&store->lock);
    last = g_queue_peek_tail(&store->queue);
    while (store->keeping.waits && is_full(store) && !store->finished && !store->hurried) {
        g_cond_wait(&store->room, &store->lock);
    }
    room = !is_full(store) && !store->finished;
    if (room) {
        if (last != NULL) {
            last->complete = TRUE;
        }
        fragment = g_new0(struct fragment, 1);
        fragment->milliseconds = milliseconds;
        fragment->bytes = g_byte_array_new();
        mkv_cluster(fragment->bytes, milliseconds);
        store->waiting += fragment->bytes->len;
        g_queue_push_tail(&store->queue, fragment);
        store->totals.begun++;
    }
    g_mutex_unlock(&store->lock);
    return room;
}

void fragments_append(struct store *store, guint track, gint16 relative, gboolean key, const guint8 *data, gsize size) {
    struct fragment *last;

    g_mutex_lock(&store->lock);
    last = g_queue_peek_tail(&store->queue);
    if (last != NULL && !last->complete) {
        gsize before = last->bytes->len;

        mkv_block(last->bytes, track, relative, key, data, size);
        store->waiting += last->bytes->len - before;
    }
    g_mutex_unlock(&store->lock);
    store->keeping.changed(store->keeping.data);
}

void fragments_finish(struct store *store) {
    struct fragment *last;

    g_mutex_lock(&store->lock);
    last = g_queue_peek_tail(&store->queue);
    if (!store->finished && last != NULL && !last->complete) {
        mkv_end_of_fragment(last->bytes);
        last->complete = TRUE;
    }
    store->finished = TRUE;
    g_cond_broadcast(&store->room);
    g_mutex_unlock(&store->lock);
    store->keeping.changed(store->keeping.data);
}

/* Frees what is settled and not being read, from the oldest on. */
static void drop_settled(struct store *store) {
    struct fragment *first;

    while ((first = g_queue_peek_head(&store->queue)) != NULL && first->settled && store->queue.head != store->link) {
        store->waiting -= first->bytes->len;
        drop_fragment(g_queue_pop_head(&store->queue));
        g_cond_broadcast(&store->room);
    }
}

static gboolean all_settled(struct store *store) {
    for (GList *each = store->queue.head; each != NULL; each = each->next) {
        if (!((struct fragment *)each->data)->settled) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean fragments_pending(struct store *store) {
    gboolean pending;

    g_mutex_lock(&store->lock);
    pending = store->header != NULL && !all_settled(store);
    g_mutex_unlock(&store->lock);
    return pending;
}

gboolean fragments_done(struct store *store) {
    gboolean done;

    g_mutex_lock(&store->lock);
    done = store->finished && all_settled(store);
    g_mutex_unlock(&store->lock);
    return done;
}

void fragments_rewind(struct store *store) {
    g_mutex_lock(&store->lock);
    store->link = NULL;
    store->header_at = store->at = 0;
    drop_settled(store);
    for (GList *each = store->queue.head; each != NULL; each = each->next) {
        struct fragment *fragment = each->data;

        fragment->sent = FALSE;
        store->totals.sent_again += fragment->was_sent && !fragment->settled;
    }
    g_mutex_unlock(&store->lock);
}

static gsize copy(char *out, gsize size, const GByteArray *from, gsize *done) {
    gsize count = MIN(size, from->len - *done);

    memcpy(out, from->data + *done, count);
    *done += count;
    return count;
}

/* The next fragment that is to be sent; NULL where none has begun. */
static GList *next_link(struct store *store) {
    GList *next = store->link == NULL ? store->queue.head : store->link->next;

    while (next != NULL && ((struct fragment *)next->data)->settled) {
        next = next->next;
    }
    return next;
}

/* Goes to the next fragment. Returns FALSE where there is none to go to. */
static gboolean advance(struct store *store) {
    GList *next = next_link(store);

    if (next == NULL) {
        return FALSE;
    }
    store->link = next;
    store->at = 0;
    ((struct fragment *)store->link->data)->was_sent = TRUE;
    drop_settled(store);
    return TRUE;
}

enum supply fragments_read(struct store *store, char *out, gsize size, gboolean boundary, gsize *copied) {
    enum supply supply = SUPPLY_SOME;

    *copied = 0;
    g_mutex_lock(&store->lock);
    if (store->link == NULL && !advance(store)) {
        supply = store->finished ? SUPPLY_END : SUPPLY_NONE_YET;
    }
    while (supply == SUPPLY_SOME && *copied < size) {
        struct fragment *now = store->link->data;

        if (store->header_at < store->header->len) {
            *copied += copy(out, size, store->header, &store->header_at);
            continue;
        }
        *copied += copy(out + *copied, size - *copied, now->bytes, &store->at);
        if (store->at < now->bytes->len || !now->complete) {
            break;
        }
        now->sent = TRUE;
        if (!store->keeping.acks && !now->settled) {
            now->settled = TRUE;
            store->totals.persisted++;
            g_cond_broadcast(&store->room);
        }
        if (boundary && next_link(store) != NULL) {
            supply = SUPPLY_END;
        } else if (!advance(store)) {
            supply = store->finished && all_settled(store) ? SUPPLY_END : SUPPLY_NONE_YET;
        }
    }
    g_mutex_unlock(&store->lock);
    return *copied > 0 ? SUPPLY_SOME : supply == SUPPLY_SOME ? SUPPLY_NONE_YET : supply;
}

static struct fragment *find(struct store *store, guint64 milliseconds) {
    for (GList *each = store->queue.head; each != NULL; each = each->next) {
        struct fragment *fragment = each->data;

        if (fragment->milliseconds == milliseconds && !fragment->settled) {
            return fragment;
        }
    }
    return NULL;
}

gboolean fragments_persisted(struct store *store, guint64 milliseconds) {
    struct fragment *fragment;
    gboolean known;

    g_mutex_lock(&store->lock);
    fragment = find(store, milliseconds);
    known = fragment != NULL && fragment->sent;
    if (known) {
        fragment->settled = TRUE;
        store->totals.persisted++;
        drop_settled(store);
        g_cond_broadcast(&store->room);
    }
    g_mutex_unlock(&store->lock);
    return known;
}

void fragments_give_up(struct store *store, guint64 milliseconds) {
    struct fragment *fragment;

    g_mutex_lock(&store->lock);
    fragment = find(store, milliseconds);
    if (fragment != NULL && fragment->was_sent) {
        fragment->settled = TRUE;
        store->totals.lost++;
        g_cond_broadcast(&store->room);
    }
    g_mutex_unlock(&store->lock);
}

struct totals fragments_totals(struct store *store) {
    struct totals now;

    g_mutex_lock(&store->lock);
    now = store->totals;
    g_mutex_unlock(&store->lock);
    return now;
}
