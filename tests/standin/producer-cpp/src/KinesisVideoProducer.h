#pragma once
#include <cstddef>
#include <cstdint>
#include <log4cplus/logger.h>
#include <log4cplus/loggingmacros.h>
#include <string>

namespace kvs {

/* The one logger of library, plugin and samples. */
log4cplus::Logger &logger();

/* Read a log4cplus file, once; without it everything goes to the terminal. */
void configure_log(const std::string &file);

class Producer {
  public:
    explicit Producer(const std::string &stream);
    /* The region: the given one, or AWS_DEFAULT_REGION, or nothing. */
    static std::string region(const std::string &given);
    bool start();
    void put(const void *data, std::size_t size);
    std::string report() const;

  private:
    std::string stream_;
    std::uint64_t frames_ = 0, bytes_ = 0;
    std::uint32_t tag_ = 0;
};

} // namespace kvs
