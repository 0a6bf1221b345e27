/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documentation/litmus/spsc.pml - slots of ring/spsc.h that are filled, cleared and filled again.
 *
 * Stores go into their thread's buffer and reach memory in any order, except
 * two stores to one address; a release store waits until the buffer is empty
 * (which is more than a release does, and what the two here need of it). A load
 * sees the own buffer first. So this is a machine weaker than x86, where
 * these two orders cost nothing and no test can see them missing.
 *
 * Three slots in lines of one slot; the head is told for each line. A handle is the
 * number of its payload; that of handle h lies in payload[h mod 4].
 * An assertion fails when a handle is lost, doubled or overtaken, or its payload
 * is not there; if both sides wait for ever, spin reports an invalid end state.
 * Expected:
 *
 *	as it is	errors: 0
 *	-DNO_R1		a lost payload: the handle was seen before it
 *	-DNO_R2		a lost handle: the clearing of its slot came after it
 *	-DEAGER		a lost handle: the head told before the line is cleared
 *
 * Not modelled: the hint (the tail), which decides nothing but prefetches; loads out of
 * order, against which SPSC_A1 and SPSC_A2 stand in the text of Documentation/rings.md.
 *
 * scripts/check-litmus.sh runs all of them.
 */
#define SLOTS 3
#define ITEMS 5
#define PAYLOADS 4 /* more than the slots, as a payload is used after its slot was taken */
#define PRODUCER 0
#define CONSUMER 1

/* addresses */
#define SLOT(i) ((i) % SLOTS)
#define PAYLOAD(i) (SLOTS + (i) % PAYLOADS)
#define HEAD (SLOTS + PAYLOADS)

byte mem[SLOTS + PAYLOADS + 1];

/* At most one store an address waits. */
typedef buffer_t {
	byte value[SLOTS + PAYLOADS + 1];
	bool waits[SLOTS + PAYLOADS + 1];
	byte nr;
};
buffer_t buffer[2];

/* A second store to an address that waits has to let the first one go: same order. */
#define STORE(self, addr, v)                                                    \
	atomic {                                                                \
		!buffer[self].waits[addr];                                      \
		buffer[self].value[addr] = v;                                   \
		buffer[self].waits[addr] = true;                                \
		buffer[self].nr++                                               \
	}
#define DRAINED(self) (buffer[self].nr == 0)
/* Of slots and head nobody reads what it stored itself before it has left. */
#define LOAD(addr) mem[addr]

#ifdef NO_R1
#define SPSC_R1 skip
#else
#define SPSC_R1 DRAINED(PRODUCER)
#endif
#ifdef NO_R2
#define SPSC_R2 skip
#else
#define SPSC_R2 DRAINED(CONSUMER)
#endif

/* Stores reach memory in any order. */
proctype drain(byte self)
{
	byte addr;

end:
	do
	:: atomic {
		buffer[self].nr > 0 ->
		select(addr : 0 .. HEAD);
		if
		:: buffer[self].waits[addr] ->
			mem[addr] = buffer[self].value[addr];
			buffer[self].waits[addr] = false;
			buffer[self].nr--
		:: else
		fi
	   }
	od
}

proctype producer()
{
	byte item;

	for (item : 1 .. ITEMS) {
		item - 1 - LOAD(HEAD) < SLOTS; /* km_spsc_look() until there is room */
		STORE(PRODUCER, PAYLOAD(item), item);
		SPSC_R1;
		STORE(PRODUCER, SLOT(item), item)
	}
}

proctype consumer()
{
	byte item, got;

	for (item : 1 .. ITEMS) {
		/* while its own clearing waits it sees 0 */
		LOAD(SLOT(item)) != 0 && !buffer[CONSUMER].waits[SLOT(item)];
		got = LOAD(SLOT(item));
		assert(got == item);
		assert(mem[PAYLOAD(item)] == item);
#ifdef EAGER
		STORE(CONSUMER, HEAD, item);
		SPSC_R2;
		STORE(CONSUMER, SLOT(item), 0)
#else
		STORE(CONSUMER, SLOT(item), 0);
		SPSC_R2;
		STORE(CONSUMER, HEAD, item)
#endif
	}
}

init {
	atomic {
		run drain(PRODUCER);
		run drain(CONSUMER);
		run producer();
		run consumer()
	}
}
