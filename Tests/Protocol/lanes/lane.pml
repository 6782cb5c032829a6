/* The protocol by which two processes share two byte rings and wake each other, as docs/protocol.md ("Fast lane") has it:
 * positions, sleep words, bells, half-close and hang-up. test_lane_model.py has spin(1) look at every interleaving.
 *
 * What is proved of rings that are smaller than a message, for any number of messages:
 * - no wake-up is lost: a side that sleeps while there is something for it to do would be an invalid end state;
 * - no byte is written over before it was read, and none is read before it is there (asserted);
 * - every request is answered, also those just before a half-close (asserted), and replies just before an end are read;
 * - whoever hangs up, whenever, the other side ends;
 * - messages get on (no cycle without progress).
 *
 * A store is seen by the other side some time later, as on x86 (each side has a buffer of stores, in their order) and as on
 * processors that are weaker, as far as it matters here: a store and a later load change places unless a fence is between.
 *
 * BROKEN names a mistake, with which the model has to fail; otherwise it would prove nothing. */

#ifndef RING
#define RING 2          /* bytes that a ring holds */
#endif
#ifndef REQUEST
#define REQUEST 3       /* bytes of a request, of a reply */
#endif
#ifndef REPLY
#define REPLY 3
#endif
#ifndef IN_FLIGHT
#define IN_FLIGHT 2     /* requests that the client sends without waiting */
#endif
#ifndef STORES
#define STORES 2        /* stores that may be on their way */
#endif

#define NO_FENCE 1        /* whoever publishes a position does not wait until it can be seen */
#define NO_SECOND_LOOK 2  /* whoever falls asleep does not look again */
#define NO_ROOM_BELL 3    /* whoever has read does not ring for the room that it made */
#define NO_LOOK_AT_END 4  /* the daemon takes a half-close for the end of the ring */
#define LATE_CLEAR 5      /* whoever falls asleep receives its bells behind the second look */
#define EARLY_POSITION 6  /* the position is published before the byte */
#define NO_HANG_UP 7      /* whoever sleeps waits for a bell alone */
#define EARLY_DECISION 8  /* whoever has read rings if the ring was full when it began to read */
#ifndef BROKEN
#define BROKEN 0
#endif

#define CLIENT 0
#define DAEMON 1
#define OTHER (1 - self)

/* Free-running counts, here modulo a multiple of the ring; the byte at a position says which one it is. */
#define VALUES (RING + 2)
#define POSITIONS (RING * VALUES)
#define DISTANCE(from, to) ((to + POSITIONS - from) % POSITIONS)

/* The shared memory. Ring and words [s] are written by side s: `taken` counts what it read of the other's ring. */
byte ring[2 * RING];    /* two rings of RING bytes */
byte written[2], taken[2];
bit asleep[2];

/* What the kernel keeps. */
bit bell[2];            /* there are bells in the socket, to be received; one that is too many changes nothing */
bit closed[2];          /* the socket: its end can be seen by the other */
bit shut;               /* the client has half-closed: nothing comes behind what is in its ring */

#define WRITTEN 0
#define TAKEN 1
#define ASLEEP 2
#define BYTE 3
chan stores[2] = [STORES] of { byte, byte };

/* Makes stores visible, sooner or later. */
proctype Memory(bit self) {
    byte word, value;
end:
    do
    :: atomic {
        stores[self] ? word, value ->
        if
        :: word == WRITTEN -> written[self] = value
        :: word == TAKEN -> taken[self] = value
        :: word == ASLEEP -> asleep[self] = value
        :: else -> ring[self * RING + word - BYTE] = value
        fi;
        word = 0; value = 0
       }
    od
}

#define FENCE empty(stores[self])

inline wakeOther() {
#if BROKEN != NO_FENCE
    FENCE;
#endif
    if
    :: asleep[OTHER] ->
        /* An exchange: one of those that see the word rings. It is a fence, too. */
        atomic { FENCE -> wasAsleep = asleep[OTHER]; asleep[OTHER] = 0 };
        if
        :: wasAsleep -> bell[OTHER] = 1
        :: else
        fi;
        wasAsleep = 0
    :: else
    fi
}

/* One byte into the own ring. The value depends on its place in the stream. */
inline put() {
#if BROKEN == EARLY_POSITION
    stores[self] ! WRITTEN, (w + 1) % POSITIONS;
    stores[self] ! (BYTE + w % RING), w % VALUES;
    w = (w + 1) % POSITIONS;
#else
    stores[self] ! (BYTE + w % RING), w % VALUES;
    w = (w + 1) % POSITIONS;
    stores[self] ! WRITTEN, w;
#endif
    wakeOther();
    announced = r
}

/* One byte out of the other's ring. */
inline get() {
    assert(ring[OTHER * RING + r % RING] == r % VALUES);
    r = (r + 1) % POSITIONS;
    stores[self] ! TAKEN, r;
    if
    :: DISTANCE(announced, r) < RING /* more may be read first */
    :: true -> announceRoom()
    fi
}

/* Nobody waits for room but behind a full ring. That it was full shows behind the fence: it may have been filled meanwhile. */
inline announceRoom() {
#if BROKEN == NO_ROOM_BELL
    skip;
#elif BROKEN == EARLY_DECISION
    if
    :: DISTANCE(announced, seenWritten) >= RING -> wakeOther()
    :: else
    fi;
#else
#if BROKEN != NO_FENCE
    FENCE;
#endif
    if
    :: DISTANCE(announced, written[OTHER]) >= RING -> wakeOther()
    :: else
    fi;
#endif
    announced = r
}

#define ROOM (DISTANCE(seenTaken, w) < RING)
#define THERE (seenWritten != r)

/* Two loads, one after the other; what is found is checked. */
inline look() {
    seenWritten = written[OTHER];
    assert(DISTANCE(r, seenWritten) <= RING);
    seenTaken = taken[OTHER];
    assert(DISTANCE(seenTaken, w) <= RING)
}

/* Until there is something to read (if wanted) or room (if wanted), or the socket has something to say. */
inline sleep(wantsBytes, wantsRoom, socketEvent) {
    if
    :: announced != r -> announceRoom()
    :: else
    fi;
    atomic { FENCE -> asleep[self] = 1 };
#if BROKEN != NO_SECOND_LOOK
    look();
#endif
#if BROKEN == LATE_CLEAR
    bell[self] = 0;
#endif
    if
    :: (wantsBytes && THERE) || (wantsRoom && ROOM)
    :: else ->
#if BROKEN == NO_HANG_UP
        bell[self]
#else
        (bell[self] || socketEvent)
#endif
    fi;
    stores[self] ! ASLEEP, 0;
    bell[self] = 0
}

proctype Client(bit self) {
    byte w, r, seenWritten, seenTaken, announced;
    byte unsent, received, inFlight;
    bit isFinishing, wasAsleep, isOver;

    do
    :: true ->
        /* What the daemon wrote before it closed is there now, and read first. */
        isOver = closed[DAEMON];
        look();
        if
        :: THERE ->
            get();
            received = (received + 1) % REPLY;
            if
            :: received == 0 ->
progress:       inFlight--
            :: else
            fi
        :: !isOver && unsent > 0 && ROOM -> put(); unsent--
        :: !isOver && unsent == 0 && !isFinishing && inFlight < IN_FLIGHT -> inFlight++; unsent = REQUEST
        :: !isOver && unsent == 0 && !isFinishing -> isFinishing = 1; FENCE; shut = 1
        :: !THERE && isOver -> break
        :: !THERE && !isOver && (isFinishing || inFlight > 0) && !(unsent > 0 && ROOM) ->
            sleep(true, unsent > 0, closed[DAEMON])
#ifdef HANG_UP
        :: true -> goto gone
#endif
        fi
    od;
#ifndef HANG_UP
    assert(isFinishing && inFlight == 0 && unsent == 0 && received == 0);
#endif
gone:
    closed[CLIENT] = 1
}

proctype Daemon(bit self) {
    byte w, r, seenWritten, seenTaken, announced;
    byte owed, received;
    bit isEnding, wasAsleep;

    do
    :: closed[CLIENT] -> break
    :: !closed[CLIENT] ->
        if
        :: shut && !isEnding -> isEnding = 1
        :: else
        fi;
#if BROKEN == NO_LOOK_AT_END
        if
        :: isEnding && owed == 0 -> break
        :: else
        fi;
#endif
        look();
        if
        /* Backpressure: what cannot be answered is not read. */
        :: owed == 0 && THERE ->
            get();
            received = (received + 1) % REQUEST;
            if
            :: received == 0 -> owed = REPLY
            :: else
            fi
        :: owed > 0 && ROOM -> put(); owed--
        :: owed == 0 && !THERE && isEnding -> break
        :: !(owed == 0 && THERE) && !(owed > 0 && ROOM) && !(owed == 0 && isEnding) ->
            sleep(owed == 0, owed > 0, ((shut && !isEnding) || closed[CLIENT]))
#ifdef HANG_UP
        :: true -> goto gone
#endif
        fi
    od;
gone:
    FENCE;
    closed[DAEMON] = 1
}

init {
    atomic { run Memory(CLIENT); run Memory(DAEMON); run Client(CLIENT); run Daemon(DAEMON) }
}
