#include "pipeline.h"
#include <KinesisVideoProducer.h>
#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <gst/app/gstappsink.h>
#include <iostream>

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    if (argc < 2) {
        return usage("kvs_gstreamer_sample STREAM [-w WIDTH -h HEIGHT -f FPS -b KBPS | FILE]");
    }
    kvs::configure_log("../kvs_log_configuration");
    kvs::Producer producer(argv[1]);
    const bool file = argc > 2 && argv[2][0] != '-';
    GstElement *pipeline = parse((file ? "filesrc location=" + std::string(argv[2]) + " ! parsebin" : camera(nullptr)) +
                                 " ! appsink name=frames sync=false");
    if (pipeline == nullptr || !producer.start()) {
        return 1;
    }
    GstElement *frames = gst_bin_get_by_name(GST_BIN(pipeline), "frames");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (GstSample *sample = gst_app_sink_pull_sample(GST_APP_SINK(frames))) {
        GstMapInfo map;
        if (gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ)) {
            producer.put(map.data, map.size);
            gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
        }
        gst_sample_unref(sample);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(frames);
    gst_object_unref(pipeline);
    std::cout << producer.report() << ", platform code " << kvsPicVersion() << " of " << kvsPicCommit() << std::endl;
    return 0;
}
