#include <com/amazonaws/kinesis/video/common/Include.h>
#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <curl/curl.h>

const char *kvsCurlCheck(const char *ca_file) {
    CURL *handle;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (handle = curl_easy_init()) == NULL) {
        return NULL;
    }
    if (ca_file != NULL) {
        curl_easy_setopt(handle, CURLOPT_CAINFO, ca_file);
    }
    globalThreadSleep(1);
    curl_easy_cleanup(handle);
    return curl_version();
}
