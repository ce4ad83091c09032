#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

#define MOST_VALUE 4096
#define MOST_DESCRIPTION 65536

static char *refused(const char *path, const char *reason) {
    report("give-up", "%s: %s", path, reason);
    return NULL;
}

/* Opens a file that holds a secret: no link that another user may have put there, nothing that everybody can read. */
static int open_secret(const char *path, gsize most) {
    struct stat facts;
    /* Not blocking: a named pipe is refused below, and may not stop us here. */
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (file < 0) {
        refused(path, errno == ELOOP ? "is a link, and links are not followed" : g_strerror(errno));
        return -1;
    }
    if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        refused(path, "is not a file");
    } else if ((facts.st_mode & S_IRWXO) != 0) {
        refused(path, "is open to every user: chmod 600");
    } else if (facts.st_size > (off_t)most) {
        refused(path, "is too large for what it should hold");
    } else {
        return file;
    }
    close(file);
    return -1;
}

static char *read_secret(const char *path, gsize most) {
    int file = open_secret(path, most);
    gsize length = 0;
    gssize part = 0;
    char *text;

    if (file < 0) {
        return NULL;
    }
    text = g_malloc0(most + 1);
    while (length < most && (part = read(file, text + length, most - length)) != 0) {
        if (part < 0 && errno != EINTR) {
            break;
        }
        length += part > 0 ? (gsize)part : 0;
    }
    close(file);
    if (part < 0) {
        g_free(text);
        return refused(path, "cannot be read");
    }
    if (strlen(text) != length || !g_utf8_validate(text, -1, NULL)) {
        g_free(text);
        return refused(path, "is not UTF-8 text");
    }
    return text;
}

char *secrets_description(const char *path) {
    char *text = read_secret(path, MOST_DESCRIPTION);

    if (text != NULL && g_strstrip(text)[0] == '\0') {
        g_free(text);
        return refused(path, "is empty");
    }
    return text;
}

/* Returns the one line of a file, without its end. */
static char *read_line(const char *path) {
    char *text = read_secret(path, MOST_VALUE);
    gsize length;

    if (text == NULL) {
        return NULL;
    }
    length = strcspn(text, "\r\n");
    if (length == 0) {
        g_free(text);
        return refused(path, "its first line is empty");
    }
    if (text[length + strspn(text + length, "\r\n")] != '\0') {
        g_free(text);
        return refused(path, "has more than one line");
    }
    text[length] = '\0';
    report_hide(text);
    return text;
}

/* Sets a property. Its value is in no message: GLib's own would quote it. */
static gboolean set(GstElement *element, const struct property_file *file, const char *text) {
    GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(element), file->property);
    GValue value = G_VALUE_INIT;
    gboolean valid;

    if (spec == NULL || (spec->flags & G_PARAM_WRITABLE) == 0 || (spec->flags & G_PARAM_CONSTRUCT_ONLY) != 0) {
        report("give-up", "%s has no property %s that can be set", file->element, file->property);
        return FALSE;
    }
    g_value_init(&value, spec->value_type);
    if (G_VALUE_HOLDS_STRING(&value)) {
        g_value_set_string(&value, text); /* as it is: the pipeline's own quotes are not for files */
        valid = TRUE;
    } else {
        valid = gst_value_deserialize(&value, text) && !g_param_value_validate(spec, &value);
    }
    if (valid) {
        g_object_set_property(G_OBJECT(element), file->property, &value);
    } else {
        report("give-up", "%s: is no value for %s of %s", file->path, file->property, file->element);
    }
    g_value_unset(&value);
    return valid;
}

gboolean secrets_set(GstElement *pipeline, const struct options *options) {
    for (guint i = 0; i < options->property_count; i++) {
        const struct property_file *file = &options->properties[i];
        GstElement *element = gst_bin_get_by_name(GST_BIN(pipeline), file->element);
        gboolean done;
        char *text;

        if (element == NULL) {
            report("give-up", "--property-file: the pipeline has no element named %s", file->element);
            return FALSE;
        }
        text = read_line(file->path);
        done = text != NULL && set(element, file, text);
        g_free(text);
        gst_object_unref(element);
        if (!done) {
            return FALSE;
        }
    }
    return TRUE;
}

void secrets_hide_environment(void) {
    report_hide(g_getenv("AWS_SECRET_ACCESS_KEY"));
    report_hide(g_getenv("AWS_SESSION_TOKEN"));
}
