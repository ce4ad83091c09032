/* What the samples share: lines of gst-launch words, and running them to their end. */
#pragma once
#include <cstdio>
#include <gst/gst.h>
#include <string>

inline GstElement *parse(const std::string &line) {
    GError *error = nullptr;
    GstElement *pipeline = gst_parse_launch(line.c_str(), &error);
    if (error != nullptr) {
        std::fprintf(stderr, "pipeline: %s\n", error->message);
        g_error_free(error);
        g_clear_object(&pipeline);
    }
    return pipeline;
}

/* 0 at the end of the stream, 1 on an error. */
inline int run(const std::string &line) {
    GstElement *pipeline = parse(line);
    if (pipeline == nullptr) {
        return 1;
    }
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *last = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE,
                                                  static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
    const bool good = GST_MESSAGE_TYPE(last) == GST_MESSAGE_EOS;
    if (!good) {
        GError *error = nullptr;
        gst_message_parse_error(last, &error, nullptr);
        std::fprintf(stderr, "stopped: %s\n", error->message);
        g_error_free(error);
    }
    gst_message_unref(last);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    return good ? 0 : 1;
}

inline std::string sink(const std::string &stream) {
    return " ! kvssink name=sink storage-size=128 stream-name=" + stream;
}

inline std::string camera(const char *device) {
    return std::string("v4l2src device=") + (device != nullptr ? device : "/dev/video0") +
           " ! videoconvert ! x264enc tune=zerolatency ! h264parse ! video/x-h264,stream-format=avc,alignment=au";
}

inline int usage(const char *words) {
    std::fprintf(stderr, "usage: %s\n", words);
    return 1;
}
