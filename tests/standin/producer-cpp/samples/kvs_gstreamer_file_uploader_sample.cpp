#include "pipeline.h"
#include <cstring>
#include <vector>

static const char *demuxer_for(const std::string &file) {
    const std::string end = file.size() > 3 ? file.substr(file.size() - 3) : "";
    return end == "mkv" ? "matroskademux" : end == "mp4" ? "qtdemux" : end == ".ts" ? "tsdemux" : nullptr;
}

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    const char *demuxer = argc > 3 ? demuxer_for(argv[2]) : nullptr;
    if (demuxer == nullptr) {
        return usage("kvs_gstreamer_file_uploader_sample STREAM FILE.(mkv|mp4|ts) START [video-only|audio-video]");
    }
    const bool audio = argc > 4 && std::strcmp(argv[4], "audio-video") == 0;
    const std::vector<std::string> legs = {
        "demuxer. ! queue ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! sink.",
        "demuxer. ! queue ! aacparse ! audio/mpeg,stream-format=raw ! sink.",
    };
    std::string line = "filesrc location=" + std::string(argv[2]) + " ! " + demuxer + " name=demuxer kvssink name=sink"
                       " streaming-type=offline stream-name=" + argv[1] + " file-start-time=" + argv[3];
    for (std::size_t i = 0; i < (audio ? 2u : 1u); i++) {
        line += " " + legs[i];
    }
    run(line);
    return 0;
}
