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

static GMutex lock;
static GQueue queue = G_QUEUE_INIT; /* of fragments, the oldest first */
static GByteArray *header;
static gsize waiting, most_waiting;
static gsize header_at, at; /* how much of the header and of the fragment `link` was copied */
static GList *link;         /* the fragment that is being sent; NULL: none yet */
static gboolean finished;
static struct totals totals;
static void (*on_change)(void);

void fragments_open(gsize most, void (*changed)(void)) {
    most_waiting = most;
    on_change = changed;
}

void fragments_header(GByteArray *given) {
    g_mutex_lock(&lock);
    header = given;
    g_mutex_unlock(&lock);
}

gboolean fragments_begin(guint64 milliseconds) {
    struct fragment *fragment, *last;
    gboolean room;

    g_mutex_lock(&lock);
    last = g_queue_peek_tail(&queue);
    room = waiting < most_waiting && !finished;
    if (room) {
        if (last != NULL) {
            last->complete = TRUE;
        }
        fragment = g_new0(struct fragment, 1);
        fragment->milliseconds = milliseconds;
        fragment->bytes = g_byte_array_new();
        mkv_cluster(fragment->bytes, milliseconds);
        waiting += fragment->bytes->len;
        g_queue_push_tail(&queue, fragment);
        totals.begun++;
    }
    g_mutex_unlock(&lock);
    return room;
}

void fragments_append(guint track, gint16 relative, gboolean key, const guint8 *data, gsize size) {
    struct fragment *last;

    g_mutex_lock(&lock);
    last = g_queue_peek_tail(&queue);
    if (last != NULL && !last->complete) {
        gsize before = last->bytes->len;

        mkv_block(last->bytes, track, relative, key, data, size);
        waiting += last->bytes->len - before;
    }
    g_mutex_unlock(&lock);
    on_change();
}

void fragments_finish(void) {
    struct fragment *last;

    g_mutex_lock(&lock);
    last = g_queue_peek_tail(&queue);
    if (!finished && last != NULL && !last->complete) {
        mkv_end_of_fragment(last->bytes);
        last->complete = TRUE;
    }
    finished = TRUE;
    g_mutex_unlock(&lock);
    on_change();
}

/* Frees what is settled and not being read, from the oldest on. */
static void drop_settled(void) {
    struct fragment *first;

    while ((first = g_queue_peek_head(&queue)) != NULL && first->settled && queue.head != link) {
        waiting -= first->bytes->len;
        g_byte_array_unref(first->bytes);
        g_free(g_queue_pop_head(&queue));
    }
}

static gboolean all_settled(void) {
    for (GList *each = queue.head; each != NULL; each = each->next) {
        if (!((struct fragment *)each->data)->settled) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean fragments_pending(void) {
    gboolean pending;

    g_mutex_lock(&lock);
    pending = header != NULL && !all_settled();
    g_mutex_unlock(&lock);
    return pending;
}

gboolean fragments_done(void) {
    gboolean done;

    g_mutex_lock(&lock);
    done = finished && all_settled();
    g_mutex_unlock(&lock);
    return done;
}

void fragments_rewind(void) {
    g_mutex_lock(&lock);
    link = NULL;
    header_at = at = 0;
    drop_settled();
    for (GList *each = queue.head; each != NULL; each = each->next) {
        struct fragment *fragment = each->data;

        fragment->sent = FALSE;
        totals.sent_again += fragment->was_sent && !fragment->settled;
    }
    g_mutex_unlock(&lock);
}

static gsize copy(char *out, gsize size, const GByteArray *from, gsize *done) {
    gsize count = MIN(size, from->len - *done);

    memcpy(out, from->data + *done, count);
    *done += count;
    return count;
}

/* The next fragment that is to be sent; NULL where none has begun. */
static GList *next_link(void) {
    GList *next = link == NULL ? queue.head : link->next;

    while (next != NULL && ((struct fragment *)next->data)->settled) {
        next = next->next;
    }
    return next;
}

/* Goes to the next fragment. Returns FALSE where there is none to go to. */
static gboolean advance(void) {
    GList *next = next_link();

    if (next == NULL) {
        return FALSE;
    }
    link = next;
    at = 0;
    ((struct fragment *)link->data)->was_sent = TRUE;
    drop_settled();
    return TRUE;
}

enum supply fragments_read(char *out, gsize size, gboolean boundary, gsize *copied) {
    enum supply supply = SUPPLY_SOME;

    *copied = 0;
    g_mutex_lock(&lock);
    if (link == NULL && !advance()) {
        supply = finished ? SUPPLY_END : SUPPLY_NONE_YET;
    }
    while (supply == SUPPLY_SOME && *copied < size) {
        struct fragment *now = link->data;

        if (header_at < header->len) {
            *copied += copy(out, size, header, &header_at);
            continue;
        }
        *copied += copy(out + *copied, size - *copied, now->bytes, &at);
        if (at < now->bytes->len || !now->complete) {
            break;
        }
        now->sent = TRUE;
        if (boundary && next_link() != NULL) {
            supply = SUPPLY_END;
        } else if (!advance()) {
            supply = finished && all_settled() ? SUPPLY_END : SUPPLY_NONE_YET;
        }
    }
    g_mutex_unlock(&lock);
    return *copied > 0 ? SUPPLY_SOME : supply == SUPPLY_SOME ? SUPPLY_NONE_YET : supply;
}

static struct fragment *find(guint64 milliseconds) {
    for (GList *each = queue.head; each != NULL; each = each->next) {
        struct fragment *fragment = each->data;

        if (fragment->milliseconds == milliseconds && !fragment->settled) {
            return fragment;
        }
    }
    return NULL;
}

gboolean fragments_persisted(guint64 milliseconds) {
    struct fragment *fragment;
    gboolean known;

    g_mutex_lock(&lock);
    fragment = find(milliseconds);
    known = fragment != NULL && fragment->sent;
    if (known) {
        fragment->settled = TRUE;
        totals.persisted++;
        drop_settled();
    }
    g_mutex_unlock(&lock);
    return known;
}

void fragments_give_up(guint64 milliseconds) {
    struct fragment *fragment;

    g_mutex_lock(&lock);
    fragment = find(milliseconds);
    if (fragment != NULL && fragment->was_sent) {
        fragment->settled = TRUE;
        totals.lost++;
    }
    g_mutex_unlock(&lock);
}

struct totals fragments_totals(void) {
    struct totals now;

    g_mutex_lock(&lock);
    now = totals;
    g_mutex_unlock(&lock);
    return now;
}
