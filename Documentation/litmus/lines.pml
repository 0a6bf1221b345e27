/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documentation/litmus/lines.pml - lines of ring/lines.h that are written, read, cleared and written again.
 *
 * A message is its first word, which says that it is there, and the rest. Both hold the
 * message's number. The machine is that of spsc.pml: stores go into their thread's buffer
 * and reach memory in any order, except two to one address; a release waits until the
 * buffer is empty. Here loads move, too: without LINES_A1 the rest may be read before the
 * first word, without LINES_A2 the line be written before the head was read.
 *
 * Three lines, the head told every two messages. (The line that km_lines_look() keeps free is
 * for its pointers; it would hide EAGER and LATE here, so the model does without.)
 * An assertion fails when a message is lost, doubled, overtaken or not whole; if both sides
 * wait for ever, spin reports an invalid end state.
 * Expected:
 *
 *	as it is	errors: 0
 *	-DNO_R1		a lost rest: the first word was seen before it
 *	-DNO_A1		a lost rest: read before the first word
 *	-DNO_R2		a lost message: the clearing of its line came after it
 *	-DNO_A2		a lost message: written over one that was not taken
 *	-DEAGER		a lost message: the head told before the line is cleared
 *	-DLATE		a lost rest: the head told before it is read
 *
 * NO_A2 shows what the language leaves open: no CPU writes before a branch is decided.
 * Not modelled: the hint (the tail), which decides nothing but prefetches; standing back,
 * which is one more look.
 *
 * scripts/check-litmus.sh runs all of them.
 */
#define LINES 3
#define TELL 2
#define ITEMS 7
#define PRODUCER 0
#define CONSUMER 1

/* addresses */
#define FIRST(i) ((i) % LINES)
#define REST(i) (LINES + (i) % LINES)
#define HEAD (2 * LINES)

byte mem[2 * LINES + 1];

/* At most one store an address waits. */
typedef buffer_t {
	byte value[2 * LINES + 1];
	bool waits[2 * LINES + 1];
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
#define LOAD(addr) mem[addr]

#ifdef NO_R1
#define LINES_R1 skip
#else
#define LINES_R1 DRAINED(PRODUCER)
#endif
#ifdef NO_R2
#define LINES_R2 skip
#else
#define LINES_R2 DRAINED(CONSUMER)
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
#ifdef NO_A2
		if
		:: STORE(PRODUCER, REST(item), item)
		:: skip
		fi;
#endif
		/* km_lines_look() until there is room */
		item - 1 - LOAD(HEAD) < LINES;
		STORE(PRODUCER, REST(item), item);
		LINES_R1;
		STORE(PRODUCER, FIRST(item), item)
	}
}

/* km_lines_tell_head(): after each TELL messages */
inline tell_head(item)
{
	if
	:: item % TELL == 0 ->
		LINES_R2;
		STORE(CONSUMER, HEAD, item)
	:: else
	fi
}

proctype consumer()
{
	byte item, got, rest;
	bool early;

	for (item : 1 .. ITEMS) {
		early = false;
#ifdef NO_A1
		if
		:: rest = LOAD(REST(item)); early = true
		:: skip
		fi;
#endif
		/* while its own clearing waits it sees 0 */
		atomic {
			LOAD(FIRST(item)) != 0 && !buffer[CONSUMER].waits[FIRST(item)];
			got = LOAD(FIRST(item))
		};
		assert(got == item);
#ifdef LATE
		STORE(CONSUMER, FIRST(item), 0);
		tell_head(item);
		rest = LOAD(REST(item));
#else
		if
		:: !early -> rest = LOAD(REST(item))
		:: else
		fi;
#ifdef EAGER
		tell_head(item);
		STORE(CONSUMER, FIRST(item), 0);
#else
		STORE(CONSUMER, FIRST(item), 0);
		tell_head(item);
#endif
#endif
		assert(rest == item)
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
