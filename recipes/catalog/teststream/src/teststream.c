/* Streams a test picture to a Kinesis video stream until it is told to stop, or for a number of seconds.
 *
 *   teststream STREAM [SECONDS]
 *
 * Credentials and region come from the environment, as kvssink reads them; nothing secret stands in the command line. */
#include <glib-unix.h>
#include <gst/gst.h>
#include <stdlib.h>

static gboolean stop(gpointer pipeline)
{
    gst_element_send_event(GST_ELEMENT(pipeline), gst_event_new_eos());
    return G_SOURCE_REMOVE;
}

/* The plugin lies beside our own folder, whatever the release is called: <release>/bin and <release>/gstreamer-1.0. */
static void find_plugin(void)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    char *bin = self ? g_path_get_dirname(self) : g_strdup(".");
    char *plugins = g_build_filename(bin, "..", "gstreamer-1.0", NULL);

    gst_registry_scan_path(gst_registry_get(), plugins);
    g_free(plugins);
    g_free(bin);
    g_free(self);
}

static GstElement *make_pipeline(const char *stream, int frames)
{
    GError *error = NULL;
    GstElement *sink, *source, *pipeline;

    pipeline = gst_parse_launch(
        "videotestsrc name=source is-live=true ! video/x-raw,width=640,height=480,framerate=25/1 ! videoconvert ! "
        "x264enc tune=zerolatency bitrate=512 key-int-max=50 ! h264parse ! "
        "video/x-h264,stream-format=avc,alignment=au ! kvssink name=sink storage-size=16",
        &error);
    if (error != NULL) {
        g_printerr("teststream: %s\n", error->message);
        g_clear_error(&error);
        if (pipeline != NULL)
            gst_object_unref(pipeline);
        return NULL;
    }
    /* The name never passes through the pipeline's own language, so it needs no quoting there. */
    sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    g_object_set(sink, "stream-name", stream, NULL);
    gst_object_unref(sink);
    source = gst_bin_get_by_name(GST_BIN(pipeline), "source");
    g_object_set(source, "num-buffers", frames, NULL);
    gst_object_unref(source);
    return pipeline;
}

static int play(GstElement *pipeline)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message;
    GError *error = NULL;
    int code = EXIT_SUCCESS;

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    message = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        gst_message_parse_error(message, &error, NULL);
        g_printerr("teststream: %s: %s\n", GST_OBJECT_NAME(message->src), error->message);
        g_clear_error(&error);
        code = EXIT_FAILURE;
    }
    gst_message_unref(message);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    return code;
}

int main(int argc, char **argv)
{
    GstElement *pipeline;
    GThread *loop_thread;
    GMainLoop *loop;
    int code;

    gst_init(&argc, &argv);
    if (argc < 2 || argc > 3) {
        g_printerr("usage: teststream STREAM [SECONDS]\n");
        return EXIT_FAILURE;
    }
    find_plugin();
    pipeline = make_pipeline(argv[1], argc == 3 ? atoi(argv[2]) * 25 : -1);
    if (pipeline == NULL)
        return EXIT_FAILURE;
    loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGINT, stop, pipeline);
    g_unix_signal_add(SIGTERM, stop, pipeline);
    loop_thread = g_thread_new("signals", (GThreadFunc)g_main_loop_run, loop);
    code = play(pipeline);
    g_main_loop_quit(loop);
    g_thread_join(loop_thread);
    g_main_loop_unref(loop);
    gst_object_unref(pipeline);
    return code;
}
