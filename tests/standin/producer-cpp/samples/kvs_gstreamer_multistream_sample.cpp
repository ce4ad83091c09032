#include "pipeline.h"
#include <KinesisVideoProducer.h>
#include <fstream>

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    if (argc < 3) {
        return usage("kvs_gstreamer_multistream_sample BASE-NAME FILE-OF-RTSP-URLS");
    }
    kvs::configure_log("../kvs_log_configuration");
    std::ifstream list(argv[2]);
    std::string line, url;
    for (int number = 0; list >> url; number++) {
        line += "rtspsrc location=" + url + " ! rtph264depay ! h264parse ! kvssink stream-name=" + argv[1] + "_" +
                std::to_string(number) + " ";
    }
    return line.empty() ? usage("the file names no stream") : run(line);
}
