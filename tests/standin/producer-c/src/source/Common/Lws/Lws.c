#include <com/amazonaws/kinesis/video/common/Include.h>
#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <libwebsockets.h>
#include <string.h>

static const struct lws_protocols protocols[] = {
    {.name = "standin", .callback = lws_callback_http_dummy},
    {.name = NULL},
};

const char *kvsLwsCheck(void) {
    struct lws_context_creation_info wish;
    struct lws_context *context;
    memset(&wish, 0, sizeof wish);
    wish.port = CONTEXT_PORT_NO_LISTEN;
    wish.protocols = protocols;
    wish.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    lws_set_log_level(LLL_ERR, NULL);
    if ((context = lws_create_context(&wish)) == NULL) {
        return NULL;
    }
    globalThreadSleep(1);
    lws_context_destroy(context);
    return lws_get_library_version();
}
