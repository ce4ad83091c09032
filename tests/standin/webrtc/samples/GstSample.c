#include "Samples.h"
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *source = argc > 3 ? argv[3] : "testsrc";
    GError *error = NULL;
    GstElement *pipeline, *frames;
    GstSample *one;
    char line[1000];
    int count = 0;
    gst_init(&argc, &argv);
    if (sample_start(ROLE, argc > 1 ? argv[1] : "standin") != 0) {
        return 1;
    }
    snprintf(line, sizeof line, "%s num-buffers=10 ! appsink name=frames sync=false",
             strcmp(source, "devicesrc") == 0 ? "v4l2src" : "videotestsrc");
    if ((pipeline = gst_parse_launch(line, &error)) == NULL || error != NULL) {
        fprintf(stderr, "pipeline: %s\n", error->message);
        return 1;
    }
    frames = gst_bin_get_by_name(GST_BIN(pipeline), "frames");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while ((one = gst_app_sink_pull_sample(GST_APP_SINK(frames))) != NULL) {
        gst_sample_unref(one);
        count++;
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    printf("%d frames of %s\n", count, source);
    gst_object_unref(frames);
    gst_object_unref(pipeline);
    return 0;
}
