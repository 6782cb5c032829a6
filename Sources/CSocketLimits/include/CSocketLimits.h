// Limits on what client libraries do with their sockets, which they themselves do not have: bytes of one call, time for a wait,
// time for proving who one is.
//
// The program has recv(2), send(2), socket(2) and HMAC_Init_ex(3) of its own, which the dynamic linker finds before those of libc
// and OpenSSL (ld.so(8)). All limits are those of the calling thread, and none applies until it is set.
#pragma once
#include <stdbool.h>

/// Lets whatever library this thread calls next receive and send so many bytes each, behind which its socket looks empty, or full;
/// any number of them where it is negative.
void csocketlimits_allow(long byte_count);

/// The same for receiving alone.
void csocketlimits_allow_receiving(long byte_count);

/// Ends `csocketlimits_allow_receiving(byte_count)`. Returns how many bytes have been received since. (With TLS, the bytes are
/// those on the wire.)
long csocketlimits_end_receiving(long byte_count);

/// From now on a full socket is waited for, no longer than that in all; 0 ends it. Thread: one that may block.
void csocketlimits_wait_for_room(long limit_ms);

/// From now on bytes of the other side are waited for, no longer than that in all; after that the socket looks as if it had ended.
/// Thread: one that may block.
void csocketlimits_wait_for_bytes(long limit_ms);

/// Ends `csocketlimits_wait_for_bytes`. Returns false when the time was not enough.
bool csocketlimits_end_waiting(void);

/// What a server has this thread compute to prove who it is (SCRAM) fails after that time.
void csocketlimits_begin_proof(long limit_ms);

/// Ends `csocketlimits_begin_proof`. Returns false when the time was not enough.
bool csocketlimits_end_proof(void);
