#include "pipeline.h"

#include "report.h"
#include "secrets.h"

/* The plugins beside our own folder, <release>/bin and <release>/gstreamer-1.0, unless a launcher has named theirs. */
static void find_plugins(void) {
    char *self, *bin, *plugins;

    if (g_getenv("GST_PLUGIN_PATH") != NULL || g_getenv("GST_PLUGIN_PATH_1_0") != NULL) {
        return;
    }
    self = g_file_read_link("/proc/self/exe", NULL);
    bin = self != NULL ? g_path_get_dirname(self) : g_strdup(".");
    plugins = g_build_filename(bin, "..", "gstreamer-1.0", NULL);
    if (g_file_test(plugins, G_FILE_TEST_IS_DIR)) {
        gst_registry_scan_path(gst_registry_get(), plugins);
    }
    g_free(plugins);
    g_free(bin);
    g_free(self);
}

/* What is wrong with a description, without a word of it: there may be a password in it, and not quoted as it should
 * be. */
static const char *fault_of_file(const GError *error) {
    switch (error->domain == GST_PARSE_ERROR ? error->code : -1) {
    case GST_PARSE_ERROR_NO_SUCH_ELEMENT:
        return "an element of it is not on this board";
    case GST_PARSE_ERROR_NO_SUCH_PROPERTY:
        return "an element of it has no property of a name that is set";
    case GST_PARSE_ERROR_LINK:
        return "two elements of it cannot be linked";
    case GST_PARSE_ERROR_COULD_NOT_SET_PROPERTY:
        return "a property of it cannot take its value";
    case GST_PARSE_ERROR_EMPTY:
    case GST_PARSE_ERROR_EMPTY_BIN:
        return "a part of it is empty";
    default:
        return "it is no description that GStreamer can read";
    }
}

static GstElement *parse(const struct options *options) {
    GError *error = NULL;
    GstElement *parsed;
    char *text;

    if (options->file == NULL) {
        parsed = gst_parse_launchv_full((const char **)options->words, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
    } else {
        text = secrets_description(options->file);
        if (text == NULL) {
            return NULL;
        }
        parsed = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
        g_free(text);
    }
    if (error == NULL && parsed != NULL) {
        return parsed;
    }
    if (options->file != NULL && error != NULL) {
        report("give-up", "%s: %s", options->file, fault_of_file(error));
    } else {
        report("give-up", "the pipeline is wrong: %s", error != NULL ? error->message : "no reason was given");
    }
    g_clear_error(&error);
    if (parsed != NULL) {
        gst_object_unref(parsed);
    }
    return NULL;
}

GstElement *pipeline_make(const struct options *options) {
    GstElement *pipeline;
    GstElement *parsed;

    find_plugins();
    parsed = parse(options);
    if (parsed == NULL) {
        return NULL;
    }
    pipeline = parsed;
    if (!GST_IS_PIPELINE(parsed)) {
        pipeline = gst_pipeline_new(NULL);
        gst_bin_add(GST_BIN(pipeline), parsed);
    }
    if (!secrets_set(pipeline, options)) {
        gst_object_unref(pipeline);
        return NULL;
    }
    return pipeline;
}
