#include "pipeline.h"
#include <KinesisVideoProducer.h>
#include <cstdlib>

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    const char *audio = std::getenv("AWS_KVS_AUDIO_DEVICE");
    if (argc < 2 || audio == nullptr) {
        return usage("AWS_KVS_AUDIO_DEVICE=hw:1,0 kvs_gstreamer_audio_video_sample STREAM");
    }
    kvs::configure_log("../kvs_log_configuration");
    return run(camera(std::getenv("AWS_KVS_VIDEO_DEVICE")) + sink(argv[1]) + " alsasrc device=" + audio +
               " ! audioconvert ! avenc_aac ! aacparse ! audio/mpeg,stream-format=raw ! sink.");
}
