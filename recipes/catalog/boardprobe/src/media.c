/* GStreamer through dlopen: a board that has none gets an answer instead of a program that cannot start. */
#include "probes.h"
#include "report.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Set by `invoke verify`; a variable, since an older boardprobe passes it over and refuses an option. */
#define ASKS_PROPERTIES "BOARDPROBE_PROPERTIES"
#define MOST_PROPERTY_BYTES 8192

typedef int (*init_check_fn)(int *, char ***, void **);
typedef char *(*version_fn)(void);
typedef void *(*find_fn)(const char *);
typedef void *(*load_fn)(void *);
typedef void (*unref_fn)(void *);
typedef size_t (*type_fn)(void *); /* GType is a gsize */
typedef void *(*class_fn)(size_t);
typedef void **(*list_fn)(void *, unsigned *);
typedef const char *(*name_fn)(void *);
typedef void (*free_fn)(void *);

struct gstreamer {
    init_check_fn init_check;
    version_fn version;
    find_fn find;
    load_fn load;
    unref_fn unref;
    type_fn type;
    class_fn class_ref;
    list_fn list;
    name_fn name;
    free_fn free;
};

/* ISO C has no cast from an object pointer to a function pointer; POSIX defines it through memory. */
static int take(void *library, const char *name, void *slot) {
    *(void **)slot = dlsym(library, name);
    return *(void **)slot != NULL;
}

static int resolve(void *library, struct gstreamer *gst) {
    return take(library, "gst_init_check", &gst->init_check) && take(library, "gst_version_string", &gst->version) &&
           take(library, "gst_element_factory_find", &gst->find) && take(library, "gst_plugin_feature_load", &gst->load) &&
           take(library, "gst_object_unref", &gst->unref);
}

/* GObject and GLib come with GStreamer, which was linked with them: its handle finds their functions too. */
static int resolve_properties(void *library, struct gstreamer *gst) {
    return take(library, "gst_element_factory_get_element_type", &gst->type) &&
           take(library, "g_type_class_ref", &gst->class_ref) &&
           take(library, "g_object_class_list_properties", &gst->list) &&
           take(library, "g_param_spec_get_name", &gst->name) && take(library, "g_free", &gst->free);
}

/* The names of an element's properties, with a blank between; the class stays referenced, as static types do. */
static void report_properties(const struct gstreamer *gst, const char *element) {
    char names[MOST_PROPERTY_BYTES] = "";
    size_t length = 0;
    unsigned count = 0;
    void *factory = gst->find(element);
    void *loaded = factory != NULL ? gst->load(factory) : NULL;
    size_t type = loaded != NULL ? gst->type(loaded) : 0;
    void *class = type != 0 ? gst->class_ref(type) : NULL;
    void **list = class != NULL ? gst->list(class, &count) : NULL;
    for (unsigned at = 0; list != NULL && at < count; at++) {
        const char *name = gst->name(list[at]);
        size_t more = strlen(name);
        if (length + more + 2 > sizeof names) {
            break;
        }
        names[length] = ' ';
        memcpy(names + length + (length > 0), name, more + 1);
        length += more + (length > 0);
    }
    if (list != NULL) {
        report_text(element, names);
        gst->free(list);
    }
    if (loaded != NULL) {
        gst->unref(loaded);
    }
    if (factory != NULL) {
        gst->unref(factory);
    }
}

static void probe_element(const struct gstreamer *gst, const char *name) {
    void *factory = gst->find(name);
    if (factory == NULL) {
        report_text(name, "missing");
        finding(LEVEL_NOTE, "element", "%s: no plugin on this board has it", name);
        return;
    }
    /* Finding reads a cached list; only loading shows whether the plugin's libraries are there. */
    void *loaded = gst->load(factory);
    report_text(name, loaded != NULL ? "loads" : "does-not-load");
    if (loaded == NULL) {
        finding(LEVEL_WARN, "element", "%s is listed, but its plugin does not load", name);
    } else {
        gst->unref(loaded);
    }
    gst->unref(factory);
}

void probe_elements(const char *const *names, int count) {
    struct gstreamer gst;
    if (count == 0) {
        return;
    }
    void *library = dlopen("libgstreamer-1.0.so.0", RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL || !resolve(library, &gst) || !gst.init_check(NULL, NULL, NULL)) {
        report_text("gstreamer", "missing");
        finding(LEVEL_WARN, "gstreamer", "cannot be used: %s", library == NULL ? dlerror() : "its start-up failed");
        return;
    }
    report_text("gstreamer", gst.version());
    report_open("elements");
    for (int at = 0; at < count; at++) {
        probe_element(&gst, names[at]);
    }
    report_close();
    if (getenv(ASKS_PROPERTIES) != NULL && resolve_properties(library, &gst)) {
        report_open("properties");
        for (int at = 0; at < count; at++) {
            report_properties(&gst, names[at]);
        }
        report_close();
    }
}
