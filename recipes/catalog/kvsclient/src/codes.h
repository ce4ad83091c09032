/* The exit codes of kvsclient: boardstream's, which deploy/ and its doctor know already. */
#ifndef KVSCLIENT_CODES_H
#define KVSCLIENT_CODES_H

enum {
    CODE_DONE = 0,      /* ended in order: the last fragment is PERSISTED, or the whole capture was replayed */
    CODE_USAGE = 64,    /* the command line, the environment or the capture cannot be read */
    CODE_UNCLOSED = 74, /* ended as asked, but the last fragment was not confirmed in time */
    CODE_RESTART = 75,  /* start it again, with a pause that grows */
    CODE_GIVE_UP = 78   /* the same again would end the same way */
};

#endif
