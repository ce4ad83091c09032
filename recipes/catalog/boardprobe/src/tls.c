/* TLS through OpenSSL, as the SDKs use it: the certificate judged by the board's own CA file and clock. */
#include "reach.h"

#include <errno.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define MOST_TRUSTS 4
#define MOST_ANSWER 4096

static struct {
    char ca_file[256];
    SSL_CTX *context;
} trusts[MOST_TRUSTS];
static int trust_count;

struct tls {
    SSL *ssl;
    int line;
};

int tls_trust(const char *ca_file) {
    for (int at = 0; at < trust_count; at++) {
        if (strcmp(trusts[at].ca_file, ca_file) == 0) {
            return at;
        }
    }
    if (trust_count == MOST_TRUSTS || strlen(ca_file) >= sizeof trusts->ca_file) {
        return -1;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1) {
        SSL_CTX_free(context);
        ERR_clear_error();
        return -1;
    }
    snprintf(trusts[trust_count].ca_file, sizeof trusts->ca_file, "%s", ca_file);
    trusts[trust_count].context = context;
    return trust_count++;
}

/* What speaks against a certificate, in one word. */
static const char *verdict_word(long verdict) {
    switch (verdict) {
    case X509_V_OK:
        return "ok";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "ca";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "early";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "name";
    default:
        return "certificate";
    }
}

static void note_time(struct outcome *seen, const char *name, const ASN1_TIME *moment) {
    struct tm parts;
    char text[24];
    if (ASN1_TIME_to_tm(moment, &parts) == 1 && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0) {
        outcome_note(seen, name, "%s", text);
    }
}

static void note_certificate(SSL *ssl, struct outcome *seen) {
    char issuer[160] = "";
    X509 *certificate = SSL_get_peer_certificate(ssl);
    if (certificate == NULL) {
        return;
    }
    X509_NAME *name = X509_get_issuer_name(certificate);
    if (X509_NAME_get_text_by_NID(name, NID_commonName, issuer, sizeof issuer) <= 0) {
        X509_NAME_oneline(name, issuer, sizeof issuer);
    }
    outcome_note(seen, "issuer", "%s", issuer);
    note_time(seen, "from", X509_get0_notBefore(certificate));
    note_time(seen, "until", X509_get0_notAfter(certificate));
    X509_free(certificate);
}

static void note_failure(SSL *ssl, int returned, int error, struct outcome *seen) {
    unsigned long reason = ERR_peek_error();
    int kind = SSL_get_error(ssl, returned);
    if (reason != 0 && kind == SSL_ERROR_SSL) {
        outcome_state(seen, ERR_GET_REASON(reason) == SSL_R_WRONG_VERSION_NUMBER ? "not-tls" : "handshake");
        outcome_note(seen, "detail", "%s", ERR_reason_error_string(reason) ? ERR_reason_error_string(reason) : "?");
    } else {
        outcome_state(seen, error != 0 ? state_of(error) : "reset");
        outcome_note(seen, "detail", "%s", error != 0 ? strerror(error) : "closed before the handshake was done");
    }
}

struct tls *tls_open(int line, const struct server *server, int trust, struct outcome *seen) {
    unsigned char plain[16];
    outcome_stage(seen, "tls");
    if (trust < 0) {
        outcome_state(seen, "ca-file");
        return NULL;
    }
    SSL *ssl = SSL_new(trusts[trust].context);
    struct tls *session = malloc(sizeof *session);
    if (ssl == NULL || session == NULL) {
        SSL_free(ssl);
        free(session);
        outcome_state(seen, "failed");
        return NULL;
    }
    *session = (struct tls){ssl, line};
    if (inet_pton(AF_INET, server->host, plain) == 1 || inet_pton(AF_INET6, server->host, plain) == 1) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server->host);
    } else {
        SSL_set_tlsext_host_name(ssl, server->host);
        SSL_set1_host(ssl, server->host);
    }
    SSL_set_fd(ssl, line);
    /* The handshake is finished whatever the certificate is, so that its issuer can be named; nothing secret follows. */
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    ERR_clear_error();
    errno = 0;
    int returned = SSL_connect(ssl);
    if (returned != 1) {
        note_failure(ssl, returned, errno, seen);
        tls_close(session);
        return NULL;
    }
    note_certificate(ssl, seen);
    long verdict = SSL_get_verify_result(ssl);
    outcome_note(seen, "version", "%s", SSL_get_version(ssl));
    if (verdict != X509_V_OK) {
        outcome_note(seen, "detail", "%s", X509_verify_cert_error_string(verdict));
    }
    outcome_state(seen, verdict_word(verdict));
    return session;
}

bool tls_write(struct tls *session, const void *data, size_t size) {
    return SSL_write(session->ssl, data, (int)size) == (int)size;
}

long tls_read(struct tls *session, void *data, size_t size) {
    int count = SSL_read(session->ssl, data, (int)size);
    if (count > 0) {
        return count;
    }
    return SSL_get_error(session->ssl, count) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

void tls_close(struct tls *session) {
    SSL_free(session->ssl);
    close(session->line);
    free(session);
}

/* The server's clock, by the Date of whatever it answers: RFC 9110, 6.6.1. */
static void note_date(const char *answer, struct outcome *seen) {
    struct tm parts;
    for (const char *line = strchr(answer, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, "date:", 5) != 0) {
            continue;
        }
        const char *value = line + 6 + strspn(line + 6, " ");
        memset(&parts, 0, sizeof parts);
        if (strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &parts) != NULL) {
            outcome_note(seen, "skew", "%lld", (long long)time(NULL) - (long long)timegm(&parts));
        }
        return;
    }
}

void reach_tls(const struct endpoint *asked, struct outcome *seen) {
    const struct server *server = &asked->servers[0];
    char text[MOST_ANSWER];
    long size = 0, count;
    struct timespec begun, ended;
    int line = dial(server, seen);
    if (line == -1) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &begun);
    struct tls *session = tls_open(line, server, asked->trust, seen);
    if (session == NULL) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    outcome_note(seen, "handshake", "%ld",
                 (long)(ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000);
    snprintf(text, sizeof text, "HEAD / HTTP/1.1\r\nHost: %s\r\nUser-Agent: boardprobe\r\nConnection: close\r\n\r\n",
             server->host);
    if (tls_write(session, text, strlen(text))) {
        while (size < (long)sizeof text - 1 && (count = tls_read(session, text + size, sizeof text - 1 - size)) > 0) {
            size += count;
            text[size] = '\0';
            if (strstr(text, "\r\n\r\n") != NULL) {
                break;
            }
        }
    }
    text[size] = '\0';
    note_date(text, seen);
    tls_close(session);
}
