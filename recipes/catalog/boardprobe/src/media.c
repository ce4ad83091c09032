/* GStreamer through dlopen: a board that has none gets an answer instead of a program that cannot start. */
#include "probes.h"
#include "report.h"

#include <dlfcn.h>
#include <stdio.h>

typedef int (*init_check_fn)(int *, char ***, void **);
typedef char *(*version_fn)(void);
typedef void *(*find_fn)(const char *);
typedef void *(*load_fn)(void *);
typedef void (*unref_fn)(void *);

struct gstreamer {
    init_check_fn init_check;
    version_fn version;
    find_fn find;
    load_fn load;
    unref_fn unref;
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
}
