/* boardprobe: what a camera board can do, told through the libraries that the SDKs use. */
#include "probes.h"
#include "reach.h"
#include "report.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_ELEMENTS 64
#define USAGE_ERROR 64
#define TIMEOUT_SECONDS 15

static const struct option choices[] = {
    {"element", required_argument, NULL, 'e'}, {"ca-file", required_argument, NULL, 'c'},
    {"https", required_argument, NULL, 'u'},   {"wss", required_argument, NULL, 'w'},
    {"video", no_argument, NULL, 'v'},         {"sound", no_argument, NULL, 's'},
    {"endpoints", no_argument, NULL, 'n'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

static void usage(FILE *stream) {
    fputs("usage: boardprobe [--element NAME]... [--ca-file FILE] [--https URL] [--wss URL]\n"
          "       boardprobe [--sound] [--video]\n"
          "       boardprobe --endpoints: TLS, STUN and TURN servers that lines on stdin name\n"
          "Prints one JSON object; with --sound or --video nothing but one for each such device, on a line of its own.\n"
          "Exit code: 0 fine, 1 a warning, 2 an error, 64 wrong usage.\n",
          stream);
}

int main(int argc, char **argv) {
    const char *elements[MOST_ELEMENTS];
    const char *ca_file = "", *https = NULL, *wss = NULL;
    bool video = false, sound = false, endpoints = false;
    int element_count = 0, choice;
    while ((choice = getopt_long(argc, argv, "", choices, NULL)) != -1) {
        if (choice == 'e' && element_count < MOST_ELEMENTS) {
            elements[element_count++] = optarg;
        } else if (choice == 'c') {
            ca_file = optarg;
        } else if (choice == 'u') {
            https = optarg;
        } else if (choice == 'w') {
            wss = optarg;
        } else if (choice == 'v') {
            video = true;
        } else if (choice == 's') {
            sound = true;
        } else if (choice == 'n') {
            endpoints = true;
        } else {
            usage(choice == 'h' ? stdout : stderr);
            return choice == 'h' ? EXIT_SUCCESS : USAGE_ERROR;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return USAGE_ERROR;
    }
    if (endpoints) {
        return probe_reach();
    }
    if (video || sound) {
        if (sound) {
            probe_sound();
        }
        if (video) {
            probe_video();
        }
        return EXIT_SUCCESS;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    report_begin();
    report_text("probe", "boardprobe 1.1.0");
    probe_board();
    probe_libraries();
    probe_ca_file(ca_file);
    probe_elements(elements, element_count);
    if (https != NULL) {
        probe_https(https, ca_file, TIMEOUT_SECONDS);
    }
    if (wss != NULL) {
        probe_wss(wss, ca_file, TIMEOUT_SECONDS);
    }
    int code = report_end();
    curl_global_cleanup();
    return code;
}
