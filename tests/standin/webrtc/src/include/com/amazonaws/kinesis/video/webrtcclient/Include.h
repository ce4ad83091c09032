#pragma once

/* Version of this SDK, and the commit of the project that it was built in. */
const char *kvsWebrtcVersion(void);
const char *kvsWebrtcCommit(void);

/* Bring each part up and down once; 0 is good. */
int kvsWebrtcCheck(void);
int kvsDtlsCheck(void);
int kvsSrtpCheck(void);
int kvsDataChannelCheck(void);
int kvsSctpCheck(void);
int kvsSignalingCheck(void);

/* Network interfaces with an address, loopback left out. */
int kvsInterfaces(void);

/* Run a function for each number below count, all at once, and wait; how many could be run. */
int kvsPoolRun(int count, void (*run)(int number));
