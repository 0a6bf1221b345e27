/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documentation/litmus/park.pml - the protocol of ring/park.h under store buffers.
 *
 * One waiter, two wakers. A plain store goes into its thread's buffer and
 * reaches memory some time later, so a load may pass it: what x86 does, and
 * the only reordering this protocol has to fear. A fence, an exchange and a
 * system call wait until the buffer is empty.
 *
 * The waiter leaves when it has taken all the work. If it sleeps although all
 * the work is done, nobody is left to wake it: an invalid end state, which spin
 * reports. Expected:
 *
 *	as it is	errors: 0
 *	-DNO_F1		a lost wake
 *	-DNO_F2		a lost wake
 *	-DNO_LOOK	a lost wake: the look between prepare and wait is needed
 *	-DPICKY		a lost wake: who clears the word has to wake, whatever mask it got
 *
 * Not modelled: timeouts and signals (they only wake), never_parks, weaker
 * machines (there the fences of C11 give what the text of ring/park.h says).
 *
 * scripts/check-litmus.sh runs all of them.
 */
#define WAKERS 2
#define ITEMS 2 /* of each waker */
#define WAITER 2 /* the waiter's buffer; wakers have their own number */
#define WORD 2 /* address; work of waker i is at i */

byte mem[3]; /* work[0], work[1], word */
chan buffer[3] = [2] of { byte, byte }; /* address, value */
byte taken[WAKERS];
bool asleep; /* in the kernel's queue */

#define BUFFERED_STORE(thread, addr, value) buffer[thread]!addr, value
#define DRAINED(thread) empty(buffer[thread])

#ifdef NO_F1
#define PARK_F1 skip
#else
#define PARK_F1 DRAINED(WAITER)
#endif
#ifdef NO_F2
#define PARK_F2(thread) skip
#else
#define PARK_F2(thread) DRAINED(thread)
#endif

#define HAS(mask, i) ((mask) & (1 << (i)))
#define DUE(i) (mem[i] != taken[i])
#define READY(mask) ((HAS(mask, 0) && DUE(0)) || (HAS(mask, 1) && DUE(1)))
#define COMES(i) (taken[i] < ITEMS)

/* Stores reach memory in order, at any time. */
proctype drain(byte thread)
{
	byte addr, value;

end:
	do
	:: atomic { buffer[thread]?addr, value; mem[addr] = value }
	od
}

proctype waker(byte self)
{
	byte item, seen, old;

	for (item : 1 .. ITEMS) {
		BUFFERED_STORE(self, self, item);
		PARK_F2(self);
		seen = mem[WORD];
		if
		:: HAS(seen, self) ->
			DRAINED(self); /* an exchange is locked */
			atomic { old = mem[WORD]; mem[WORD] = 0 }
			if
#ifdef PICKY
			:: HAS(old, self) -> asleep = false
#else
			:: old != 0 -> asleep = false /* futex wake */
#endif
			:: else
			fi
		:: else
		fi
	}
}

proctype waiter()
{
	byte mask;

	do
	:: !COMES(0) && !COMES(1) -> break
	:: else ->
		/* any mask for which something is still to come */
		if
		:: COMES(0) -> mask = 1
		:: COMES(1) -> mask = 2
		:: mask = 3
		fi;
		BUFFERED_STORE(WAITER, WORD, mask); /* km_park_prepare() */
		PARK_F1;
		if
#ifndef NO_LOOK
		:: READY(mask) -> skip /* km_park_cancel() */
		:: !READY(mask) ->
#else
		:: true ->
#endif
			DRAINED(WAITER); /* a system call */
			atomic {
				if
				:: mem[WORD] == mask -> asleep = true
				:: else
				fi
			}
			!asleep
		fi;
		BUFFERED_STORE(WAITER, WORD, 0);
		/* takes what it sees */
		atomic { taken[0] = mem[0]; taken[1] = mem[1] }
	od
}

init {
	atomic {
		run drain(0);
		run drain(1);
		run drain(2);
		run waker(0);
		run waker(1);
		run waiter()
	}
}
