#include "KinesisVideoProducer.h"
#include <com/amazonaws/kinesis/video/cproducer/Include.h>
#include <cstdlib>
#include <log4cplus/configurator.h>
#include <sstream>
#include <unistd.h>

namespace kvs {

log4cplus::Logger &logger() {
    static log4cplus::Logger one = log4cplus::Logger::getInstance(LOG4CPLUS_TEXT("kvs"));
    return one;
}

void configure_log(const std::string &file) {
    static bool done = false;
    if (done) {
        return;
    }
    done = true;
    if (access(file.c_str(), R_OK) == 0) {
        log4cplus::PropertyConfigurator::doConfigure(LOG4CPLUS_STRING_TO_TSTRING(file));
    } else {
        log4cplus::BasicConfigurator::doConfigure();
    }
}

Producer::Producer(const std::string &stream) : stream_(stream) {}

std::string Producer::region(const std::string &given) {
    const char *fallback = std::getenv("AWS_DEFAULT_REGION");
    return !given.empty() ? given : fallback != nullptr ? fallback : "";
}

bool Producer::start() {
    const char *baked = KVS_CA_CERT_PATH;
    const char *ca_file = access(baked, R_OK) == 0 ? baked : nullptr;
    LOG4CPLUS_INFO(logger(), "producer " CPP_VERSION_STRING "/" << kvsProducerVersion() << ", " << stream_ << ", CA "
                                                               << (ca_file != nullptr ? ca_file : "of curl"));
    return kvsProducerStart(stream_.c_str(), ca_file) == 0;
}

void Producer::put(const void *data, std::size_t size) {
    frames_++;
    bytes_ += size;
    tag_ ^= kvsProducerFrame(data, size);
}

std::string Producer::report() const {
    std::ostringstream text;
    text << stream_ << ": " << frames_ << " frames, " << bytes_ << " bytes, tag " << tag_;
    return text.str();
}

} // namespace kvs
