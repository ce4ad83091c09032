#include "pipeline.h"
#include <KinesisVideoProducer.h>
#include <com/amazonaws/kinesis/video/utils/Include.h>

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    if (argc < 2) {
        return usage("kvssink_gstreamer_sample STREAM [-w WIDTH -h HEIGHT -f FPS -b KBPS | FILE]");
    }
    kvs::configure_log("../kvs_log_configuration");
    /* Of the platform independent code, which this sample gets through others only. */
    globalThreadSleep(1);
    const bool file = argc > 2 && argv[2][0] != '-';
    return run((file ? "filesrc location=" + std::string(argv[2]) + " ! parsebin" : camera(nullptr)) + sink(argv[1]));
}
